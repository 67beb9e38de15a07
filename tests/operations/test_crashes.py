"""The server is killed in the middle of things and started again: nothing is lost or left over."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandboxes.engine.base import Box
from sandboxes.engine.docker import DockerEngine
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

HEAL_SECONDS = 40.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, SUPERVISOR_SECONDS="0.5", SANDBOX_CREATE_SECONDS="8").start()
    yield server
    if server.process is None or server.process.poll() is not None:
        server.start()
    server.end_sandboxes()
    server.stop()


def crash_during(server: Server, seconds: float, work: Callable[[], Any]) -> None:
    """Begin some work, kill the server so much later, and start it again."""

    def run() -> None:
        # The server goes away under it: that is the point.
        with contextlib.suppress(httpx.HTTPError):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(seconds)
    server.kill()
    thread.join()
    server.start()


async def boxes_of(server: Server) -> dict[str, Box]:
    instance = server.manage("shell", "-c", INSTANCE).strip().splitlines()[-1]
    engine = DockerEngine()
    try:
        found = await engine.list({"sandbank.instance": instance})
    finally:
        await engine.close()
    return {box.name: box for box in found}


INSTANCE = "from sandboxes.lifecycle import installation_id; print(installation_id())"
ROWS = (
    "from sandboxes.models import Sandbox, UNFINISHED\n"
    "for s in Sandbox.objects.all(): print(s.box_name, s.status)"
)


def rows_of(server: Server) -> dict[str, str]:
    lines = server.manage("shell", "-v", "0", "-c", ROWS).strip().splitlines()
    return dict(line.split() for line in lines)


async def wait_until_true(server: Server) -> None:
    """Wait until every row tells the truth about its box, and every box has a row."""
    deadline = time.monotonic() + HEAL_SECONDS
    while True:
        boxes, rows = await boxes_of(server), rows_of(server)
        living = {name for name, status in rows.items() if status == "running"}
        settled = not {"creating", "stopping"} & set(rows.values())
        if settled and living == set(boxes):
            return
        assert time.monotonic() < deadline, f"rows {rows}, boxes {list(boxes)}"
        await asyncio.sleep(0.5)


def create(server: Server) -> str:
    answer = server.request("POST", "/sandbox")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["sandbox_id"])


def run(server: Server, sandbox_id: str, command: str) -> dict[str, Any]:
    answer = server.request("POST", f"/sandbox/{sandbox_id}/exec", json={"command": command})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.15, 0.3])
async def test_killed_while_a_sandbox_is_made(server: Server, seconds: float) -> None:
    crash_during(server, seconds, lambda: server.request("POST", "/sandbox"))
    await wait_until_true(server)
    assert run(server, create(server), "echo alive")["stdout"] == "alive\n"


async def test_killed_while_a_command_runs(server: Server) -> None:
    sandbox_id = create(server)
    command = "echo begun; sleep 4; echo ended; echo oh >&2; exit 7"
    crash_during(server, 1.0, lambda: run(server, sandbox_id, command))
    row: dict[str, Any] = {}
    deadline = time.monotonic() + HEAL_SECONDS
    while row.get("status") != "exited":
        assert time.monotonic() < deadline, row
        await asyncio.sleep(0.3)
        history = server.request("GET", f"/sandbox/{sandbox_id}/commands").json()
        row = history["data"]["items"][0]
    assert (row["stdout"], row["stderr"]) == ("begun\nended\n", "oh\n")
    assert row["exit_code"] == 7
    assert 3500 < row["duration_ms"] < 8000


async def test_sandboxes_go_on_and_are_found_again(server: Server) -> None:
    sandbox_id = create(server)
    run(server, sandbox_id, "echo kept > file")
    server.kill()
    server.start()
    assert run(server, sandbox_id, "cat file")["stdout"] == "kept\n"


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.06])
async def test_killed_while_a_sandbox_is_killed(server: Server, seconds: float) -> None:
    sandbox_id = create(server)
    crash_during(server, seconds, lambda: server.request("DELETE", f"/sandbox/{sandbox_id}"))
    server.request("DELETE", f"/sandbox/{sandbox_id}")
    await wait_until_true(server)
    assert not await boxes_of(server)


def upload(server: Server, disk_id: str, content: bytes, name: str = "file.bin") -> httpx.Response:
    return server.request(
        "POST",
        f"/disk/{disk_id}/artifact",
        files={"file": (name, content)},
        data={"file_path": "/"},
    )


def download(server: Server, disk_id: str, name: str = "file.bin") -> httpx.Response:
    path = f"/disk/{disk_id}/artifact/download"
    return server.request("GET", path, params={"file_path": f"/{name}"})


@pytest.mark.parametrize("seconds", [0.005, 0.02, 0.05, 0.1])
async def test_killed_while_a_file_is_replaced(server: Server, seconds: float) -> None:
    disk_id = server.request("POST", "/disk").json()["data"]["id"]
    old, new = os.urandom(8_000_000), os.urandom(8_000_000)
    assert upload(server, disk_id, old).status_code == 201
    crash_during(server, seconds, lambda: upload(server, disk_id, new))
    assert download(server, disk_id).content in (old, new)
    server.manage("verify_blobs")


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.4])
async def test_killed_while_a_file_is_taken_from_a_sandbox(server: Server, seconds: float) -> None:
    disk_id = server.request("POST", "/disk").json()["data"]["id"]
    sandbox_id = create(server)
    run(server, sandbox_id, "head -c 150M /dev/urandom > big.bin")
    sha = run(server, sandbox_id, "sha256sum big.bin")["stdout"].split()[0]
    wish = {
        "sandbox_id": sandbox_id,
        "sandbox_path": "/workspace/",
        "sandbox_filename": "big.bin",
        "file_path": "/",
    }
    path = f"/disk/{disk_id}/artifact/upload_from_sandbox"
    crash_during(server, seconds, lambda: server.request("POST", path, json=wish))
    server.manage("verify_blobs")
    assert server.request("POST", path, json=wish).status_code == 201
    content = download(server, disk_id, "big.bin").content
    assert hashlib.sha256(content).hexdigest() == sha


@pytest.mark.parametrize("seconds", [0.05, 0.2])
async def test_killed_while_a_file_is_put_into_a_sandbox(server: Server, seconds: float) -> None:
    disk_id = server.request("POST", "/disk").json()["data"]["id"]
    sandbox_id = create(server)
    run(server, sandbox_id, "head -c 100M /dev/urandom > big.bin; mkdir target")
    wish = {"sandbox_id": sandbox_id, "sandbox_path": "/workspace/", "file_path": "/"}
    path = f"/disk/{disk_id}/artifact"
    taken = server.request(
        "POST", f"{path}/upload_from_sandbox", json={**wish, "sandbox_filename": "big.bin"}
    )
    assert taken.status_code == 201
    put = {**wish, "sandbox_path": "/workspace/target", "filename": "big.bin"}
    crash_during(
        server, seconds, lambda: server.request("POST", f"{path}/download_to_sandbox", json=put)
    )
    await asyncio.sleep(1)
    found = run(server, sandbox_id, "ls -A target; cmp big.bin target/big.bin 2>&1")["stdout"]
    assert found in ("big.bin\n", "cmp: target/big.bin: No such file or directory\n")
