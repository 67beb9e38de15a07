"""Finds the default sandbox image on the engine, or makes it.

Its tag is a hash of the recipe, so a changed recipe makes a new image and boxes never start
from an old one. There are two recipes with the same result: a Dockerfile for where an image
registry answers, and mmdebstrap for where only Debian's package mirrors do.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import shutil
import signal
import tarfile
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

from sandboxes.engine.base import EngineError, EngineUnavailable, Image, ImageNotFound

type Report = Callable[[str], None]

FOLDER = Path(__file__).parent
RECIPE = ("Dockerfile", "bootstrap.sh", "packages.txt", "setup.sh")
REPOSITORY = "sandbank/sandbox"
RECIPE_LABEL = "sandbank.recipe"

CHUNK_BYTES = 2**20
INSTALL = (
    ("apt-get", "update"),
    ("apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap", "debian-archive-keyring"),
)
CANNOT_BUILD = """\
The sandbox image {name} is not on the engine and cannot be made on this machine.
Either let the engine reach a registry that has {base} and start again,
or install mmdebstrap first (on Debian and Ubuntu: apt-get install mmdebstrap)."""


class ImageStore(Protocol):
    """What is needed of an engine here."""

    async def image(self, name: str) -> Image: ...

    async def build_image(
        self, name: str, context: bytes, base: str, labels: Mapping[str, str], report: Report
    ) -> Image: ...

    async def import_image(
        self, name: str, archive: AsyncIterator[bytes], labels: Mapping[str, str]
    ) -> Image: ...


@cache
def default_image_name() -> str:
    """Return the name and tag of the image that the recipe beside this file makes."""
    recipe = hashlib.sha256()
    for name in RECIPE:
        content = (FOLDER / name).read_bytes()
        recipe.update(f"{name} {len(content)}\n".encode() + content)
    return f"{REPOSITORY}:{recipe.hexdigest()[:12]}"


async def ensure_image(engine: ImageStore, report: Report) -> Image:
    """Return the default image, made first if the engine lacks it. Says how that goes."""
    name = default_image_name()
    with contextlib.suppress(ImageNotFound):
        return await engine.image(name)
    report(f"Making the sandbox image {name}. This takes a minute or two, once.")
    with contextlib.suppress(ImageNotFound):
        return await _from_registry(engine, name, report)
    await _need_mmdebstrap(name, report)
    image = await engine.import_image(name, _bootstrap(report), _labels(name))
    report(f"The image is ready: {image.size_bytes / 1e6:.0f} MB.")
    return image


async def _from_registry(engine: ImageStore, name: str, report: Report) -> Image:
    """Build the Dockerfile. Raises ImageNotFound where that cannot be done."""
    try:
        return await engine.build_image(name, _context(), _base(), _labels(name), report)
    except EngineUnavailable:
        raise
    except EngineError as error:
        report(f"{error} Trying Debian's packages instead.")
        raise ImageNotFound(str(error)) from error


async def _need_mmdebstrap(name: str, report: Report) -> None:
    if shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise ImageNotFound(CANNOT_BUILD.format(name=name, base=_base()))
    report("Installing mmdebstrap, which makes the image.")
    for command in INSTALL:
        async for _ in _output(*command, report=report):
            pass


def _bootstrap(report: Report) -> AsyncIterator[bytes]:
    return _output("sh", str(FOLDER / "bootstrap.sh"), report=report)


async def _output(*command: str, report: Report) -> AsyncIterator[bytes]:
    """Yield what a command writes, and report what it says on stderr."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=PIPE,
        stderr=PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        start_new_session=True,
    )
    assert process.stdout is not None
    last_lines: deque[str] = deque(maxlen=3)
    listener = asyncio.create_task(_listen(process, report, last_lines))
    try:
        while chunk := await process.stdout.read(CHUNK_BYTES):
            yield chunk
        await listener
        if await process.wait() != 0:
            # Raised into whoever takes the chunks, so that no half of an image is kept.
            raise EngineError(
                f"{command[0]} failed: {' '.join(last_lines) or 'it did not say why'}"
            )
    finally:
        await _end(process, listener)


async def _listen(process: Process, report: Report, last_lines: deque[str]) -> None:
    assert process.stderr is not None
    async for raw in process.stderr:
        line = raw.decode(errors="replace").strip().removeprefix("I: ")
        if line:
            last_lines.append(line)
            report(line)


async def _end(process: Process, listener: asyncio.Task[None]) -> None:
    """Leave nothing of the command behind, also when nobody wants its output any more."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # lets mmdebstrap clean its folder up
        await process.wait()
    listener.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listener


def _labels(name: str) -> dict[str, str]:
    return {RECIPE_LABEL: name.rpartition(":")[2]}


def _base() -> str:
    """Return the image that the Dockerfile starts from."""
    for line in (FOLDER / "Dockerfile").read_text().splitlines():
        if line.startswith("FROM "):
            return line.split()[1]
    raise EngineError("sandboxes/image/Dockerfile has no FROM line.")


def _context() -> bytes:
    """Return the recipe as the tar archive that a build begins with."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in RECIPE:
            tar.add(FOLDER / name, arcname=name)
    return archive.getvalue()
