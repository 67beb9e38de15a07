"""A terminal whose start nobody heard of: no row stays that lies, and no shell that nobody sees."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from project import database
from project.errors import Failed, Invalid
from sandboxes import guests, terminals
from sandboxes.guest.link import Link, LinkLost
from sandboxes.models import Sandbox, Terminal
from sandboxes.terminals import Size

pytestmark = pytest.mark.slow

SIZE = Size(24, 80)


async def rows() -> list[Terminal]:
    return await database.read(lambda: list(Terminal.objects.all()))


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "a\u202eb"])
async def test_a_name_that_no_page_can_show_is_refused(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(Invalid, match=r"^name: "):
        await terminals.open_terminal(sandbox, SIZE, name=name)
    assert await rows() == []
    terminal = await terminals.open_terminal(sandbox, SIZE, name=" mine ")
    with pytest.raises(Invalid, match=r"^name: "):
        await terminals.rename(sandbox, terminal, name)
    assert [row.name for row in await rows()] == ["mine"]


async def test_a_shell_that_was_not_started_leaves_no_row(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(*_: Any, **__: Any) -> None:
        raise LinkLost("the sandbox did not answer")

    monkeypatch.setattr(Link, "start", start)
    with pytest.raises(Failed):
        await terminals.open_terminal(sandbox, SIZE)
    assert await rows() == []


async def test_a_shell_whose_answer_was_lost_is_ended(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_start = Link.start

    async def start(link: Link, *told: Any, **how: Any) -> None:
        await really_start(link, *told, **how)
        raise LinkLost("the answer was lost")

    monkeypatch.setattr(Link, "start", start)
    with pytest.raises(Failed):
        await terminals.open_terminal(sandbox, SIZE)
    (row,) = await rows()
    assert (row.reason, row.ended_at is None) == (Terminal.Reason.KILLED, False)
    async with guests.linked(sandbox) as link:
        running = [one.id for one in await link.processes() if one.exit is None]
    assert row.process_id not in running


async def test_a_shell_in_doubt_keeps_its_row_until_the_guest_is_heard(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any, **__: Any) -> None:
        raise LinkLost("the sandbox did not answer")

    with monkeypatch.context() as cut:
        cut.setattr(Link, "start", lost)
        cut.setattr(Link, "kill", lost)
        with pytest.raises(Failed):
            await terminals.open_terminal(sandbox, SIZE)
        (row,) = await rows()
        assert row.ended_at is None
    # The guest answers again, and knows no such shell, for longer than one may be on its way.
    monkeypatch.setattr(terminals, "SEEN_PRECISION", timedelta(0))
    await terminals.settle(sandbox)
    (row,) = await rows()
    assert row.ended_at is not None
