"""Ends every sandbox of every project at once, for whoever has to free the machine."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from project import database
from project.errors import Refused
from sandboxes import lifecycle
from sandboxes.models import ALIVE, Sandbox

PARALLEL = 8


async def stop_all(by: str) -> list[tuple[Sandbox, str]]:
    """End every sandbox that is alive, paused or being made. Return each with its problem, or ""."""
    places = asyncio.Semaphore(PARALLEL)

    async def stop(sandbox: Sandbox) -> tuple[Sandbox, str]:
        async with places:
            try:
                with suppress(lifecycle.EndsLater):
                    await lifecycle.kill(sandbox, by=by)
            except Refused as refusal:
                return sandbox, refusal.message
            return sandbox, ""

    def alive() -> list[Sandbox]:
        return list(Sandbox.objects.filter(status__in=ALIVE))

    return list(await asyncio.gather(*(stop(sandbox) for sandbox in await database.read(alive))))
