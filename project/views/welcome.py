"""The page of the first start: does everything work here, and what comes next."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import HttpResponse

from project import words
from project.errors import Forbidden, Refused
from project.pages import PageRequest, page, render, sentence
from sandboxes import fitness, images
from sandboxes.engine import get_engine
from sandboxes.engine.base import EngineError, ImageNotFound

PATIENCE_SECONDS = 5.0
# The self-test starts a box.
SELF_TEST_SECONDS = 60.0
LEAST_FREE_BYTES = 2 * 2**30
MOST_SECONDS_APART = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what to do if it is not well."""

    name: str
    ok: bool
    found: str
    advice: str = ""


class NotWell(Exception):
    """What was looked at is not well: what was found, and what to do."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.advice = advice


@page()
async def welcome(request: PageRequest) -> HttpResponse:
    """Show what works and what does not. For administrators: it tells of the whole server."""
    if not request.member.user.is_superuser:
        raise Forbidden("only an administrator sees how the server is")
    if request.GET.get("part") == "checks":
        checks = await asyncio.gather(*(_look(name, work) for name, work in CHECKS))
        context = {"checks": checks, "well": all(check.ok for check in checks)}
        return await render(request, "project/welcome.html#checks", context)
    return await render(request, "project/welcome.html")


async def _look(name: str, work: Callable[[], Awaitable[str]]) -> Check:
    try:
        return Check(name, True, await work())
    except NotWell as problem:
        return Check(name, False, str(problem), problem.advice)
    except Refused as refusal:
        return Check(name, False, sentence(refusal.message))
    except (EngineError, TimeoutError, OSError) as error:
        return Check(name, False, sentence(str(error) or "it did not answer in time"))


async def _engine() -> str:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            info = await get_engine().info()
    except (EngineError, TimeoutError, OSError) as error:
        raise NotWell(
            f"The engine does not answer: {str(error) or 'no answer in time'}",
            "Start Docker, and let this server use its socket. DOCKER_HOST names another one.",
        ) from error
    return f"{info.system}, version {info.version}"


async def _image() -> str:
    name = images.default_image()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await get_engine().image(name)
    except ImageNotFound as error:
        raise NotWell(
            f"{name} is not there.", "Run `manage.py make_image`, or start the server anew."
        ) from error
    return name


async def _isolation() -> str:
    if get_engine().name == "local":
        raise NotWell(
            "This engine isolates nothing.", "Set SANDBOX_ENGINE=docker before others use it."
        )
    async with asyncio.timeout(SELF_TEST_SECONDS):
        await fitness.require_fit(images.default_image())
    return "A probe box was started, and is fenced in as it should be"


async def _storage() -> str:
    def write_and_remove() -> None:
        blobs = storages["blobs"]
        name = blobs.save(f"probe-{secrets.token_hex(8)}", ContentFile(b"sandbank"))
        blobs.delete(name)

    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.to_thread(write_and_remove)
    # Each store has errors of its own.
    except Exception as error:
        raise NotWell(
            f"The store of files cannot be written: {error}",
            "Check the rights of the data folder, or the S3 settings.",
        ) from error
    return "Files can be written and deleted"


async def _space() -> str:
    usage = await asyncio.to_thread(shutil.disk_usage, settings.DATA_DIR)
    told = f"{words.size(usage.free)} of {words.size(usage.total)} are free in {settings.DATA_DIR}"
    if usage.free < LEAST_FREE_BYTES:
        raise NotWell(told, "Make room, or move SANDBANK_DATA to a larger disk.")
    if not os.access(settings.DATA_DIR, os.W_OK):
        raise NotWell(told, "The folder cannot be written by this server's user.")
    return told


async def _clock() -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        engine_at = (await get_engine().info()).at
    now = datetime.now(UTC)
    apart = abs((now - engine_at).total_seconds())
    if apart > MOST_SECONDS_APART:
        raise NotWell(
            f"The clocks of this server and of the engine are {apart:.0f} s apart.",
            "Keep both with NTP; sandboxes end by the clock.",
        )
    return f"{now:%d %b %Y, %H:%M:%S} UTC, as the engine has it"


CHECKS: tuple[tuple[str, Callable[[], Awaitable[str]]], ...] = (
    ("The engine answers", _engine),
    ("The image is there", _image),
    ("Boxes are isolated", _isolation),
    ("Files can be stored", _storage),
    ("There is room", _space),
    ("The clock is right", _clock),
)
