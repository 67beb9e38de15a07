"""Fixtures of the sandboxes' tests. The index:

box       a running sandbox on the real server: sends requests to what is below it
sandbox   a running sandbox of `project` in this process, on the local engine
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from project.models import Project
from sandboxes import guests, lifecycle
from sandboxes.engine import close_engine
from sandboxes.models import Reason, Sandbox
from sandboxes.options import NewSandbox
from tests.server import Server


class Box:
    """One sandbox behind the API."""

    def __init__(self, server: Server, sandbox_id: str) -> None:
        self.server = server
        self.id = sandbox_id

    def request(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        return self.server.request(method, f"/sandbox/{self.id}{path}", **options)

    def data(self, method: str, path: str = "", **options: Any) -> Any:
        answer = self.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json().get("data")

    def run(self, command: str, **wish: Any) -> Any:
        return self.data("POST", "/exec", json={"command": command, **wish})


def make_box(server: Server, **wish: Any) -> Box:
    answer = server.request("POST", "/sandbox", json=wish)
    assert answer.status_code == 201, answer.text
    return Box(server, answer.json()["data"]["sandbox_id"])


@pytest.fixture
def box(server: Server) -> Iterator[Box]:
    made = make_box(server)
    yield made
    made.request("DELETE")


@pytest.fixture
async def sandbox(project: Project, settings: Any) -> AsyncIterator[Sandbox]:
    settings.SANDBOX_ENGINE = "local"
    await close_engine()
    sandbox = await lifecycle.create(project, NewSandbox())
    yield sandbox
    await lifecycle.kill(sandbox, reason=Reason.KILLED, by="test")
    await guests.close_all()
    await close_engine()
