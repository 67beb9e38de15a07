"""The WebSocket of a command's output, as it comes.

Binary frames are output: one byte for the stream (0 stdout, 1 stderr), then what was said.
Text frames are JSON, told apart by `t`:

to the page     hello   {pos, reset}: what follows starts at `pos`; if `reset`, clear first
                exit    {state, words, detail}: the command has ended; then the socket is closed
from the page   ack     {pos}: everything before `pos` has been drawn

`pos` counts the bytes of both streams. Only so much is sent ahead of what was drawn; a page that cannot keep up misses what the guest no longer holds, and never holds the command up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from urllib.parse import parse_qs

from project import database
from project.errors import Forbidden, NotFound, Refused
from sandboxes import commands, guests
from sandboxes.consumers.viewer import WINDOW, Frozen, Viewer
from sandboxes.consumers.visitor import CloseCode, visitor_of
from sandboxes.guest.link import OutputChunk
from sandboxes.models import Command, CommandStatus
from sandboxes.outcome import Outcome

logger = logging.getLogger(__name__)

PIECE = 64 * 1024
STREAMS = {"stdout": b"\x00", "stderr": b"\x01"}
ATTEMPTS = 5
PAUSE_SECONDS = 0.3
MAX_MESSAGE = 1024


class OutputConsumer(Viewer):
    """One viewer of one command."""

    row: Command
    greeted = False

    async def connect(self) -> None:
        arguments = self.scope["url_route"]["kwargs"]
        query = parse_qs(self.scope["query_string"].decode(errors="replace"))
        self.sent = self.acked = _position(query.get("pos", [""])[0])
        await self.accept()
        try:
            self.visitor = await visitor_of(self.scope, arguments["sandbox_id"])
            self.row = await commands.find(self.visitor.sandbox, arguments["command_id"])
        except Forbidden:
            await self.close(CloseCode.FORBIDDEN)
        except NotFound:
            await self.close(CloseCode.NOT_FOUND)
        else:
            self.spawn(self._follow())
            self.spawn(self.watch_visitor())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data is None or len(text_data) > MAX_MESSAGE:
            return
        with contextlib.suppress(ValueError, TypeError, KeyError):
            message = json.loads(text_data)
            if isinstance(message, dict) and message.get("t") == "ack":
                self.note_drawn(int(message["pos"]))

    async def _follow(self) -> None:
        """Send what the command says until it has ended, over as many links as that takes."""
        for _ in range(ATTEMPTS):
            if self.row.status != CommandStatus.RUNNING:
                break
            try:
                await self._send_from_guest()
            except NotFound:
                # It has not begun, or is forgotten, or the sandbox has ended.
                await commands.wait_for_row(self.row)
            except Refused as refusal:
                logger.info("output of command %s: %s", self.row.pk, refusal)
                await asyncio.sleep(PAUSE_SECONDS)
                await database.read(self.row.refresh_from_db)
            else:
                await commands.wait_for_row(self.row)
                break
        if self.row.status == CommandStatus.RUNNING:
            await self.close(CloseCode.AGAIN)
            return
        if not self.greeted:
            await self._send_from_history()
        await self._say("exit", **Outcome(self.row).as_words())
        await self.close(CloseCode.ENDED)

    async def _send_from_guest(self) -> None:
        while True:
            try:
                await self._attach_and_send()
            except Frozen:
                # Nothing is held up for it meanwhile.
                await self.until_thawed()
            else:
                return

    async def _attach_and_send(self) -> None:
        async with guests.linked(self.visitor.sandbox) as link:
            attachment = await link.attach(self.row.process_id, since=self.sent, window=WINDOW)
            try:
                if not self.greeted:
                    await self._greet(self.sent)
                async for chunk in attachment.output():
                    await self._send_chunk(chunk)
            finally:
                with contextlib.suppress(Refused):
                    await attachment.detach()

    async def _send_from_history(self) -> None:
        """Send what is kept of an ended command: first all of stdout, then all of stderr."""
        self.sent = self.acked = 0
        await self._greet(0, reset=True)
        for stream, text in (("stdout", self.row.stdout), ("stderr", self.row.stderr)):
            for piece in _pieces(text.encode()):
                try:
                    await self.send_output(piece, tag=STREAMS[stream])
                except Frozen:
                    await self.until_thawed()

    async def _greet(self, position: int, *, reset: bool = False) -> None:
        self.sent = self.acked = position
        self.greeted = True
        await self._say("hello", pos=position, reset=reset)

    async def _send_chunk(self, chunk: OutputChunk) -> None:
        if chunk.offset != self.sent:
            # The guest held no longer what was missing.
            await self._greet(chunk.offset, reset=True)
        tag = STREAMS.get(chunk.stream, STREAMS["stdout"])
        for piece in _pieces(chunk.data):
            await self.send_output(piece, tag=tag)

    async def _say(self, kind: str, **message: object) -> None:
        await self.send(text_data=json.dumps({"t": kind, **message}))


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def _position(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0
