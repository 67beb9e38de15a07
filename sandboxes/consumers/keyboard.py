"""What is typed into a terminal, on its way to the guest: in order, bounded, never dropped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from project.errors import Refused, TooMany
from sandboxes import guests, terminals
from sandboxes.models import Sandbox, Terminal

logger = logging.getLogger(__name__)

# A page that sends more than this ahead of what was taken breaks the protocol.
MAX_WAITING = 1024 * 1024
PIECE = 16 * 1024
INTERRUPT = b"\x03"
# A program that has not taken its input for so long is interrupted past what waits for it.
STUCK_SECONDS = 0.3
BUSY_SECONDS = 0.05


class Keyboard:
    """Writes to one terminal. `typed` is told how many bytes the terminal has taken in all."""

    def __init__(
        self, sandbox: Sandbox, terminal: Terminal, typed: Callable[[int], Awaitable[None]]
    ) -> None:
        self._sandbox, self._terminal, self._typed = sandbox, terminal, typed
        self._waiting = bytearray()
        self._more = asyncio.Event()
        self._writing_since = 0.0
        self._taken = 0
        self._interrupting: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._write_all())

    def type(self, data: bytes) -> bool:
        """Take what was typed; False if too much waits already."""
        if len(self._waiting) + len(data) > MAX_WAITING:
            return False
        if INTERRUPT in data and self._is_stuck():
            # As a terminal does: Ctrl-C goes past what was typed ahead, and drops it.
            self._taken += len(self._waiting) + len(data)
            self._waiting.clear()
            self._interrupting = asyncio.create_task(self._interrupt())
            return True
        self._waiting += data
        self._more.set()
        return True

    def _is_stuck(self) -> bool:
        return self._writing_since > 0 and time.monotonic() - self._writing_since > STUCK_SECONDS

    async def _interrupt(self) -> None:
        with contextlib.suppress(Refused):
            await terminals.send_signal(self._sandbox, self._terminal, "INT")

    async def _write_all(self) -> None:
        while True:
            await self._more.wait()
            while self._waiting:
                piece = bytes(self._waiting[:PIECE])
                del self._waiting[:PIECE]
                await self._write(piece)
            self._more.clear()

    async def _write(self, piece: bytes) -> None:
        self._writing_since = time.monotonic()
        try:
            await self._hand_over(piece)
        except Refused as error:
            # The shell has ended, or its sandbox has: the output says so.
            logger.info("input to terminal %s was not taken: %s", self._terminal.id, error)
        finally:
            self._writing_since = 0.0
        self._taken += len(piece)
        await self._typed(self._taken)

    async def _hand_over(self, piece: bytes) -> None:
        while True:
            try:
                async with guests.linked(self._sandbox) as link:
                    await link.write_stdin(self._terminal.process_id, piece)
            except TooMany:
                # What another viewer typed is on its way still.
                await asyncio.sleep(BUSY_SECONDS)
            else:
                return

    async def close(self) -> None:
        """Stop, once what was received has been handed over or cannot be."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while self._waiting or self._writing_since:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
