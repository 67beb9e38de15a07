"""What the guest's tests do with guests and their links."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandboxes.engine.local import LocalStream
from sandboxes.guest import agent
from sandboxes.guest.link import Attachment, Link, ProcessExit, StartSpec
from tests.engine.boxes import lives

MIB = 2**20
TOKEN = "the token of every guest here"


@dataclass(frozen=True)
class Guest:
    """A running agent: the socket it listens on, its process, and the folder it takes for /."""

    name: str
    pid: int
    folder: Path

    async def connect(self) -> LocalStream:
        """Return a stream straight to the socket, without a relay."""
        end = socket.socket(socket.AF_UNIX)
        end.connect("\0" + self.name)
        return LocalStream(end)

    async def link(self) -> Link:
        return await Link.open(await self.connect(), TOKEN)

    def memory(self) -> int:
        """Return the most memory that it ever had, in bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the guest is gone")


@dataclass
class Result:
    """What a process said on each stream, and how it ended."""

    exit: ProcessExit
    stdout: bytes
    stderr: bytes
    pty: bytes
    # Offset and length of each piece.
    pieces: list[tuple[int, int]]


def a_process(script: str | None = None, **changes: Any) -> StartSpec:
    return StartSpec(uuid.uuid4().hex, script, **changes)


async def run(link: Link, script: str | None = None, **changes: Any) -> Result:
    """Run a process to its end."""
    return await result_of(await link.start(a_process(script, **changes)))


async def result_of(attachment: Attachment) -> Result:
    said = {stream: bytearray() for stream in agent.STREAMS}
    pieces = []
    async for chunk in attachment.output():
        said[chunk.stream] += chunk.data
        pieces.append((chunk.offset, len(chunk.data)))
    end = await attachment.exit()
    stdout, stderr, pty = (bytes(said[stream]) for stream in agent.STREAMS)
    return Result(end, stdout, stderr, pty, pieces)


async def until_said(attachment: Attachment, wanted: bytes, seconds: float = 10) -> bytes:
    """Read on until a process has said something; return all that was read."""
    said = bytearray()
    async with asyncio.timeout(seconds):
        async for chunk in attachment.output():
            said += chunk.data
            if wanted in said:
                return bytes(said)
    raise AssertionError(f"it ended and said {bytes(said)!r}")


async def ended(link: Link, process_id: str) -> ProcessExit:
    """Return how a process ended that nobody follows."""
    for _ in range(500):
        end = (await link.process(process_id)).exit
        if end is not None:
            return end
        await asyncio.sleep(0.02)
    raise AssertionError("the process does not end")


async def comes_true(condition: Callable[[], Any], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.01)
    return True


async def all_die(*pids: int) -> bool:
    return await comes_true(lambda: not any(map(lives, pids)))
