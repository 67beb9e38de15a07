"""What starts and stops with a server process."""

from __future__ import annotations

import asyncio
import gc
import logging

from disks import jobs
from project import database, examinations
from project.body_limit import App, Receive, Scope, Send
from sandboxes import fitness, guests, health, recording, supervisor
from sandboxes.engine import close_engine

logger = logging.getLogger(__name__)

_tasks: set[asyncio.Task[None]] = set()


async def startup() -> None:
    # What is there by now stays: no collection has to look at it again.
    gc.collect()
    gc.freeze()
    supervisor.start()
    _tasks.add(asyncio.create_task(fitness.examine()))
    _tasks.add(asyncio.create_task(health.watch()))


async def shutdown() -> None:
    """Let go of everything. Sandboxes go on and are found again."""
    for task in _tasks:
        task.cancel()
    await asyncio.gather(*_tasks, return_exceptions=True)
    await supervisor.stop()
    await examinations.stop()
    await fitness.stop()
    await jobs.stop()
    await recording.stop_all()
    await guests.close_all()
    await close_engine()
    await database.close()


class Lifespan:
    """Answers the server's lifespan events and passes everything else on."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        await receive()
        await startup()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await shutdown()
        except Exception:
            logger.exception("the server did not stop cleanly")
        await send({"type": "lifespan.shutdown.complete"})
