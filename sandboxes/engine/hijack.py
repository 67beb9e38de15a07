"""The byte stream of one exec: an HTTP connection to Docker that both sides keep.

docker-py offers this only as a blocking socket, which would cost a thread for each stream.
Here the connection is opened on the event loop, over a Unix socket, TCP or TLS, and Docker's
framing is taken off. Nothing is buffered without a bound in either direction: a reader who
is slow pauses the socket, and a writer who is fast waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from .base import EngineError, EngineUnavailable
from .endpoint import Endpoint, tls_context

log = logging.getLogger(__name__)

KIB = 2**10
CONNECT_SECONDS = 0.9
RECEIVE_BYTES = 256 * KIB
PAUSE_READING_ABOVE = 1024 * KIB
RESUME_READING_BELOW = 256 * KIB
PAUSE_WRITING_ABOVE = 256 * KIB
# A stream that gave so much in so short a time rests after a piece that is smaller than a gulp.
BUSY_SECONDS = 0.01
BUSY_BYTES = 256 * KIB
GULP_BYTES = 128 * KIB
REST_SECONDS = 0.001
LONGEST_HEAD = 16 * KIB
LONGEST_STDERR_LINE = 2 * KIB

# Docker puts this before each piece of output: the stream, three zero bytes, the length.
FRAME_HEADER = struct.Struct(">BxxxL")
STDOUT, STDERR, SYSTEM_ERROR = 1, 2, 3

# The engine says so as if it were output of the program that it could not start.
NOT_STARTED = b"OCI runtime exec failed"


class UpgradeRefused(Exception):
    """The engine answered with an error instead of a stream."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Demultiplexer:
    """Takes Docker's frames off. Fed with pieces of any size, it keeps less than one header."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._stream = STDOUT
        self._left = 0

    def feed(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield each piece of payload with its stream. The pieces are views into `data`."""
        position, end = 0, len(data)
        while position < end:
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                yield self._stream, piece
                continue
            missing = FRAME_HEADER.size - len(self._header)
            self._header += data[position : position + missing]
            position += missing
            if len(self._header) == FRAME_HEADER.size:
                self._stream, self._left = FRAME_HEADER.unpack(self._header)
                self._header.clear()
                if self._stream > SYSTEM_ERROR:
                    raise EngineError("The engine broke the framing of a stream.")


