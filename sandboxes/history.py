"""The history of commands: a row before a command runs, finished after it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from project import statements
from project.models import Project
from sandboxes.access import require_running, sandbox_for
from sandboxes.guest.link import ProcessExit
from sandboxes.models import (
    Command,
    CommandStatus,
    Door,
    GeneratedFile,
    Sandbox,
    Status,
    Terminal,
)

# Many commands in a row do not write the expiry each.
RENEWAL_PRECISION = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the history keeps of one stream: its first and last part as text, and its size."""

    text: str = ""
    size: int = 0


class StreamKeeper:
    """Keeps the first and the last part of one stream, whatever its size."""

    def __init__(self) -> None:
        self._bound = int(settings.COMMAND_KEPT_OUTPUT_BYTES)
        self._head = bytearray()
        self._tail = bytearray()
        self.size = 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        room = self._bound - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data[-self._bound :]
            if len(self._tail) > 2 * self._bound:
                del self._tail[: -self._bound]

    def kept(self, size: int | None = None) -> Kept:
        """Return what is kept of a stream of which so many bytes were produced in all."""
        size = max(size or 0, self.size)
        tail = bytes(self._tail[-self._bound :])
        left_out = size - len(self._head) - len(tail)
        text = _as_text(bytes(self._head) + tail)
        if left_out > 0:
            text = f"{_as_text(bytes(self._head))}\n[{left_out} bytes left out]\n{_as_text(tail)}"
        return Kept(text, size)


def _as_text(data: bytes) -> str:
    # PostgreSQL keeps no NUL in a text.
    return data.decode(errors="replace").replace("\x00", "\ufffd")


def begin(
    project: Project,
    sandbox_id: uuid.UUID,
    *,
    command: str,
    known: Sandbox | None = None,
    kind: str = Command.Kind.EXEC,
    cwd: str = "",
    seconds: float | None = None,
    requested_by: str = "",
    door: str = Door.API,
) -> tuple[Sandbox, Command]:
    """Write the row of a command that is about to run; this use renews the sandbox.

    `known` is the sandbox as it was read a while ago; whether it can be used is asked again.
    Raises NotFound or Conflict if it cannot. Writes the database.
    """
    with transaction.atomic():
        sandbox = _usable(project, sandbox_id, known)
        now = timezone.now()
        row = Command(
            sandbox=sandbox,
            kind=kind,
            command=_storable(command),
            cwd=cwd,
            requested_by=requested_by,
            door=door,
            created_at=now,
            deadline_at=now + timedelta(seconds=seconds) if seconds else None,
        )
        statements.insert(row)
        renew(sandbox, now)
    return sandbox, row


def _usable(project: Project, sandbox_id: uuid.UUID, known: Sandbox | None) -> Sandbox:
    if known is not None and statements.exists(
        Sandbox, id=sandbox_id, project=project.pk, status=Status.RUNNING
    ):
        return known
    sandbox = sandbox_for(project, sandbox_id)
    require_running(sandbox)
    return sandbox


def _storable(command: str) -> str:
    """Cut what is beyond measure: a command may carry a whole file."""
    bound = 2 * int(settings.COMMAND_KEPT_OUTPUT_BYTES)
    if len(command) <= bound:
        return command
    return f"{command[:bound]}\n[{len(command) - bound} characters left out]"


def is_cut(command: str) -> bool:
    """Tell whether the history holds only the beginning of a command."""
    return len(command) > 2 * int(settings.COMMAND_KEPT_OUTPUT_BYTES)


def is_renewed(sandbox: Sandbox, now: datetime) -> bool:
    """Has the expiry been moved just now? As far as this object knows."""
    return bool(sandbox.renewed_at and now - sandbox.renewed_at < RENEWAL_PRECISION)


