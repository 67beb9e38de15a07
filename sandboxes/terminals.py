"""Terminals: opened, listed, resized, closed. Each is a process of the guest with a PTY.

A terminal outlives every page and every server: its row remembers it, and its output waits in
the guest's ring for whoever attaches next.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from project import database, events, words
from project.errors import Conflict, Invalid, NotFound, Refused, TooMany
from sandboxes import guests, history, space
from sandboxes.access import require_running
from sandboxes.execution import WORKSPACE
from sandboxes.guest.link import GuestError, ProcessExit, ProcessInfo, StartSpec
from sandboxes.models import Sandbox, Status, Terminal

logger = logging.getLogger(__name__)

ROWS = (5, 200)
COLUMNS = (20, 500)
MAX_NAME = 100
MAX_COMMAND = 4096
# How many guests are asked for ended terminals at once.
PARALLEL = 4
# Use is noted no more often than this.
SEEN_PRECISION = timedelta(minutes=1)

# The best shell an image has, as a login shell: its profile sets the prompt.
SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash -l; exec sh -l")
ENVIRONMENT = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
SIGNALS = ("INT", "QUIT", "TERM", "HUP", "KILL")


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a terminal, kept within what a shell can bear."""

    rows: int
    columns: int

    @classmethod
    def within(cls, rows: object, columns: object) -> Size:
        """Return the nearest size that is allowed. Raises Invalid for what is no number."""
        try:
            wanted = int(str(rows)), int(str(columns))
        except ValueError:
            raise Invalid("size: rows and columns are numbers") from None
        return cls(
            min(ROWS[1], max(ROWS[0], wanted[0])), min(COLUMNS[1], max(COLUMNS[0], wanted[1]))
        )


# --- Opened -----------------------------------------------------------------------------------


async def open_terminal(
    sandbox: Sandbox, size: Size, *, command: str = "", name: str = "", started_by: str = ""
) -> Terminal:
    """Start a shell, or a command, on a terminal.

    Raises NotFound or Conflict if the sandbox cannot be used, TooMany, and Invalid.
    """
    require_running(sandbox)
    if len(command) > MAX_COMMAND or "\x00" in command:
        raise Invalid(f"command: at most {MAX_COMMAND} characters, and no NUL among them")
    name = _checked_name(name)
    terminal = await database.write(_insert, sandbox, size, command, name, started_by)
    spec = StartSpec(
        id=terminal.process_id,
        script=command or None,
        argv=None if command else SHELL,
        cwd=WORKSPACE,
        env={**ENVIRONMENT, **sandbox.environment},
        pty=(size.rows, size.columns),
    )
    try:
        async with guests.linked(sandbox) as link:
            await link.start(spec, attach=False)
    except Exception:
        await _forget(sandbox, terminal)
        raise
    await events.changed(sandbox.project_id, "terminal", terminal.id)
    return terminal


async def _forget(sandbox: Sandbox, terminal: Terminal) -> None:
    """Remove the row of a terminal that was not started, or whose start nobody heard of."""
    try:
        async with guests.linked(sandbox) as link:
            await link.kill(terminal.process_id)
    except NotFound:
        await database.write(Terminal.objects.filter(pk=terminal.pk).delete)
    except Refused as refusal:
        # The shell may run: `settle` finds out.
        logger.info("the start of terminal %s is in doubt: %s", terminal.id, refusal)
    else:
        await finish(sandbox, terminal, reason=Terminal.Reason.KILLED)


def _checked_name(text: str) -> str:
    name = text.strip()
    if words.UNSEEN.search(name):
        raise Invalid("name: line breaks and other control characters are not allowed")
    return name


def _insert(sandbox: Sandbox, size: Size, command: str, name: str, started_by: str) -> Terminal:
    with transaction.atomic():
        Sandbox.objects.select_for_update().get(pk=sandbox.pk)
        open_ones = Terminal.objects.filter(sandbox=sandbox, ended_at=None)
        if open_ones.count() >= settings.TERMINALS_PER_SANDBOX:
            raise TooMany(
                f"{settings.TERMINALS_PER_SANDBOX} terminals are open in this sandbox already; "
                "close one first",
                tag="terminal_quota",
            )
        history.renew(sandbox, timezone.now())
        return Terminal.objects.create(
            sandbox=sandbox,
            name=(name or _new_name(sandbox, command))[:MAX_NAME],
            command=command,
            started_by=started_by,
            rows=size.rows,
            columns=size.columns,
            recorded=sandbox.records_terminals and not space.is_full(sandbox.project_id),
        )


def _new_name(sandbox: Sandbox, command: str) -> str:
    """Return the command's first word, or `shell` and the smallest number that is free."""
    if command.split():
        return command.split()[0].rpartition("/")[2] or command.split()[0]
    taken = set(
        Terminal.objects.filter(sandbox=sandbox, ended_at=None).values_list("name", flat=True)
    )
    number = 1
    while (name := f"shell {number}" if number > 1 else "shell") in taken:
        number += 1
    return name


def group_of(terminal_id: uuid.UUID) -> str:
    """Return the channel group of those who watch a terminal."""
    return f"terminal.{terminal_id}"


# --- Found ------------------------------------------------------------------------------------


