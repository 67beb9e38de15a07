"""How much is recorded: of one terminal, and of all terminals of a project."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient

from project import database
from project.models import Project, Role
from project.policy import add_member
from sandboxes import guests, lifecycle, recording, space
from sandboxes.engine import close_engine
from sandboxes.guest.link import Attachment, OutputChunk
from sandboxes.models import Reason, Sandbox, Terminal
from sandboxes.options import NewSandbox

KIB = 1024


class Output:
    """Stands in for an attachment: says the same thing for ever."""

    said = 0

    async def output(self) -> AsyncIterator[OutputChunk]:
        while True:
            yield OutputChunk("stdout", self.said, b"x" * KIB)
            self.said += KIB


def add_terminal(project: Project) -> Terminal:
    sandbox = Sandbox.objects.create(
        project=project, image="i", cpus=1, memory_bytes=1, workspace_bytes=1, pids=1
    )
    return Terminal.objects.create(sandbox=sandbox, name="shell", recorded=True)


async def record(terminal: Terminal) -> str:
    """Record a terminal that never stops talking. Return what there is then."""
    recorder = recording._Recorder(terminal.sandbox, terminal, 0, 0.0)
    assert await recorder.follow(cast("Attachment", Output())) is None
    return "".join([piece.decode() async for piece in recording.lines_of(terminal)])


async def test_a_recording_ends_at_its_limit_and_says_so(project: Project, settings) -> None:
    settings.RECORDING_MAX_BYTES = 300 * KIB
    terminal = await database.write(add_terminal, project)
    assert "[no more than 300 KB of a terminal is recorded]" in await record(terminal)
    recorded = await database.read(space.recorded_bytes, project.id)
    assert 300 * KIB < recorded <= 302 * KIB


async def test_the_recordings_of_a_project_have_a_limit_together(
    project: Project, stranger: Project, settings, monkeypatch
) -> None:
    monkeypatch.setattr(recording, "STEP_BYTES", 10 * KIB)
    settings.PROJECT_RECORDING_MAX_BYTES = 200 * KIB
    terminal, other = [await database.write(add_terminal, where) for where in (project, stranger)]
    text = await record(terminal)
    assert "[no more than 200 KB of the terminals of a project is recorded]" in text
    assert await database.read(space.is_full, project.id)
    assert not await database.read(space.is_full, stranger.id)
    assert await database.read(recording._may_go_on, other.sandbox, other)
    # It goes on where there is room again.
    assert not await database.read(recording._may_go_on, terminal.sandbox, terminal)
    settings.PROJECT_RECORDING_MAX_BYTES = 400 * KIB
    assert await database.read(recording._may_go_on, terminal.sandbox, terminal)


@pytest.fixture
async def sandbox(project: Project, settings) -> AsyncIterator[Sandbox]:
    settings.SANDBOX_ENGINE = "local"
    await close_engine()
    sandbox = await lifecycle.create(project, NewSandbox(records_terminals=True))
    yield sandbox
    await recording.stop_all()
    await lifecycle.kill(sandbox, reason=Reason.KILLED, by="test")
    await guests.close_all()
    await close_engine()


@pytest.mark.slow
async def test_a_terminal_for_whose_recording_is_no_room_says_so(
    sandbox: Sandbox, project: Project, settings
) -> None:
    def sign_in() -> AsyncClient:
        user = User.objects.create_user("mia")
        add_member(project, user, Role.MEMBER)
        client = AsyncClient()
        client.force_login(user)
        return client

    client: Any = await database.write(sign_in)
    address = f"/sandboxes/{sandbox.pk}/terminals/open/"
    headers = {"Accept": "application/json", "X-Project": str(project.pk)}
    for most, told in ((KIB, ""), (0, recording.NO_ROOM)):
        settings.PROJECT_RECORDING_MAX_BYTES = most
        answer = await client.post(address, headers=headers)
        assert (answer.status_code, answer.json()["message"]) == (200, told)
    rows = await database.read(lambda: list(Terminal.objects.order_by("created_at")))
    assert [row.recorded for row in rows] == [True, False]
