"""Does the engine answer? Asked now and then, so that pages can say so before anybody tries."""

from __future__ import annotations

import asyncio
import logging

from project import events
from sandboxes.engine import get_engine
from sandboxes.engine.base import EngineError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 5.0

_away = False


def engine_is_away() -> bool:
    """Say whether the engine failed to answer when it was last asked."""
    return _away


async def look() -> bool:
    """Ask the engine whether it is there; tell the pages if that has changed."""
    global _away
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await get_engine().ping()
    except (EngineError, TimeoutError, OSError) as error:
        away, why = True, str(error)
    else:
        away, why = False, ""
    if away != _away:
        _away = away
        logger.warning("the engine %s", f"does not answer: {why}" if away else "answers again")
        await events.changed_everywhere("engine")
    return not away


async def watch() -> None:
    """Look for ever."""
    while True:
        await look()
        await asyncio.sleep(LOOK_SECONDS)
