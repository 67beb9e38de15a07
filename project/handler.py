"""Django for the requests of the API: async all the way down.

Django's own handler gives every request a thread, and sends signals through it, for the sync
code that a site may have. The API has none: its database work runs in project/database.py. What
is left out here is half of what an exec would cost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.core import signals
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from project.body_limit import DRAIN, FILES, UPLOAD, Receive, Scope, Send
from project.envelope import API, error_response
from project.middleware import ApiErrorMiddleware, RequestIdMiddleware

# A body up to this is held in memory, a larger one on disk.
IN_MEMORY_BYTES = 1024 * 1024


# A client that has been answered may send on for so long.
DRAIN_SECONDS = 10.0


class ClientGone(ConnectionError):
    """The client closed the connection before its answer was complete."""


class ApiRequest(ASGIRequest):
    """A request whose body may still be on its way."""

    incoming: AsyncIterator[bytes] | None = None


class ApiHandler(ASGIHandler):
    """Serves the API without Django's threads and signals, and without the middleware of pages."""

    def load_middleware(self, is_async: bool = True) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        answer: Any = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]
        self._middleware_chain = RequestIdMiddleware(ApiErrorMiddleware(answer))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(ClientGone):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        set_script_prefix(scope.get("root_path", ""))
        streamed = scope["method"] == "PUT" and FILES.search(scope["path"]) is not None
        body: IO[bytes] = BytesIO() if streamed else await _gather(receive)
        try:
            request = ApiRequest(scope, body)
        except (UnicodeDecodeError, RequestDataTooBig):
            await self.send_response(error_response(400, "the request cannot be read"), send)
            return
        if streamed:
            request.incoming = _stream(receive)
            await self._answer(request, send)
        else:
            await self._answer_or_cancel(request, receive, send)
        body.close()

    async def _answer(self, request: ApiRequest, send: Send) -> None:
        response: HttpResponseBase = await self.get_response_async(request)
        await self.send_response(response, send)

    async def _answer_or_cancel(self, request: ApiRequest, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes away first: then what it asked for is cancelled."""
        answering = asyncio.ensure_future(self._answer(request, send))
        leaving = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not answering.done():
                answering.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if answering.cancelled():
            raise ClientGone
        answering.result()


async def _gather(receive: Receive) -> IO[bytes]:
    """Read a body whole, to memory or to disk."""
    body = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, mode="w+b")  # noqa: SIM115
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            body.close()
            raise ClientGone
        piece = message.get("body", b"")
        if body.tell() + len(piece) > IN_MEMORY_BYTES:
            await asyncio.to_thread(body.write, piece)
        elif piece:
            body.write(piece)
        more = message.get("more_body", False)
    body.seek(0)
    return body


async def _stream(receive: Receive) -> AsyncIterator[bytes]:
    """Give a body piece by piece, as the client sends it."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message.get("body"):
            yield message["body"]
        more = message.get("more_body", False)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class PageHandler(ASGIHandler):
    """Serves pages. A piece of an upload reaches its view while it arrives, as `incoming`."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        is_piece = scope["method"] in ("PATCH", "POST") and UPLOAD.match(scope["path"])
        if not is_piece or "refusal" in scope:
            await super().handle(scope, receive, send)
            return
        set_script_prefix(scope.get("root_path", ""))
        await signals.request_started.asend(sender=self.__class__, scope=scope)
        try:
            request = ApiRequest(scope, BytesIO())
        except (UnicodeDecodeError, RequestDataTooBig):
            await self.send_response(HttpResponseBadRequest(), send)
            return
        incoming = request.incoming = _stream(receive)
        response: HttpResponseBase = await self.run_get_response(request)
        with contextlib.suppress(ClientGone, TimeoutError):
            # Who is still sending cannot read an answer.
            async with asyncio.timeout(DRAIN_SECONDS):
                await _drain(incoming)
        await self.send_response(response, send)
        await sync_to_async(response.close)()


async def _drain(incoming: AsyncIterator[bytes]) -> None:
    """Take what is still on its way, and drop it."""
    taken = 0
    async for piece in incoming:
        taken += len(piece)
        if taken > DRAIN:
            return


class Handler:
    """Gives pages to Django's own handler, and the API to the lean one."""

    def __init__(self) -> None:
        self.pages = PageHandler()
        self.api = ApiHandler()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        handler = self.api if scope["path"].startswith(API) else self.pages
        await handler(scope, receive, send)
