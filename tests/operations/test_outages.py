"""The engine goes away under a running server and comes back: what was answered stays true."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandboxes.image.build import default_image_name
from tests.docker_engine import PrivateDocker, can_start
from tests.sandboxes.sockets import Browser
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(240)]

RECOVERY_SECONDS = 40.0


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateDocker]:
    if not can_start():
        pytest.skip("needs root and dockerd, to start an engine of its own")
    private = PrivateDocker()
    try:
        private.start()
        private.copy_image(default_image_name())
        yield private
    finally:
        private.destroy()


@pytest.fixture
def server(engine: PrivateDocker, tmp_path: Path) -> Iterator[Server]:
    server = Server(
        tmp_path,
        DOCKER_HOST=f"unix://{engine.socket}",
        SUPERVISOR_SECONDS="0.5",
        SANDBOX_CREATE_SECONDS="10",
    ).start()
    yield server
    server.end_sandboxes()
    server.stop()


def run(server: Server, sandbox_id: str, command: str) -> httpx.Response:
    return server.request("POST", f"/sandbox/{sandbox_id}/exec", json={"command": command})


def create(server: Server) -> str:
    answer = server.request("POST", "/sandbox")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["sandbox_id"])


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    body = answer.json()
    assert body["code"] == 503
    assert len(body["msg"]) > 20
    assert "/" not in body["msg"].replace("https://", ""), "names a path of the host"
    assert answer.headers["Retry-After"]


def until(seconds: float, happens: Any) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_reads_work_and_writes_say_503_until_the_engine_is_back(
    engine: PrivateDocker, server: Server, how: str
) -> None:
    sandbox_id = create(server)
    run(server, sandbox_id, "echo before")
    disk_id = server.request("POST", "/disk").json()["data"]["id"]
    getattr(engine, how)()
    try:
        for path in ("/sandbox", f"/sandbox/{sandbox_id}", f"/sandbox/{sandbox_id}/commands"):
            assert server.request("GET", path).status_code == 200, path
        assert server.request("GET", "/sandbox/logs").status_code == 200
        # Disks need no engine.
        files = {"file": ("a.txt", b"hello")}
        assert server.request("POST", f"/disk/{disk_id}/artifact", files=files).status_code == 201
        assert_unavailable(server.request("POST", "/sandbox"))
        assert_unavailable(run(server, sandbox_id, "true"))
        assert_unavailable(
            server.request("GET", f"/sandbox/{sandbox_id}/files/stat", params={"path": "/"})
        )
        copy = {
            "sandbox_id": sandbox_id,
            "sandbox_path": "/workspace",
            "file_path": "/",
            "filename": "a.txt",
        }
        path = f"/disk/{disk_id}/artifact/download_to_sandbox"
        assert_unavailable(server.request("POST", path, json=copy))
    finally:
        engine.start()
    until(RECOVERY_SECONDS, lambda: server.request("POST", "/sandbox").status_code == 201)
    # The box went down with the engine: its row tells so, and not that it runs.
    ended = f"/sandbox/{sandbox_id}"
    until(
        RECOVERY_SECONDS,
        lambda: server.request("GET", ended).json()["data"]["sandbox_status"] == "error",
    )
    assert server.request("GET", ended).json()["data"]["message"]
    assert run(server, sandbox_id, "true").status_code == 404


def test_a_kill_while_the_engine_is_away_is_done_when_it_is_back(
    engine: PrivateDocker, server: Server
) -> None:
    sandbox_id = create(server)
    engine.kill()
    try:
        killed = server.request("DELETE", f"/sandbox/{sandbox_id}")
        assert killed.status_code in (200, 503)
    finally:
        engine.start()
    server.request("DELETE", f"/sandbox/{sandbox_id}")
    path = f"/sandbox/{sandbox_id}"
    until(
        RECOVERY_SECONDS,
        lambda: server.request("GET", path).json()["data"]["sandbox_status"] == "killed",
    )


def test_a_server_that_starts_without_an_engine_serves_what_it_can(
    engine: PrivateDocker, tmp_path: Path
) -> None:
    engine.stop()
    server = Server(
        tmp_path, DOCKER_HOST=f"unix://{engine.socket}", SUPERVISOR_SECONDS="0.5"
    ).start()
    try:
        assert server.request("POST", "/disk").status_code == 201
        assert_unavailable(server.request("POST", "/sandbox"))
        engine.start()
        until(RECOVERY_SECONDS, lambda: server.request("POST", "/sandbox").status_code == 201)
        server.end_sandboxes()
    finally:
        server.stop()


def test_an_engine_that_hangs_is_given_up_in_time(engine: PrivateDocker, server: Server) -> None:
    sandbox_id = create(server)
    engine.freeze()
    try:
        begun = time.monotonic()
        assert_unavailable(server.request("POST", "/sandbox"))
        assert time.monotonic() - begun < 30
        assert server.request("GET", f"/sandbox/{sandbox_id}").status_code == 200
        assert server.request("GET", "/ping").status_code == 200
    finally:
        engine.thaw()
    until(RECOVERY_SECONDS, lambda: server.request("POST", "/sandbox").status_code == 201)
    assert run(server, sandbox_id, "echo still here").json()["data"]["stdout"] == "still here\n"


def test_pages_say_so_and_stay_readable(engine: PrivateDocker, server: Server) -> None:
    sandbox_id = create(server)
    run(server, sandbox_id, "echo remembered")
    with Browser(server) as browser:

        def page(path: str) -> str:
            answer = browser.client.get(path)
            assert answer.status_code == 200, path
            return answer.text

        assert "Docker does not answer" not in page("/")
        engine.stop()
        try:
            until(RECOVERY_SECONDS, lambda: "Docker does not answer" in page("/engine/"))
            for path in ("/", "/sandboxes/", "/disks/", "/activity/", "/transfer/", "/settings/"):
                assert "Docker does not answer" in page(path), path
            assert "remembered" in page(f"/sandboxes/{sandbox_id}/commands/")
            assert page(f"/sandboxes/{sandbox_id}/")
            refused = browser.post(f"/sandboxes/{sandbox_id}/terminals/open/")
            assert refused.status_code == 503
            assert "does not answer" in refused.json()["error"]
        finally:
            engine.start()
        until(RECOVERY_SECONDS, lambda: "Docker does not answer" not in page("/engine/"))