class HijackedStream(asyncio.BufferedProtocol):
    """A ByteStream over one hijacked connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._socket = connection
        self._busy_since = 0.0
        self._busy_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._receive = memoryview(bytearray(RECEIVE_BYTES))
        self._head = bytearray()
        self._answer: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._demultiplexer = Demultiplexer()
        self._chunks: deque[bytes] = deque()
        self._taken = 0  # of the first chunk
        self._buffered = 0
        self._reading_paused = False
        self._started = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = False
        self._error: EngineError | None = None

    # What a ByteStream does.

    async def read(self, limit: int) -> bytes:
        """Return at least one byte, or b"" at the end."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        chunk = self._take(limit)
        self._buffered -= len(chunk)
        if self._reading_paused and self._buffered < RESUME_READING_BELOW:
            self._resume_reading()
        return chunk

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, and wait while the box is slow to take it."""
        await self._writable.wait()
        if self._ended or self._transport is None:
            raise EngineUnavailable("The stream to the box has ended.")
        # The transport may keep what it cannot send at once, so it gets bytes of its own.
        self._transport.write(data if isinstance(data, bytes) else bytes(data))
        await self._writable.wait()

    async def close(self) -> None:
        """Let go of the connection, whatever is still under way on it."""
        self._end(None)
        self._chunks.clear()
        self._taken = self._buffered = 0
        # Docker must see the end at once: a stream that stays open and unread while its
        # process is killed wedges the engine.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._transport is None:
            self._socket.close()
            return
        self._transport.abort()
        await asyncio.shield(self._lost)

    # How the connection is opened.

    async def upgrade(self, request: bytes) -> None:
        """Send the request and wait until the engine hands the connection over."""
        await self.write(request)
        await self._answer

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=PAUSE_WRITING_ABOVE)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._receive

    def buffer_updated(self, nbytes: int) -> None:
        data = self._receive[:nbytes]
        try:
            if self._answer.done():
                self._take_frames(data)
            else:
                self._take_head(data)
        except EngineError as error:
            self._end(error)
            if self._transport is not None:
                self._transport.abort()
            return
        self._rest_if_busy(nbytes)

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(None)
        if not self._answer.done():
            self._answer.set_exception(EngineUnavailable("The engine closed the connection."))
            self._answer.exception()  # known, also if nobody waits for it any more
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # Steps of those.

    def _take(self, limit: int) -> bytes:
        chunk, start = self._chunks[0], self._taken
        if start == 0 and len(chunk) <= limit:
            return self._chunks.popleft()
        self._taken = min(start + limit, len(chunk))
        part = chunk[start : self._taken]
        if self._taken == len(chunk):
            self._chunks.popleft()
            self._taken = 0
        return part

    def _take_frames(self, data: memoryview) -> None:
        pieces = []
        for stream, piece in self._demultiplexer.feed(data):
            if stream == STDERR:
                log.debug("stderr of a stream: %r", bytes(piece[:LONGEST_STDERR_LINE]))
                continue
            if not self._started and bytes(piece[: len(NOT_STARTED)]) == NOT_STARTED:
                log.warning("exec failed: %s", bytes(piece).decode(errors="replace").strip())
                raise EngineError("The engine could not run the program in the box.")
            self._started = True
            pieces.append(piece)
        if pieces:
            # Docker cuts output small; what came at once goes on at once.
            chunk = b"".join(pieces)
            self._chunks.append(chunk)
            self._buffered += len(chunk)
        self._readable.set()
        if self._buffered > PAUSE_READING_ABOVE and not self._reading_paused:
            self._pause_reading()

    def _take_head(self, data: memoryview) -> None:
        self._head += data
        head, separator, rest = self._head.partition(b"\r\n\r\n")
        if len(self._head) > LONGEST_HEAD:
            raise EngineUnavailable("The engine's answer is not one of Docker's.")
        if not separator:
            return
        status = _status(bytes(head))
        if status in (101, 200):
            self._answer.set_result(None)
            self._head.clear()
            self._take_frames(memoryview(bytes(rest)))
        elif (message := _message(bytes(rest))) is not None:
            self._answer.set_exception(UpgradeRefused(status, message))

    def _rest_if_busy(self, nbytes: int) -> None:
        """Let a busy stream gather for a moment: many small pieces cost more than a few large."""
        now = self._loop.time()
        if now - self._busy_since > BUSY_SECONDS:
            self._busy_since, self._busy_bytes = now, 0
        self._busy_bytes += nbytes
        if self._busy_bytes > BUSY_BYTES and nbytes < GULP_BYTES and not self._reading_paused:
            self._pause_reading()
            self._loop.call_later(REST_SECONDS, self._resume_if_wanted)

    def _resume_if_wanted(self) -> None:
        if self._reading_paused and self._buffered < RESUME_READING_BELOW:
            self._resume_reading()

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._reading_paused = True

    def _resume_reading(self) -> None:
        self._reading_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _end(self, error: EngineError | None) -> None:
        if not self._ended:
            self._ended, self._error = True, error
        self._readable.set()
        self._writable.set()


async def open_exec(endpoint: Endpoint, version: str, exec_id: str) -> HijackedStream:
    """Start a prepared exec and take its connection over."""
    body = json.dumps({"Detach": False, "Tty": False}).encode()
    request = (
        f"POST /v{version}/exec/{exec_id}/start HTTP/1.1\r\n"
        f"Host: {endpoint.host or 'docker'}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: Upgrade\r\n"
        "Upgrade: tcp\r\n\r\n"
    ).encode() + body
    stream = await _connect(endpoint)
    try:
        await stream.upgrade(request)
    except BaseException:
        await stream.close()
        raise
    return stream


async def _connect(endpoint: Endpoint) -> HijackedStream:
    loop = asyncio.get_running_loop()
    connection = await _open_socket(endpoint)
    stream = HijackedStream(connection)
    try:
        if endpoint.socket_path:
            await loop.create_unix_connection(lambda: stream, sock=connection)
        else:
            certificates = endpoint.certificates
            await loop.create_connection(
                lambda: stream,
                sock=connection,
                ssl=tls_context(certificates) if certificates else None,
                server_hostname=endpoint.host if certificates else None,
            )
    except BaseException:
        await stream.close()
        raise
    return stream


async def _open_socket(endpoint: Endpoint) -> socket.socket:
    """Connect a socket of our own: only then can `close` shut it down on every event loop."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        family, address = await _resolve(endpoint)
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
        except BaseException:
            connection.close()
            raise
    return connection


async def _resolve(endpoint: Endpoint) -> tuple[int, Any]:
    if endpoint.socket_path:
        return socket.AF_UNIX, endpoint.socket_path
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return found[0][0], found[0][4]


def _status(head: bytes) -> int:
    parts = head.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        raise EngineUnavailable("The engine's answer is not one of Docker's.")
    return int(parts[1])


def _message(body: bytes) -> str | None:
    """Return the message of an error answer, or None while it is not all there."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return str(answer.get("message", "")) if isinstance(answer, dict) else ""
