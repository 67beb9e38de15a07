"""Records terminals as asciicast v3: https://docs.asciinema.org/manual/asciicast/v3/

A recorder is one more viewer of its terminal. What it has is in the database, in parts that know
how far they reach: when a server ends, another one goes on from there. Output and sizes only;
what people type is not recorded but for its echo.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.utils import timezone

from project import database, leases
from project.errors import Refused
from project.words import size
from sandboxes import guests, space, terminals
from sandboxes.guest.link import Attachment
from sandboxes.models import RecordingPart, Sandbox, Terminal

logger = logging.getLogger(__name__)

# A part is written when it is this old or this large.
PART_SECONDS = 2.0
PART_BYTES = 64 * 1024
WINDOW = 256 * 1024
# One process records a terminal; another goes on if it has not been heard of for so long. Until
# then the guest holds what is said.
LEASE_SECONDS = 30.0
RENEW_SECONDS = LEASE_SECONDS / 3

# After so much more it is asked whether the project's recordings have room left.
STEP_BYTES = 1024 * 1024

NO_ROOM = (
    "This terminal is not recorded: as much is recorded of this project's terminals as may be."
    " Whoever runs this server can allow more."
)

_recorders: dict[uuid.UUID, asyncio.Task[None]] = {}


def start(sandbox: Sandbox, terminal: Terminal) -> None:
    """Record a terminal from now on in this process, if it is to be recorded and is not."""
    if not terminal.recorded or terminal.pk in _recorders:
        return
    task = asyncio.create_task(_record(sandbox, terminal), name=f"recorder {terminal.pk}")
    _recorders[terminal.pk] = task
    task.add_done_callback(lambda _: _recorders.pop(terminal.pk, None))


async def resume_all() -> None:
    """Go on with the recordings that no process makes any more."""

    def find() -> list[Terminal]:
        rows = Terminal.objects.select_related("sandbox")
        return list(rows.filter(recorded=True, ended_at=None, sandbox__status="running"))

    for terminal in await database.read(find):
        start(terminal.sandbox, terminal)


async def stop_all() -> None:
    """Stop recording in this process; what was not written yet is read again by the next."""
    tasks = list(_recorders.values())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _lease_of(terminal: Terminal) -> str:
    return f"recording {terminal.pk.hex}"


async def _record(sandbox: Sandbox, terminal: Terminal) -> None:
    lease = _lease_of(terminal)
    if not await database.read(_may_go_on, sandbox, terminal) or not await database.write(
        leases.acquire, lease, LEASE_SECONDS
    ):
        return
    try:
        await _record_on(sandbox, terminal)
    finally:
        await asyncio.shield(database.write(leases.release, lease))


async def _record_on(sandbox: Sandbox, terminal: Terminal) -> None:
    """Record from where the last part ends."""
    last = await database.read(_last_part, terminal)
    begun, recorded = (last.end, last.seconds) if last else (0, 0.0)
    try:
        async with guests.linked(sandbox) as link:
            attachment = await link.attach(terminal.process_id, since=begun, window=WINDOW)
        recorder = _Recorder(sandbox, terminal, begun, recorded)
        try:
            async with _told_of_sizes(recorder, terminal):
                end = await recorder.follow(attachment)
        finally:
            await attachment.detach()
    except Refused as refusal:
        logger.info("the recording of terminal %s stopped: %s", terminal.pk, refusal)
        return
    if end is not None:
        await terminals.finish(sandbox, terminal, end=end)


@asynccontextmanager
async def _told_of_sizes(recorder: _Recorder, terminal: Terminal) -> AsyncIterator[None]:
    """Tell a recorder the size of its terminal, now and whenever a viewer changes it."""
    layer: Any = get_channel_layer()
    group, channel = terminals.group_of(terminal.pk), await layer.new_channel()

    async def listen() -> None:
        while True:
            message = await layer.receive(channel)
            if message["type"] == "terminal.size":
                recorder.note_size(message["rows"], message["cols"])

    await layer.group_add(group, channel)
    await database.read(terminal.refresh_from_db, fields=("rows", "columns"))
    recorder.note_size(terminal.rows, terminal.columns)
    listener = asyncio.create_task(listen())
    try:
        yield
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await layer.group_discard(group, channel)


def _may_go_on(sandbox: Sandbox, terminal: Terminal) -> bool:
    last = _last_part(terminal)
    is_long = last is not None and last.end > settings.RECORDING_MAX_BYTES
    return not is_long and not space.is_full(sandbox.project_id)


def _last_part(terminal: Terminal) -> RecordingPart | None:
    return RecordingPart.objects.filter(terminal=terminal).last()


class _Recorder:
    """Gathers events into parts."""

    def __init__(self, sandbox: Sandbox, terminal: Terminal, position: int, seconds: float) -> None:
        self._sandbox, self._terminal = sandbox, terminal
        self._position = self._asked_at = position
        self._seconds = seconds
        self._lines: list[str] = []
        self._size = 0
        self._before = self._part_began = self._renewed = time.monotonic()
        # A letter may come in two pieces.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    async def follow(self, attachment: Attachment) -> Any:
        """Write parts until the terminal ends; return its end, or None at the limit."""
        with guests.refusals():
            output = aiter(attachment.output())
            waiting = asyncio.ensure_future(anext(output, None))
            try:
                while True:
                    done, _ = await asyncio.wait({waiting}, timeout=PART_SECONDS)
                    if done:
                        chunk = waiting.result()
                        if chunk is None:
                            break
                        self._add(chunk.offset, chunk.data)
                        waiting = asyncio.ensure_future(anext(output, None))
                        if limit := await self._limit():
                            self._lines.append(_event(0.0, "o", f"\r\n[{limit}]\r\n"))
                            await self._write()
                            return None
                    if not await self._write_what_is_due():
                        return None
                await self._write()
                return await attachment.exit()
            finally:
                waiting.cancel()

    async def _limit(self) -> str:
        """Say which limit keeps this recording from going on; nothing if none does."""
        if self._position > settings.RECORDING_MAX_BYTES:
            return f"no more than {size(settings.RECORDING_MAX_BYTES)} of a terminal is recorded"
        if self._position - self._asked_at < STEP_BYTES:
            return ""
        self._asked_at = self._position
        if not await database.read(space.is_full, self._sandbox.project_id):
            return ""
        most = size(settings.PROJECT_RECORDING_MAX_BYTES)
        return f"no more than {most} of the terminals of a project is recorded"

    def note_size(self, rows: int, columns: int) -> None:
        self._lines.append(_event(self._interval(), "r", f"{columns}x{rows}"))

    def _interval(self) -> float:
        """Return how long the last event is ago; the recording is so much longer now."""
        now = time.monotonic()
        interval, self._before = now - self._before, now
        self._seconds += interval
        return interval

    def _add(self, offset: int, data: bytes) -> None:
        interval = self._interval()
        if offset > self._position:
            left_out = f"\r\n[{offset - self._position} bytes were not recorded]\r\n"
            self._lines.append(_event(interval, "o", left_out))
            interval = 0.0
        self._position = offset + len(data)
        self._lines.append(_event(interval, "o", self._decoder.decode(data)))
        self._size += len(data)

    async def _write_what_is_due(self) -> bool:
        """Write a part that is old or large enough; False if somebody else records by now."""
        now = time.monotonic()
        if now - self._renewed > RENEW_SECONDS:
            if not await database.write(leases.acquire, _lease_of(self._terminal), LEASE_SECONDS):
                return False
            self._renewed = now
        if now - self._part_began > PART_SECONDS or self._size > PART_BYTES:
            await self._write()
        return True

    async def _write(self) -> None:
        self._part_began = time.monotonic()
        if not self._size:
            # A size waits for what is drawn in it: a part is known by how far its output goes.
            return
        text, self._lines, self._size = "".join(self._lines), [], 0
        await database.note(
            RecordingPart.objects.get_or_create,
            terminal=self._terminal,
            end=self._position,
            defaults={"seconds": self._seconds, "lines": text},
        )


def _event(interval: float, code: str, text: str) -> str:
    return json.dumps([round(interval, 3), code, text.replace("\x00", "\ufffd")]) + "\n"


# --- Played -----------------------------------------------------------------------------------


def seconds_of(terminal: Terminal) -> float:
    """Return how long a recording is; 0 if there is none. Reads the database."""
    last = _last_part(terminal)
    return last.seconds if last else 0.0


async def lines_of(terminal: Terminal) -> AsyncGenerator[bytes]:
    """Give the lines of an asciicast file, part by part."""
    yield (json.dumps(_header(terminal, timezone.now())) + "\n").encode()
    end = -1
    while True:
        part = await database.read(
            RecordingPart.objects.filter(terminal=terminal, end__gt=end).first
        )
        if part is None:
            return
        end = part.end
        yield part.lines.encode()


def _header(terminal: Terminal, now: datetime) -> dict[str, Any]:
    begun = min(terminal.created_at, now)
    return {
        "version": 3,
        "term": {"cols": terminal.columns, "rows": terminal.rows, "type": "xterm-256color"},
        "timestamp": int(begun.timestamp()),
        "title": terminal.name,
    }
