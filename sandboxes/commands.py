"""Commands that people run from the browser, followed to their end by this server.

Nobody waits for such a command in a request: it is a background process of the guest, and goes
on whatever becomes of the page or of this server. A task here follows it, so that the history
keeps the first and the last that it said. Without that task harvest.py finishes its row.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress

from project import database
from project.errors import Conflict, Invalid, NotFound, Refused
from project.models import Project
from sandboxes import guests, harvest, history, news, processes
from sandboxes.access import require_running
from sandboxes.guest.link import ProcessExit
from sandboxes.models import Command, CommandStatus, Door, Sandbox
from sandboxes.processes import ProcessRequest

logger = logging.getLogger(__name__)

LONGEST = 100_000
# What one command may say in a second before its server lets it wait.
BYTES_A_SECOND = 8 * 1024 * 1024
PACED_BYTES = 256 * 1024
ATTEMPTS = 5
PAUSE_SECONDS = 0.5
# Whoever follows a command finishes its row so soon after its end.
FINISH_SECONDS = 3.0
LOOK_SECONDS = 0.05

_following: set[asyncio.Task[None]] = set()


async def run(
    project: Project, sandbox_id: uuid.UUID, request: ProcessRequest, *, requested_by: str
) -> Command:
    """Start a command and return its row; it goes on by itself.

    Raises Invalid for one that cannot be started, NotFound or Conflict if the sandbox cannot be
    used.
    """
    if not request.command.strip():
        raise Invalid("type a command to run")
    if len(request.command) > LONGEST:
        raise Invalid(f"a command has {LONGEST} characters at most; put a longer one in a file")
    if "\x00" in request.command or "\x00" in request.cwd:
        raise Invalid("a command, and its folder, cannot hold a NUL character")
    started = await processes.start(
        project, sandbox_id, request, requested_by=requested_by, door=Door.BROWSER
    )
    row = started.row
    task = asyncio.create_task(_Follower(row.sandbox, row).follow(), name=f"command {row.pk}")
    _following.add(task)
    task.add_done_callback(_following.discard)
    return row


class _Follower:
    """Keeps what one command says, and finishes its row."""

    def __init__(self, sandbox: Sandbox, row: Command) -> None:
        self.sandbox, self.row = sandbox, row
        self.kept = {"stdout": history.StreamKeeper(), "stderr": history.StreamKeeper()}
        self.offset = 0

    async def follow(self) -> None:
        """Follow it over as many links as that takes."""
        for _ in range(ATTEMPTS):
            try:
                await self._finish(await self._read_all())
            except NotFound:
                # The sandbox has ended, or the guest has been told to forget.
                break
            except Refused as refusal:
                logger.info("command %s: %s", self.row.pk, refusal)
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return
        await database.note(
            history.keep_output,
            self.row,
            self.kept["stdout"].kept(),
            self.kept["stderr"].kept(),
        )
        news.command_changed(self.sandbox)

    async def _read_all(self) -> ProcessExit:
        async with guests.linked(self.sandbox) as link:
            attachment = await link.attach(self.row.process_id, since=self.offset)
            ahead = 0
            try:
                async for chunk in attachment.output():
                    self.kept["stderr" if chunk.stream == "stderr" else "stdout"].add(chunk.data)
                    self.offset = chunk.offset + len(chunk.data)
                    ahead += len(chunk.data)
                    if ahead >= PACED_BYTES:
                        await asyncio.sleep(ahead / BYTES_A_SECOND)
                        ahead = 0
                return await attachment.exit()
            finally:
                with suppress(Refused):
                    await attachment.detach()

    async def _finish(self, end: ProcessExit) -> None:
        await database.note(
            history.finish,
            self.row,
            self.sandbox,
            status=await database.read(history.status_of, self.row, end),
            end=end,
            stdout=self.kept["stdout"].kept(end.stdout_bytes),
            stderr=self.kept["stderr"].kept(end.stderr_bytes),
            renews=False,
        )
        news.command_changed(self.sandbox)


async def find(sandbox: Sandbox, command_id: uuid.UUID) -> Command:
    """Return a command of a sandbox. Raises NotFound."""

    def look() -> Command:
        row = sandbox.commands.filter(pk=command_id).first()
        if row is None:
            raise NotFound("there is no such command in this sandbox")
        return row

    return await database.read(look)


async def kill(sandbox: Sandbox, row: Command, *, by: str) -> None:
    """Kill a running command with its whole tree.

    Raises Conflict if it has ended or the sandbox is paused, and Failed if nobody can tell.
    """
    if row.status == CommandStatus.RUNNING:
        require_running(sandbox)
    if not await database.write(history.note_killer, row, by):
        raise Conflict("the command has ended already", tag="process_ended")
    try:
        with suppress(NotFound):
            async with guests.linked(sandbox) as link:
                await link.kill(row.process_id)
    except Refused:
        # It may go on, and end by itself.
        await database.write(history.forget_killer, row, by)
        raise
    if not await wait_for_row(row):
        await harvest.collect(sandbox, killed=frozenset({row.process_id}))
    news.command_changed(sandbox)


async def wait_for_row(row: Command) -> bool:
    """Wait a moment until the row of an ended command is finished; False if it was not."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FINISH_SECONDS):
            while True:
                await database.read(row.refresh_from_db)
                if row.status != CommandStatus.RUNNING:
                    return True
                await asyncio.sleep(LOOK_SECONDS)
    return False


async def again(sandbox: Sandbox, row: Command, *, requested_by: str) -> Command:
    """Run a command once more. Raises Conflict if the history holds only a part of it."""
    if history.is_cut(row.command):
        raise Conflict("the history holds only a part of this command; it cannot be run again")
    request = ProcessRequest(
        command=row.command, cwd=row.cwd, timeout=_seconds_of(row), open_stdin=False
    )
    return await run(sandbox.project, sandbox.id, request, requested_by=requested_by)


def _seconds_of(row: Command) -> float | None:
    if row.deadline_at is None:
        return None
    return (row.deadline_at - row.created_at).total_seconds()
