"""Boxes are made only where they are isolated, and only from images that can carry a guest.

The engine is examined once in a process and each image once, by its id; what comes out is kept.
All who wait for an examination wait for the same one. One that could not be made is made again for
the next sandbox.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from django.conf import settings

from project.errors import Failed, Invalid, Unavailable
from sandboxes import guests, images, selftest
from sandboxes.engine import get_engine
from sandboxes.engine.base import Engine, EngineError, ImageNotFound

logger = logging.getLogger(__name__)

# A form waits so long to learn which images there are.
LOOK_SECONDS = 2.0
STOP_SECONDS = 5.0

# Of the engine (""), or of the image with this id: the sentence that says what is wrong.
_problems: dict[str, str] = {}
_under_way: dict[str, asyncio.Task[str]] = {}


async def examine() -> None:
    """Examine the engine, so that the first sandbox does not wait for it. Logs what it finds."""
    try:
        await require_fit(images.default_image())
    except (Invalid, Unavailable) as refusal:
        logger.log(logging.ERROR, "sandboxes cannot be made: %s", refusal.message)


async def sweep() -> None:
    """Remove the probe boxes of servers that were killed in the middle of an examination."""
    with guests.refusals():
        await selftest.remove_left_over(get_engine())


def forget() -> None:
    """Examine everything anew: what was found unfit may have been repaired."""
    _problems.clear()


async def stop() -> None:
    """Break off what is under way. Its probe boxes are removed, if the engine does so in time."""
    looking = list(_under_way.values())
    for task in looking:
        task.cancel()
    if looking:
        await asyncio.wait(looking, timeout=STOP_SECONDS)


async def require_fit(image: str) -> None:
    """Raise Unavailable where boxes would not be isolated, and Invalid for an unfit image."""
    engine = get_engine()
    if engine.name == "local":
        return
    problem = await _known("", _engine_problem)
    if problem:
        raise Unavailable(problem, tag="engine_unfit")
    if image == images.default_image():
        return
    try:
        with guests.refusals():
            image_id = (await engine.image(image)).id
    except Failed as refusal:
        if not isinstance(refusal.__cause__, ImageNotFound):
            raise
        raise Invalid(f"image: {image} is not on the engine", tag="image_missing") from refusal
    problem = await _known(image_id, lambda: _image_problem(image))
    if problem:
        raise Invalid(f"image: {problem}", tag="image_unfit")


async def offered() -> list[str]:
    """Return the images, beside the default one, that may be chosen and are on the engine.

    All that may be chosen if the engine cannot be asked: the refusal comes when one is used.
    """
    engine = get_engine()
    listed = list(settings.SANDBOX_IMAGES)
    if engine.name == "local" or not listed:
        return listed
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            there = await asyncio.gather(*(_is_there(engine, name) for name in listed))
    except (EngineError, TimeoutError):
        return listed
    return [name for name, found in zip(listed, there, strict=True) if found]


async def _is_there(engine: Engine, image: str) -> bool:
    try:
        await engine.image(image)
    except ImageNotFound:
        return False
    return True


async def _known(key: str, examined: Callable[[], Coroutine[Any, Any, str]]) -> str:
    if key in _problems:
        return _problems[key]
    if key not in _under_way:
        _under_way[key] = asyncio.create_task(examined(), name="self-test")
        _under_way[key].add_done_callback(partial(_keep, key))
    # It goes on for the others when one of them gives up.
    return await asyncio.shield(_under_way[key])


def _keep(key: str, examination: asyncio.Task[str]) -> None:
    del _under_way[key]
    if not examination.cancelled() and examination.exception() is None:
        _problems[key] = examination.result()


async def _engine_problem() -> str:
    results = await selftest.run(get_engine(), images.default_image(), settings.SANDBOX_RUNTIME)
    for finding in results:
        if not finding.ok:
            level = logging.ERROR if finding.required else logging.WARNING
            told = (finding.name, finding.found, finding.expected, finding.advice)
            logger.log(level, "self-test: %s is %s, and should be %s. %s", *told)
    missing = next((finding for finding in results if finding.required and not finding.ok), None)
    if missing is None:
        return ""
    if missing.name == selftest.PROBE_BOX:
        found = missing.found.rstrip(".")
        raise Unavailable(
            f"no sandbox can be made now. {found}. {missing.advice}", tag="engine_unfit"
        )
    return (
        f"no sandbox is made here: {missing.name} is {missing.found},"
        f" and should be {missing.expected}. {missing.advice}"
    )


async def _image_problem(image: str) -> str:
    with guests.refusals():
        return await selftest.image_problem(get_engine(), image, settings.SANDBOX_RUNTIME)
