"""A terminal's WebSocket, spoken to as a page does."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.server import ADMIN, PASSWORD, Server

PROTOCOL = "sbx.term.v1"


class Browser:
    """Somebody who is signed in, without a browser's window."""

    def __init__(self, server: Server, username: str = ADMIN, password: str = PASSWORD) -> None:
        self.server = server
        self.client = httpx.Client(base_url=server.url, timeout=30)
        token = self._token("/login/")
        form = {"username": username, "password": password, "csrfmiddlewaretoken": token}
        answer = self.client.post("/login/", data=form, headers={"Referer": server.url})
        assert answer.status_code == 302, answer.text

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def _token(self, page: str) -> str:
        """Return a page's token. What is sent from now on comes from this page."""
        text = self.client.get(page).text
        shown = re.search(r'data-project="([^"]+)"', text)
        if shown is not None:
            self.client.headers["X-Project"] = shown[1]
        found = re.search(r'name="csrf-token" content="(\w+)"', text)
        assert found is not None
        return found.group(1)

    def post(self, path: str, **form: str) -> httpx.Response:
        """Post a form as a script of the page does."""
        headers = {
            "Accept": "application/json",
            "X-CSRFToken": self._token("/"),
            "Referer": f"{self.server.url}/",
        }
        return self.client.post(path, data=form, headers=headers)

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())


class Socket:
    """A viewer of a terminal that remembers what it was told."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.output = b""
        self.said: list[dict[str, Any]] = []
        self.position = 0
        self.acknowledges = True

    async def say(self, kind: str, **more: Any) -> None:
        await self.connection.send(json.dumps({"t": kind, **more}))

    async def type(self, data: bytes) -> None:
        await self.connection.send(data)

    async def take(self) -> None:
        """Take one frame."""
        frame = await self.connection.recv()
        if isinstance(frame, bytes):
            self.output += frame
            self.position += len(frame)
            if self.acknowledges:
                await self.say("ack", pos=self.position)
            return
        message = json.loads(frame)
        self.said.append(message)
        if message["t"] == "hello":
            self.position = message["pos"]

    async def until(self, text: bytes, seconds: float = 15) -> bytes:
        """Take frames until the output holds a text."""
        async with asyncio.timeout(seconds):
            while text not in self.output:
                await self.take()
        return self.output

    async def told(self, kind: str, seconds: float = 15, **more: Any) -> dict[str, Any]:
        """Take frames until such a message came; return it."""
        async with asyncio.timeout(seconds):
            while True:
                for message in self.said:
                    if message["t"] == kind and more.items() <= message.items():
                        return message
                await self.take()


@asynccontextmanager
async def terminal(
    browser: Browser, path: str, *, origin: str | None = None, query: str = ""
) -> AsyncIterator[Socket]:
    address = f"ws://127.0.0.1:{browser.server.port}{path}{query}"
    async with connect(
        address,
        subprotocols=[PROTOCOL],  # type: ignore[list-item]
        origin=origin or browser.server.url,  # type: ignore[arg-type]
        additional_headers={"Cookie": browser.cookie},
        max_size=None,
        ping_interval=None,
    ) as connection:
        yield Socket(connection)