def renew(sandbox: Sandbox, now: datetime) -> None:
    """Move the expiry of a sandbox in use. Only a running one is renewed. Writes the database."""
    if is_renewed(sandbox, now):
        return
    # Its lifetime may have been changed since it was read.
    sandbox.refresh_from_db(fields=("lifetime_seconds", "last_expiry_at"))
    sandbox.renewed_at, sandbox.expires_at = now, sandbox.renewed_expiry(now)
    Sandbox.objects.filter(pk=sandbox.pk, status=Status.RUNNING).update(
        expires_at=sandbox.expires_at, updated_at=now
    )


def finish(
    row: Command,
    sandbox: Sandbox,
    *,
    status: CommandStatus,
    end: ProcessExit | None = None,
    stdout: Kept = Kept(),
    stderr: Kept = Kept(),
    detail: str = "",
    renews: bool = True,
) -> bool:
    """Finish a command's row; True if this caller did. A waited-for end renews the sandbox. Writes.

    Without a `detail` the row keeps the one it has, of somebody who asked for its end.
    """
    now = timezone.now()
    duration = end.duration if end else (now - row.created_at).total_seconds()
    with transaction.atomic():
        changes = {
            "status": status,
            "exit_code": end.exit_code if end else None,
            "out_of_memory": end.out_of_memory if end else False,
            "truncated": end.truncated if end else False,
            "stdout": stdout.text,
            "stderr": stderr.text,
            "stdout_bytes": stdout.size,
            "stderr_bytes": stderr.size,
            **({"detail": detail} if detail else {}),
            "finished_at": now,
            "duration_ms": round(duration * 1000),
        }
        finished = statements.update(Command, changes, id=row.pk, status=CommandStatus.RUNNING)
        if renews:
            renew(sandbox, now)
    return bool(finished)


def note_killer(row: Command, by: str) -> bool:
    """Write who is about to kill a command; False if it has ended. Writes the database."""
    running = Command.objects.filter(pk=row.pk, status=CommandStatus.RUNNING)
    return bool(running.update(detail=f"killed by {by}"))


def forget_killer(row: Command, by: str) -> None:
    """Take back what `note_killer` wrote: the command was not killed. Writes the database."""
    running = Command.objects.filter(pk=row.pk, status=CommandStatus.RUNNING)
    running.filter(detail=f"killed by {by}").update(detail="")


def status_of(row: Command, end: ProcessExit) -> CommandStatus:
    """Return how a running command has just ended. Reads the database."""
    if end.timed_out:
        return CommandStatus.TIMED_OUT
    # A running row has a detail only if somebody asked for its end.
    asked_for = Command.objects.filter(pk=row.pk).exclude(detail="").exists()
    return CommandStatus.KILLED if asked_for else CommandStatus.EXITED


def keep_output(row: Command, stdout: Kept, stderr: Kept) -> None:
    """Keep what a command had said before its sandbox ended under it. Writes the database."""
    ended = Command.objects.filter(pk=row.pk, stdout_bytes=0, stderr_bytes=0)
    ended.exclude(status=CommandStatus.RUNNING).update(
        stdout=stdout.text,
        stderr=stderr.text,
        stdout_bytes=stdout.size,
        stderr_bytes=stderr.size,
    )


def close_open_rows(sandbox: Sandbox, detail: str) -> None:
    """Finish the commands and terminals that a sandbox took with it. Writes the database."""
    now = timezone.now()
    Command.objects.filter(sandbox=sandbox, status=CommandStatus.RUNNING).update(
        status=CommandStatus.KILLED, detail=detail, finished_at=now
    )
    Terminal.objects.filter(sandbox=sandbox, ended_at=None).update(
        ended_at=now, reason=Terminal.Reason.STOPPED
    )


def note_generated_file(sandbox: Sandbox, path: str) -> None:
    """Remember that a file was copied to a disk; this use renews the sandbox. Writes."""
    with transaction.atomic():
        GeneratedFile.objects.create(sandbox=sandbox, path=path)
        renew(sandbox, timezone.now())
