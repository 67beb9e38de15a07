"""Background processes: started, looked at, written to, signalled, ended."""

from __future__ import annotations

import asyncio
import signal as signals
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from project import database
from project.errors import Conflict, Invalid, NotFound
from project.models import Project
from sandboxes import guests, harvest, history, news
from sandboxes.access import sandbox_for
from sandboxes.execution import WORKSPACE, seconds_for
from sandboxes.guest.link import GuestError, Link, OutputChunk, ProcessInfo, StartSpec
from sandboxes.models import Command, CommandStatus, Door, Sandbox
from sandboxes.options import check_environment

# A list shows so many that have ended at the most, the newest, beside all that run.
MOST_ENDED = 200
# One look at the output of a process gives so much at the most.
LOOK_BYTES = 1024 * 1024
# How long a look waits for output that the ring holds already.
LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ProcessRequest:
    """A background process as a caller asks for it."""

    command: str
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    # May it be written to later?
    open_stdin: bool = True


@dataclass(frozen=True, slots=True)
class Process:
    """A background process: its history row, and what the guest says if it still knows it."""

    row: Command
    info: ProcessInfo | None


async def start(
    project: Project,
    sandbox_id: uuid.UUID,
    request: ProcessRequest,
    *,
    requested_by: str = "",
    door: str = Door.API,
) -> Process:
    """Start a process that goes on by itself. Without a timeout it lives as long as the sandbox."""
    check_environment(request.env)
    seconds = seconds_for(request.timeout) if request.timeout is not None else None
    sandbox, row = await database.write(
        history.begin,
        project,
        sandbox_id,
        command=request.command,
        kind=Command.Kind.PROCESS,
        cwd=request.cwd,
        seconds=seconds,
        requested_by=requested_by,
        door=door,
    )
    news.command_changed(sandbox)
    spec = StartSpec(
        id=row.process_id,
        script=request.command,
        cwd=request.cwd or WORKSPACE,
        env={**sandbox.environment, **request.env},
        open_stdin=request.open_stdin,
        timeout=seconds,
    )
    try:
        async with guests.linked(sandbox) as link:
            await _start(link, spec)
            info = await link.process(row.process_id)
    except Exception as error:
        await database.write(
            history.finish, row, sandbox, status=CommandStatus.FAILED, detail=str(error)
        )
        news.command_changed(sandbox)
        raise
    return Process(row, info)


async def _start(link: Link, spec: StartSpec) -> None:
    try:
        await link.start(spec, attach=False)
    except GuestError as error:
        if error.code in ("not_found", "not_a_directory"):
            raise Invalid(f"the process could not be started: {error}", tag=error.code) from error
        raise


async def listing(sandbox: Sandbox) -> list[Process]:
    """Return the sandbox's background processes, oldest first: the newest, and all that run."""
    await harvest.collect(sandbox)

    rows = await database.read(_listed, sandbox)
    async with guests.linked(sandbox) as link:
        known = {info.id: info for info in await link.processes()}
    return [Process(row, known.get(row.process_id)) for row in rows]


def _listed(sandbox: Sandbox) -> list[Command]:
    rows = sandbox.commands.filter(kind=Command.Kind.PROCESS).defer("stdout", "stderr")
    running = list(rows.filter(status=CommandStatus.RUNNING))
    ended = rows.exclude(status=CommandStatus.RUNNING).order_by("-created_at", "-id")
    return sorted([*running, *ended[:MOST_ENDED]], key=lambda row: (row.created_at, row.id))


async def find(
    project: Project, sandbox_id: uuid.UUID, process_id: uuid.UUID
) -> tuple[Sandbox, Command]:
    """Return a process of a project's sandbox. Raises NotFound."""

    def look() -> tuple[Sandbox, Command]:
        sandbox = sandbox_for(project, sandbox_id)
        row = sandbox.commands.filter(pk=process_id).first()
        if row is None:
            raise NotFound("process not found", tag="process_not_found")
        return sandbox, row

    return await database.read(look)


async def get(sandbox: Sandbox, row: Command) -> Process:
    """Return a process as it is now; one that has ended gets its row finished."""
    if row.status == CommandStatus.RUNNING and sandbox.is_alive:
        await harvest.collect(sandbox)
        await database.read(row.refresh_from_db)
    info: ProcessInfo | None = None
    if row.status == CommandStatus.RUNNING and sandbox.is_alive:
        with suppress(NotFound):
            async with guests.linked(sandbox) as link:
                info = await link.process(row.process_id)
    return Process(row, info)


async def output(sandbox: Sandbox, row: Command, since: int) -> tuple[list[OutputChunk], int]:
    """Return what is still held of the output from an offset on, and the next offset."""
    if sandbox.is_alive:
        with suppress(NotFound):
            return await _output_in_guest(sandbox, row, since)
        await database.read(row.refresh_from_db)
    return _output_in_history(row, since)


def _output_in_history(row: Command, since: int) -> tuple[list[OutputChunk], int]:
    """What the history keeps is given whole to who has not read to the end."""
    total = row.stdout_bytes + row.stderr_bytes
    if since >= total:
        return [], since
    said = [
        OutputChunk("stdout", 0, row.stdout.encode()),
        OutputChunk("stderr", row.stdout_bytes, row.stderr.encode()),
    ]
    return [chunk for chunk in said if chunk.data], total


async def _output_in_guest(
    sandbox: Sandbox, row: Command, since: int
) -> tuple[list[OutputChunk], int]:
    chunks: list[OutputChunk] = []
    offset = since
    async with guests.linked(sandbox) as link:
        attachment = await link.attach(row.process_id, since=since)
        try:
            with suppress(TimeoutError):
                stream = aiter(attachment.output())
                while offset - since < LOOK_BYTES:
                    chunk = await asyncio.wait_for(anext(stream), LOOK_SECONDS)
                    chunks.append(chunk)
                    offset = chunk.offset + len(chunk.data)
        except StopAsyncIteration:
            pass
        finally:
            await attachment.detach()
    return chunks, offset


async def write_stdin(sandbox: Sandbox, row: Command, data: bytes, *, close: bool) -> None:
    """Write to a process, then close its standard input if that was all."""
    async with guests.linked(sandbox) as link:
        if data:
            await link.write_stdin(row.process_id, data)
        if close:
            await link.close_stdin(row.process_id)


async def send_signal(sandbox: Sandbox, row: Command, name: str) -> None:
    """Send a signal, such as TERM, to the main process. Raises Conflict if it has ended."""
    bare = name.upper().removeprefix("SIG")
    if f"SIG{bare}" not in signals.Signals.__members__:
        raise Invalid(f"signal: {name!r} is not the name of a signal")
    if row.status != CommandStatus.RUNNING:
        raise Conflict("the process has ended", tag="process_ended")
    async with guests.linked(sandbox) as link:
        await link.signal(row.process_id, bare)


async def end(sandbox: Sandbox, row: Command) -> None:
    """Kill a process with its whole tree. Ending an ended one does nothing."""
    if row.status != CommandStatus.RUNNING:
        return
    with suppress(NotFound):
        async with guests.linked(sandbox) as link:
            await link.kill(row.process_id)
    await harvest.collect(sandbox, killed=frozenset({row.process_id}))
