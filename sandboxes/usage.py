"""What a running sandbox uses now, as its guest reads it from the kernel."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sandboxes import guests
from sandboxes.guest.link import BoxProcess, Usage
from sandboxes.models import Sandbox

# Over so long the processor time of each process is looked at.
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Busy:
    """A process, and the share of one core that it takes now, in percent."""

    process: BoxProcess
    cpu_percent: float


async def now(sandbox: Sandbox) -> Usage:
    async with guests.linked(sandbox) as link:
        return await link.usage()


async def top(sandbox: Sandbox) -> tuple[list[Busy], int]:
    """Return what runs in a sandbox, the busiest first, and how many there are in all.

    Takes half a second. Raises Refused.
    """
    async with guests.linked(sandbox) as link:
        found, _ = await link.top()
        began, before = time.monotonic(), {one.pid: one for one in found}
        await asyncio.sleep(LOOK_SECONDS)
        found, total = await link.top()
    seconds = time.monotonic() - began
    busy = [Busy(one, _percent(before.get(one.pid), one, seconds)) for one in found]
    return sorted(busy, key=lambda one: (-round(one.cpu_percent), one.process.pid)), total


def _percent(before: BoxProcess | None, now: BoxProcess, seconds: float) -> float:
    # A process that has begun meanwhile, perhaps with the number of one that ended.
    is_new = before is None or now.cpu_seconds < before.cpu_seconds
    spent = now.cpu_seconds - (0.0 if is_new or before is None else before.cpu_seconds)
    return 100 * spent / seconds
