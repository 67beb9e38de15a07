"""Fixtures of the sandboxes' tests. The index:

box     a running sandbox on the real server: sends requests to what is below it
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

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