def find(sandbox: Sandbox, terminal_id: uuid.UUID) -> Terminal:
    """Return a terminal of a sandbox, ended or not. Reads the database. Raises NotFound."""
    terminal = Terminal.objects.filter(sandbox=sandbox, pk=terminal_id).first()
    if terminal is None:
        raise NotFound("there is no such terminal", tag="terminal_not_found")
    return terminal


async def listing(sandbox: Sandbox) -> list[Terminal]:
    """Return the open terminals of a sandbox, oldest first."""
    await settle(sandbox)
    return await database.read(
        lambda: list(Terminal.objects.filter(sandbox=sandbox, ended_at=None))
    )


# --- Used -------------------------------------------------------------------------------------


async def resize(sandbox: Sandbox, terminal: Terminal, size: Size) -> None:
    """Give a terminal another size; its programs are told."""
    async with guests.linked(sandbox) as link:
        await link.resize(terminal.process_id, size.rows, size.columns)
    rows = Terminal.objects.filter(pk=terminal.pk)
    await database.note(lambda: rows.update(rows=size.rows, columns=size.columns))


async def send_signal(sandbox: Sandbox, terminal: Terminal, name: str) -> None:
    """Signal what runs in the foreground of a terminal."""
    if name not in SIGNALS:
        raise Invalid(f"signal: one of {', '.join(SIGNALS)}")
    async with guests.linked(sandbox) as link:
        await link.signal(terminal.process_id, name, foreground=True)


def note_use(sandbox: Sandbox, terminal: Terminal) -> None:
    """Remember that somebody works here; this renews the sandbox. Writes the database."""
    now = timezone.now()
    history.renew(sandbox, now)
    Terminal.objects.filter(pk=terminal.pk, seen_at__lt=now - SEEN_PRECISION).update(seen_at=now)


async def rename(sandbox: Sandbox, terminal: Terminal, name: str) -> None:
    name = _checked_name(name)
    if not name or len(name) > MAX_NAME:
        raise Invalid(f"name: 1 to {MAX_NAME} characters")
    rows = Terminal.objects.filter(pk=terminal.pk)
    await database.write(lambda: rows.update(name=name))
    terminal.name = name
    await events.changed(sandbox.project_id, "terminal", terminal.id)


# --- Ended ------------------------------------------------------------------------------------


async def close(sandbox: Sandbox, terminal: Terminal) -> None:
    """End a terminal with everything that runs in it. Closing a closed one does nothing."""
    if terminal.ended_at is not None or not sandbox.is_alive:
        return
    require_running(sandbox)
    try:
        async with guests.linked(sandbox) as link:
            await link.kill(terminal.process_id)
    except NotFound:
        logger.info("terminal %s was gone already", terminal.id)
    await finish(sandbox, terminal, reason=Terminal.Reason.KILLED)


async def finish(
    sandbox: Sandbox,
    terminal: Terminal,
    *,
    end: ProcessExit | None = None,
    reason: Terminal.Reason = Terminal.Reason.EXITED,
) -> bool:
    """Note the end of a terminal; True if this caller did."""
    rows = Terminal.objects.filter(pk=terminal.pk, ended_at=None)
    changes = {
        "ended_at": timezone.now(),
        "reason": reason,
        "exit_code": end.exit_code if end else None,
    }
    finished = bool(await database.write(lambda: rows.update(**changes)))
    if finished:
        await events.changed(sandbox.project_id, "terminal", terminal.id)
    return finished


async def settle(sandbox: Sandbox) -> None:
    """Note the ends of terminals that nobody was attached to. Raises Refused."""
    rows = await database.read(
        lambda: list(Terminal.objects.filter(sandbox=sandbox, ended_at=None))
    )
    if not rows or not sandbox.is_alive:
        return
    async with guests.linked(sandbox) as link:
        known = {info.id: info for info in await link.processes()}
        for terminal in rows:
            info = known.get(terminal.process_id)
            if info is None and timezone.now() - terminal.created_at > SEEN_PRECISION:
                await finish(sandbox, terminal, reason=Terminal.Reason.KILLED)
            elif info is not None and info.exit is not None:
                await finish(sandbox, terminal, end=info.exit)


async def settle_all() -> None:
    """Note the ends of terminals in all sandboxes. Upkeep: one that cannot be asked is left."""
    places = asyncio.Semaphore(PARALLEL)

    async def look(sandbox: Sandbox) -> None:
        async with places:
            try:
                await settle(sandbox)
            except Refused as refusal:
                logger.info("the terminals of %s have to wait: %s", sandbox.id, refusal)

    sandboxes = await database.read(_with_open_terminals)
    await asyncio.gather(*(look(sandbox) for sandbox in sandboxes))


def _with_open_terminals() -> list[Sandbox]:
    open_ones = Terminal.objects.filter(sandbox=OuterRef("pk"), ended_at=None)
    return list(Sandbox.objects.filter(Exists(open_ones), status=Status.RUNNING))


async def info(sandbox: Sandbox, terminal: Terminal) -> ProcessInfo:
    """Return what the guest says of a terminal. Raises NotFound once it has ended for good."""
    async with guests.linked(sandbox) as link:
        try:
            return await link.process(terminal.process_id)
        except GuestError as error:
            if error.code == "not_found":
                raise Conflict("the terminal has ended", tag="terminal_ended") from error
            raise
