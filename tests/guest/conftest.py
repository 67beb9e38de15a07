"""Fixtures of the guest's tests. The index:

guest     an agent that the tests of a module share, as a plain subprocess: no engine needed
link      a link to it; what a test started there is killed when the test is over
impatient_guest
          an agent of the test's own that waits only a moment for hello
folder    a folder of the test's own, as the guest names it; `place` is where it really is
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sandboxes.engine.base import BoxSpec
from sandboxes.engine.local import LocalEngine
from sandboxes.guest import agent
from sandboxes.guest.command import agent_command
from sandboxes.guest.link import Link
from tests.engine.boxes import run as run_in
from tests.engine.boxes import start_box
from tests.guest.guests import TOKEN, Guest, comes_true


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    engine = LocalEngine()
    yield asyncio.run(_start(engine, *agent_command(name := _new_name()), name=name))
    asyncio.run(engine.close())


@pytest.fixture
async def impatient_guest() -> AsyncIterator[Guest]:
    source, name = Path(agent.__file__).read_text(), _new_name()
    hasty = source.replace("HELLO_SECONDS = 5.0", "HELLO_SECONDS = 0.3")
    assert hasty != source
    engine = LocalEngine()
    yield await _start(engine, "python3", "-I", "-c", hasty, name, name=name)
    await engine.close()


def _new_name() -> str:
    return f"sandbank-test-{uuid.uuid4().hex[:12]}"


async def _start(engine: LocalEngine, *command: str, name: str) -> Guest:
    spec = BoxSpec(
        name=name,
        image="",
        command=["sh", "-c", 'echo $$ > pid; exec "$@"', "sh", *command],
        labels={},
        environment={agent.TOKEN: TOKEN},
    )
    await start_box(engine, spec)
    folder = Path((await run_in(engine, spec.name, "pwd")).strip()).parent
    sockets = Path("/proc/net/unix")
    assert await comes_true(lambda: f"@{spec.name}\n" in sockets.read_text())
    return Guest(spec.name, int((folder / "workspace/pid").read_text()), folder)


@pytest.fixture
async def link(guest: Guest) -> AsyncIterator[Link]:
    link = await guest.link()
    yield link
    await link.close()
    cleaner = await guest.link()
    known = [process.id for process in await cleaner.processes()]
    for process_id in known:
        await cleaner.kill(process_id)
    await cleaner._call("forget", ids=known)
    await cleaner.close()


@pytest.fixture
def folder(guest: Guest) -> str:
    name = f"/workspace/{uuid.uuid4().hex}"
    (guest.folder / name[1:]).mkdir()
    return name


@pytest.fixture
def place(guest: Guest, folder: str) -> Path:
    return guest.folder / folder[1:]
