"""Ends the open WebSockets of a session when it ends, and not only at their next look."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from channels.layers import get_channel_layer

from project import database, sessions
from project.body_limit import App, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

# The page comes back at once, with the cookie it has now, and is let in or told why not. So the
# other pages of a browser that has just changed the password go on, under its new session.
COME_BACK = 1012


def _group_of(user_id: int) -> str:
    """Return the channel group of all sockets that a person has open."""
    return f"user.{user_id}"


async def look_again(user_id: int) -> None:
    """Have all sockets of a person see whether their session is still one."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(_group_of(user_id), {"type": "look.again"})
    except Exception:
        # They look by themselves now and then.
        logger.exception("open sockets were not told that a session ended")


class EndWithSession:
    """Stands before every WebSocket of somebody who is signed in."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        layer = get_channel_layer()
        if layer is None or not scope["user"].is_authenticated:
            await self.app(scope, receive, send)
            return
        group, channel = _group_of(scope["user"].pk), await layer.new_channel()
        # Before the application asks who is there: nothing is missed in between.
        await layer.group_add(group, channel)
        socket = _Socket(scope["session"].session_key, receive, send)
        watching = asyncio.create_task(socket.end_when_told(layer, channel))
        try:
            await self.app(scope, socket.receive, socket.send)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await layer.group_discard(group, channel)


class _Socket:
    """One open socket. Once its session has ended, nothing passes either way but the goodbye."""

    def __init__(self, session_key: str | None, receive: Receive, send: Send) -> None:
        self._session_key, self._receive, self._send = session_key, receive, send
        self._ended = False

    async def end_when_told(self, layer: Any, channel: str) -> None:
        while not self._ended:
            await layer.receive(channel)
            try:
                self._ended = await database.read(sessions.user_of, self._session_key) is None
            except Exception:
                logger.exception("it was not seen whether a session has ended")
        await self._send({"type": "websocket.close", "code": COME_BACK})

    async def receive(self) -> Message:
        message = await self._receive()
        while self._ended and message["type"] == "websocket.receive":
            message = await self._receive()
        return message

    async def send(self, message: Message) -> None:
        if not self._ended:
            await self._send(message)
