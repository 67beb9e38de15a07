"""How much of a request body is taken, decided before Django writes any of it to disk.

Django gathers the whole body before a view runs, for an address that does not exist too. So
the bound stands in front: a size for each kind of address, and nothing large without a key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.http import JsonResponse, parse_cookie

from project import database, keys
from project.api import bearer_token
from project.envelope import API, error_response
from project.errors import Refused, TooLarge, Unauthorized
from project.sessions import SessionStore

# Django, channels and the server each have stricter types of their own for the same things.
type Scope = Any
type Message = Any
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Any, Any, Any], Awaitable[None]]

MIB = 2**20
# A form, or the JSON of an ordinary call.
SMALL = 1 * MIB
# The parts of a multipart upload beside the file itself.
MULTIPART_MARGIN = 1 * MIB
# A client that is still sending cannot read an answer, so what is too much is taken and
# dropped, up to this; who sends on after that is cut off.
DRAIN = 64 * MIB

ARTIFACT = re.compile(r"/api/v1/disk/[^/]+/artifact$")
FILES = re.compile(r"/api/v1/sandbox/[^/]+/files$")
# A text that is saved in the browser, as JSON.
SAVED = re.compile(r"/(disks|sandboxes)/[^/]+/file-actions/(create|save)$")
SAVED_BYTES = 20 * MIB
# A piece of an upload from a browser; it is written out while it arrives.
UPLOAD = re.compile(r"/uploads/[^/]+$")


def limit_for(method: str, path: str) -> int:
    """Return how many bytes of body a request may have."""
    if method == "POST" and ARTIFACT.match(path):
        return int(settings.ARTIFACT_MAX_UPLOAD_BYTES) + MULTIPART_MARGIN
    if method == "PUT" and FILES.match(path):
        return int(settings.TRANSFER_MAX_BYTES)
    if path.startswith(API):
        return int(settings.API_MAX_BODY_BYTES)
    if method == "POST" and SAVED.match(path):
        return SAVED_BYTES
    if method in ("PATCH", "POST") and UPLOAD.match(path):
        return int(settings.UPLOAD_MAX_BYTES)
    return SMALL


class BodyLimit:
    """Answers 413 to a body over the limit, and 401 to a large one without a key or a session.

    A page's refusal is left to Django, which has the look of pages: it gets an empty body, and
    the refusal in the scope.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        limit = limit_for(scope["method"], scope["path"])
        body = _Counted(receive, limit)
        try:
            await self._admit(scope, limit)
            await self.app(scope, body, send_and_note)
        except Refused as refusal:
            if started:
                raise
            await body.drain()
            if not scope["path"].startswith(API):
                await self.app({**scope, "refusal": refusal}, _nothing(), send)
                return
            await _answer(send, error_response(refusal.status, refusal.message, refusal.tag))

    async def _admit(self, scope: Scope, limit: int) -> None:
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise _over(limit)
        chunked = b"transfer-encoding" in headers
        if not chunked and (not announced.isdigit() or int(announced) <= SMALL):
            return
        if scope["path"].startswith(API):
            token = bearer_token(headers.get(b"authorization", b"").decode("latin-1"))
            if await keys.recognise(token) is None:
                raise Unauthorized("Unauthorized: this API key is unknown or was revoked")
        elif not await database.read(_has_session, headers.get(b"cookie", b"").decode("latin-1")):
            raise Unauthorized("you are signed out; sign in and try again", tag="signed_out")


def _has_session(cookies: str) -> bool:
    """Tell whether a visitor has a session here; what they may do is seen later."""
    key = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME, "")
    return bool(key) and SessionStore().exists(key)


class _Counted:
    """Passes the body on until it is over the limit: a length may be missing, or a lie."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive = receive
        self.limit = limit
        self.taken = 0
        self.more = True

    async def __call__(self) -> Message:
        message = await self._next()
        if self.taken > self.limit:
            raise _over(self.limit)
        return message

    async def drain(self) -> None:
        """Take what is still on its way, and drop it."""
        until = self.taken + DRAIN
        while self.more and self.taken <= until:
            await self._next()

    async def _next(self) -> Message:
        message = await self.receive()
        self.taken += len(message.get("body", b""))
        self.more = bool(message.get("more_body"))
        return message


def _nothing() -> Receive:
    """Return what receives an empty body, and then no news of the client."""
    is_given = False

    async def receive() -> Message:
        nonlocal is_given
        if is_given:
            await asyncio.Event().wait()
        is_given = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


def _over(limit: int) -> TooLarge:
    return TooLarge(f"the body is over the limit of {limit / MIB:g} MiB for this address")


async def _answer(send: Send, response: JsonResponse) -> None:
    headers = [
        (b"content-type", response["Content-Type"].encode()),
        (b"content-length", str(len(response.content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
