"""Finish the history rows of processes that ended while nobody was waiting for them."""

from __future__ import annotations

import asyncio
import logging
import time

from project import database
from project.errors import Failed
from sandboxes import guests, history, news
from sandboxes.guest.link import Link, ProcessExit, ProcessInfo
from sandboxes.models import Command, CommandStatus, Sandbox

logger = logging.getLogger(__name__)

# Between the writing of a row and the start of its process, and between its end and the
# finishing of its row by the caller that waited, there is this much at the most.
SETTLE_SECONDS = 5.0
READ_SECONDS = 10.0


async def collect(sandbox: Sandbox, *, killed: frozenset[str] = frozenset()) -> int:
    """Finish the rows of the ended processes of a running sandbox; return how many.

    `killed` names processes that were ended on request. Raises Refused if the guest cannot be
    asked.
    """
    rows = await database.read(_open_rows, sandbox)
    if not rows:
        return 0
    finished = 0
    async with guests.linked(sandbox) as link:
        known = {info.id: info for info in await link.processes()}
        for row in rows:
            info = known.get(row.process_id)
            if info is None:
                finished += await _close_unknown(sandbox, row)
            elif _has_settled(row, info):
                status = CommandStatus.KILLED if row.process_id in killed else None
                finished += await _close_ended(link, sandbox, row, status)
    if finished:
        news.command_changed(sandbox)
    return finished


def _open_rows(sandbox: Sandbox) -> list[Command]:
    return list(sandbox.commands.filter(status=CommandStatus.RUNNING))


def _has_settled(row: Command, info: ProcessInfo) -> bool:
    if info.running or info.exit is None:
        return False
    if row.kind == Command.Kind.PROCESS:
        return True
    # Somebody may wait for it and finish its row this very moment.
    ended_at = row.created_at.timestamp() + info.exit.duration
    return not info.attached and time.time() - ended_at > SETTLE_SECONDS


async def _close_unknown(sandbox: Sandbox, row: Command) -> bool:
    """The guest does not know the process: it never began, or it was dropped long ago."""
    if time.time() - row.created_at.timestamp() < 2 * SETTLE_SECONDS:
        return False
    return await database.write(
        history.finish,
        row,
        sandbox,
        status=CommandStatus.UNKNOWN,
        detail="the sandbox does not know this process",
    )


async def _close_ended(
    link: Link, sandbox: Sandbox, row: Command, status: CommandStatus | None
) -> bool:
    kept, end = await _read_all(link, row.process_id)
    if status is None:
        status = await database.read(history.status_of, row, end)
    finished = await database.write(
        history.finish,
        row,
        sandbox,
        status=status,
        end=end,
        stdout=kept["stdout"].kept(end.stdout_bytes),
        stderr=kept["stderr"].kept(end.stderr_bytes),
        renews=False,
    )
    if row.kind == Command.Kind.EXEC:
        # A background process stays known to the guest: its output can still be asked for.
        await link.forget(row.process_id)
    return finished


async def _read_all(
    link: Link, process_id: str
) -> tuple[dict[str, history.StreamKeeper], ProcessExit]:
    """Read what the guest's ring still holds of an ended process. Raises Failed if that is slow."""
    kept = {"stdout": history.StreamKeeper(), "stderr": history.StreamKeeper()}
    attachment = await link.attach(process_id, since=0)
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in attachment.output():
                kept["stderr" if chunk.stream == "stderr" else "stdout"].add(chunk.data)
            return kept, await attachment.exit()
    except TimeoutError:
        raise Failed("the sandbox did not tell in time what it kept", tag="link_lost") from None
    finally:
        await attachment.detach()
