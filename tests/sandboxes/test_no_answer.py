"""A sandbox that is paused, or does not answer: what is said of it, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from project import database
from project.errors import Conflict, Failed
from sandboxes import commands, guests, harvest, lifecycle, processes
from sandboxes.guest.link import Attachment, Link, LinkLost
from sandboxes.models import Command, CommandStatus, Sandbox
from sandboxes.processes import ProcessRequest

pytestmark = pytest.mark.slow


async def run(sandbox: Sandbox, command: str) -> Command:
    wish = ProcessRequest(command, open_stdin=False)
    return await commands.run(sandbox.project, sandbox.id, wish, requested_by="mara")


async def test_a_paused_box_is_not_called_lost(sandbox: Sandbox) -> None:
    await lifecycle.pause(sandbox)
    await guests.close_link(sandbox.id)
    with pytest.raises(Conflict, match="paused") as refused:
        async with guests.linked(sandbox):
            pass
    assert refused.value.tag == "sandbox_paused"
    await lifecycle.resume(sandbox)


async def test_in_a_paused_sandbox_nothing_is_killed(sandbox: Sandbox) -> None:
    row = await run(sandbox, "sleep 60")
    sandbox = await lifecycle.pause(sandbox)
    with pytest.raises(Conflict, match="paused"):
        await commands.kill(sandbox, row, by="mara")
    await database.read(row.refresh_from_db)
    assert row.detail == ""
    await lifecycle.resume(sandbox)


async def test_a_kill_that_fails_is_no_kill(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def kill(*_: Any) -> None:
        raise LinkLost("it broke")

    row = await run(sandbox, "sleep 0.5")
    with monkeypatch.context() as broken:
        broken.setattr(Link, "kill", kill)
        with pytest.raises(Failed):
            await commands.kill(sandbox, row, by="mara")
    assert await commands.wait_for_row(row)
    assert (row.status, row.detail) == (CommandStatus.EXITED, "")


async def test_an_end_that_is_not_told_in_time_is_a_refusal(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(_: Attachment) -> AsyncIterator[Any]:
        await asyncio.sleep(60)
        yield None

    monkeypatch.setattr(harvest, "READ_SECONDS", 0.1)
    monkeypatch.setattr(Attachment, "output", silence)
    started = await processes.start(sandbox.project, sandbox.id, ProcessRequest("true"))
    link = await guests.get_link(sandbox)
    async with asyncio.timeout(5):
        while (await link.process(started.row.process_id)).running:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    with pytest.raises(Failed) as refused:
        await processes.get(sandbox, started.row)
    assert refused.value.tag == "link_lost"
    assert not link.busy
