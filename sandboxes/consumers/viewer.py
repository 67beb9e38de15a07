"""What the viewers of terminals and of commands share: who looks, and how much is on its way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from project import events
from project.errors import Refused
from sandboxes.consumers.visitor import CloseCode, Visitor, visitor_of

logger = logging.getLogger(__name__)

# Of output so much may be under way to a page before it has drawn any of it, and it goes on
# once so little is left. The page acknowledges in smaller steps than that.
HIGH = 256 * 1024
LOW = 64 * 1024
WINDOW = 256 * 1024
# A page that has drawn nothing for so long is frozen: the program goes on without it.
FROZEN_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 60.0


class Frozen(Exception):
    """The page takes or draws nothing any more."""


class Viewer(AsyncWebsocketConsumer):
    """A page that is sent output no faster than it draws it, while its visitor may look."""

    visitor: Visitor
    # What was sent and what the page has drawn, as offsets into the output.
    sent = 0
    acked = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tasks: set[asyncio.Task[None]] = set()
        self._drawn = asyncio.Event()
        self._look_now = asyncio.Event()
        self._groups: set[str] = set()
        # What the connection has not taken yet: a frame, and how far the output is behind it.
        self._stuck: tuple[bytes, int] | None = None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work beside the frames that come; it ends with the connection."""
        task = asyncio.create_task(self._guarded(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except OSError:
            # The server's way to say that the page left while something was said to it.
            logger.debug("a viewer left in the middle of a frame", exc_info=True)
        except Exception:
            logger.exception("a viewer's work failed")
            await self.close(CloseCode.AGAIN)

    async def disconnect(self, code: int) -> None:
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for group in self._groups:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def join(self, group: str) -> None:
        """Hear what is said in a group, for as long as this connection is open."""
        self._groups.add(group)
        await self.channel_layer.group_add(group, self.channel_name)

    # --- Sent and drawn ---------------------------------------------------------------------

    async def send_output(self, data: bytes, *, tag: bytes = b"") -> None:
        """Send the output that comes next, and wait while too much is under way.

        Raises Frozen if the page takes or draws nothing: then let go of the output, wait
        `until_thawed`, and go on behind `sent`.
        """
        self._stuck = tag + data, self.sent + len(data)
        try:
            async with asyncio.timeout(FROZEN_SECONDS):
                await self._send_stuck()
                if self.sent - self.acked > HIGH:
                    await self._until_drawn()
        except TimeoutError:
            raise Frozen from None

    async def until_thawed(self) -> None:
        await self._send_stuck()
        await self._until_drawn()

    async def _send_stuck(self) -> None:
        if self._stuck is None:
            return
        # A frame that is waited for is not on its way: it may be given up and sent later.
        frame, position = self._stuck
        await self.send(bytes_data=frame)
        self._stuck, self.sent = None, position

    def note_drawn(self, position: int) -> None:
        self.acked = max(self.acked, min(position, self.sent))
        self._drawn.set()

    async def _until_drawn(self) -> None:
        while self.sent - self.acked > LOW:
            self._drawn.clear()
            await self._drawn.wait()

    # --- The visitor ------------------------------------------------------------------------

    async def watch_visitor(self) -> None:
        """See whether the visitor may still be here, for as long as they are."""
        self._groups.add(events.group_of(self.visitor.sandbox.project_id))
        while True:
            # Each time anew: the layer puts out who has taken nothing for a minute.
            for group in self._groups:
                await self.channel_layer.group_add(group, self.channel_name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await self._look_now.wait()
            self._look_now.clear()
            try:
                self.look_at(await visitor_of(self.scope, self.visitor.sandbox.pk))
            except Refused as refusal:
                await self.put_out(refusal.message)
                return
            except Exception:
                # The database may be away for a moment; who may look is seen the next time.
                logger.exception("a visitor could not be looked up")

    async def changed(self, event: dict[str, Any]) -> None:
        """Something has changed in the project; project/events.py says what."""
        if event["what"] == "member":
            self._look_now.set()
        elif event["what"] == "sandbox" and event["id"] == str(self.visitor.sandbox.pk):
            self.sandbox_changed()

    def sandbox_changed(self) -> None:
        """The sandbox has another state, perhaps."""

    def look_at(self, visitor: Visitor) -> None:
        """Raise Forbidden for a visitor who may no longer do what this connection does."""

    async def put_out(self, message: str) -> None:
        """Close the connection of somebody who may no longer be here."""
        await self.close(CloseCode.FORBIDDEN)
