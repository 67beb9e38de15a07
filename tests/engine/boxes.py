"""What the engine's tests do with boxes."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from sandboxes.engine.base import BoxSpec, ByteStream, Engine
from sandboxes.engine.docker import DockerEngine

MIB = 2**20
SLEEP = ("python3", "-c", "import time; time.sleep(600)")

type MakeSpec = Callable[..., BoxSpec]


def on_docker[T](work: Callable[[DockerEngine], Awaitable[T]]) -> T:
    """Do something with the shared Docker engine, where no event loop runs."""

    async def main() -> T:
        engine = DockerEngine()
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


async def start_box(engine: Engine, spec: BoxSpec) -> str:
    """Create and start a box; return its name."""
    await engine.create(spec)
    await engine.start(spec.name)
    return spec.name


async def run(engine: Engine, name: str, *argv: str, seconds: float = 30) -> str:
    """Return all that a program in a box says on stdout."""
    stream = await engine.open_stream(name, argv)
    try:
        async with asyncio.timeout(seconds):
            return (await read_all(stream)).decode(errors="replace")
    finally:
        await stream.close()


async def shell(engine: Engine, name: str, script: str, seconds: float = 30) -> str:
    """Return all that a shell script in a box says, on stderr too."""
    return await run(engine, name, "sh", "-c", f"exec 2>&1; {script}", seconds=seconds)


async def read_all(stream: ByteStream) -> bytes:
    said = bytearray()
    while chunk := await stream.read(MIB):
        said += chunk
    return bytes(said)


async def remove_all(engine: Engine, labels: Mapping[str, str]) -> None:
    for box in await engine.list(labels):
        await engine.remove(box.name)


def lives(pid: int) -> bool:
    """Tell whether there is such a process, and it does not only wait to be buried."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def archive(name: str, content: bytes) -> bytes:
    """Return a tar archive of one file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return file.getvalue()
