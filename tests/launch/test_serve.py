"""`manage.py serve` from its first start to its last, as an operator sees it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    if server.process is not None:
        server.stop()


def output(server: Server) -> str:
    return server.log.read_text()


def test_credentials_are_shown_at_the_first_start_only(server: Server) -> None:
    server.start().stop()
    assert output(server).count(server.token) == 1
    server.start().stop()
    assert output(server).count(server.token) == 1


def test_ctrl_c_stops_without_a_complaint(server: Server) -> None:
    assert server.start().stop() == 0
    assert "Stopped. Sandboxes go on." in output(server)
    assert "Traceback" not in output(server)
    assert "ERROR" not in output(server)


def test_new_key_of_the_environment_is_let_in_later(server: Server) -> None:
    server.start().stop()
    server.token = server.environment["SANDBANK_API_KEY"] = "sk-ac-a-second-one-of-our-own"
    server.start()
    assert server.request("GET", "/sandbox").status_code == 200


def test_answers_do_not_name_the_server_software(server: Server) -> None:
    assert "server" not in server.start().request("GET", "/sandbox").headers


def test_port_that_is_taken_is_named(server: Server) -> None:
    server.start()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        server.manage("serve")
    assert f"127.0.0.1:{server.port}" in failed.value.stderr


def test_server_starts_without_its_engine_and_says_so(server: Server, tmp_path: Path) -> None:
    server.environment["DOCKER_HOST"] = f"unix://{tmp_path}/nothing.sock"
    server.start()
    assert server.request("GET", "/sandbox").status_code == 200
    assert "without sandboxes" in output(server)
