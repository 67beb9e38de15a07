"""A file of 2 GiB goes onto a disk and back, and the server's memory stays as it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(400)]

GIB = 2**30
MIB = 2**20
GROWTH = 64 * MIB


def growth_during(server: Server, work: Callable[[], Any]) -> int:
    """Return by how much the server's resident memory was above its start at the worst."""
    before, highest = server.memory_bytes(), 0
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        highest = max(highest, server.memory_bytes())
        time.sleep(0.05)
    thread.join()
    return highest - before


def test_two_gibibytes_move_with_memory_flat(tmp_path: Path) -> None:
    server = Server(tmp_path).start()
    try:
        wish = {"workspace_size": 2 * GIB + 256 * MIB}
        sandbox = server.request("POST", "/sandbox", json=wish).json()["data"]["sandbox_id"]
        disk = server.request("POST", "/disk").json()["data"]["id"]
        artifact = f"/disk/{disk}/artifact"
        answers: list[Any] = []

        def run(command: str) -> str:
            path = f"/sandbox/{sandbox}/exec"
            answer = server.request("POST", path, json={"command": command}, timeout=120)
            return str(answer.json()["data"]["stdout"])

        def take() -> None:
            wish = {
                "sandbox_id": sandbox,
                "sandbox_path": "/workspace",
                "sandbox_filename": "big",
                "file_path": "/",
            }
            path = f"{artifact}/upload_from_sandbox"
            answers.append(server.request("POST", path, json=wish, timeout=300))

        def put() -> None:
            wish = {
                "sandbox_id": sandbox,
                "sandbox_path": "/workspace",
                "filename": "big",
                "file_path": "/",
            }
            path = f"{artifact}/download_to_sandbox"
            answers.append(server.request("POST", path, json=wish, timeout=300))

        digest = run("head -c 2G /dev/urandom > big; sha256sum < big")
        assert growth_during(server, take) < GROWTH
        assert answers[-1].json()["data"]["sha256"] in digest
        # The workspace has no room for a second one: it says so and leaves no half file.
        put()
        assert answers[-1].status_code == 507, answers[-1].text
        assert run("ls -A") == "big\n"
        run("rm big")
        assert growth_during(server, put) < GROWTH
        assert answers[-1].status_code == 200, answers[-1].text
        assert run("sha256sum < big") == digest
    finally:
        server.end_sandboxes()
        server.stop()
