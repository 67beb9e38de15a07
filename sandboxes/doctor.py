"""Is the engine fit? Looks at it as the doctor page shows it: from its version to a running box.

What the kernel enforces in a box is selftest.py's to find out.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime

from django.conf import settings

from sandboxes import guests, images, selftest
from sandboxes.engine import get_engine
from sandboxes.engine.base import Engine, EngineError, EngineInfo, ImageNotFound
from sandboxes.guest.command import agent_command, relay_command
from sandboxes.guest.link import GuestError, Link, StartSpec
from sandboxes.selftest import Finding

OLDEST_DOCKER = (20, 10)
SLOW_SECONDS = 1.0
MOST_SKEW_SECONDS = 2.0
GUEST_SECONDS = 30.0
ECHO = "sandbank is here"


async def engine_findings() -> list[Finding]:
    """Does the engine answer, in time and in our time? What does it itself complain of?"""
    engine = get_engine()
    began = time.perf_counter()
    try:
        await engine.ping()
        seconds = time.perf_counter() - began
        before = datetime.now(UTC)
        info = await engine.info()
        after = datetime.now(UTC)
    except EngineError as error:
        return [_no_engine(error)]
    return [
        _answers(seconds),
        _version(engine, info),
        _clock(info, before, after),
        *(_complaint(warning) for warning in info.warnings),
    ]


async def image_findings() -> list[Finding]:
    """Are the images there that sandboxes are made from, and can they carry a guest?"""
    engine = get_engine()
    try:
        found = [await _default_image(engine)]
        if engine.name != "local":
            found += [await _other_image(engine, name) for name in settings.SANDBOX_IMAGES]
    except EngineError as error:
        return [_no_engine(error)]
    return found


async def guest_findings() -> list[Finding]:
    """Make a box as for a sandbox, have its guest run a command, and remove it."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(GUEST_SECONDS):
            said = await _ask_a_guest(get_engine())
    except (EngineError, GuestError, TimeoutError) as error:
        said = str(error) or f"nothing within {GUEST_SECONDS:g} s"
    seconds = time.perf_counter() - began
    return [
        Finding(
            "a guest runs a command",
            said == ECHO,
            "its output",
            f"its output, after {seconds:.2f} s" if said == ECHO else said,
            "Sandboxes start and cannot be used. The server's log says more; the findings under"
            " Isolation often say why.",
        )
    ]


async def isolation_findings() -> list[Finding]:
    return await selftest.run(get_engine(), images.default_image(), settings.SANDBOX_RUNTIME)


async def _ask_a_guest(engine: Engine) -> str:
    """Return what a command says in a new box, through the guest and the link."""
    sandbox_id = uuid.uuid4()
    socket = guests.socket_name(sandbox_id)
    spec = replace(
        selftest.probe_spec(images.default_image(), settings.SANDBOX_RUNTIME),
        command=agent_command(socket),
        environment={"SANDBANK_GUEST_TOKEN": guests.guest_token(sandbox_id)},
    )
    async with selftest.probe_box(engine, spec):
        stream = await engine.open_stream(spec.name, relay_command(socket))
        link = await Link.open(stream, guests.guest_token(sandbox_id))
        try:
            process = await link.start(StartSpec(uuid.uuid4().hex, script=f"echo {ECHO}"))
            said = [chunk.data async for chunk in process.output()]
        finally:
            await link.close()
    return b"".join(said).decode(errors="replace").strip()


def _no_engine(error: Exception) -> Finding:
    return Finding(
        "the engine answers",
        False,
        "an answer",
        str(error),
        "Start the engine. Does this server's user reach it: DOCKER_HOST, membership in the group"
        " docker, the certificates in DOCKER_CERT_PATH?",
    )


def _answers(seconds: float) -> Finding:
    return Finding(
        "the engine answers",
        seconds < SLOW_SECONDS,
        f"within {SLOW_SECONDS:g} s",
        f"after {seconds * 1000:.0f} ms",
        "The engine is slow: is its machine out of memory, or its disk busy?",
        required=False,
    )


def _version(engine: Engine, info: EngineInfo) -> Finding:
    numbers = tuple(int(number) for number in re.findall(r"\d+", info.version)[:2])
    return Finding(
        "the engine's version",
        engine.name != "docker" or numbers >= OLDEST_DOCKER,
        "{}.{} or newer".format(*OLDEST_DOCKER) if engine.name == "docker" else "any",
        info.version,
        "Older engines lack what the isolation of a box needs: update it.",
    )


def _clock(info: EngineInfo, before: datetime, after: datetime) -> Finding:
    """Compare its clock with ours; what the answer itself took is nobody's fault."""
    early, late = (before - info.at).total_seconds(), (info.at - after).total_seconds()
    skew = max(0.0, early, late)
    return Finding(
        "the engine's clock",
        skew <= MOST_SKEW_SECONDS,
        f"within {MOST_SKEW_SECONDS:g} s of this server's",
        "the same" if skew == 0 else f"{skew:.1f} s away",
        "Ages of boxes and times of ends will be wrong: run NTP on both machines.",
        required=False,
    )


def _complaint(warning: str) -> Finding:
    return Finding(
        "what the engine complains of",
        False,
        "nothing",
        warning.removeprefix("WARNING: "),
        "The engine says this of its own machine; its documentation says what to do about it.",
        required=False,
    )


async def _default_image(engine: Engine) -> Finding:
    name = images.default_image()
    try:
        found = f"{name}, {(await engine.image(name)).size_bytes / 2**20:.0f} MiB"
    except ImageNotFound:
        found = ""
    return Finding(
        "the default image",
        bool(found) or engine.name == "local",
        "on the engine",
        found or "missing",
        "Make it with `manage.py make_image`, or pull what SANDBOX_IMAGE names.",
    )


async def _other_image(engine: Engine, name: str) -> Finding:
    problem = await selftest.image_problem(engine, name, settings.SANDBOX_RUNTIME)
    return Finding(
        f"the image {name}",
        not problem,
        "can carry a guest",
        problem or "can carry a guest",
        "Sandboxes that ask for this image are refused. Pull it, or take it out of SANDBOX_IMAGES.",
        required=False,
    )
