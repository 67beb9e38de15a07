"""Who may use which sandbox. A stranger's sandbox and a missing one look the same."""

from __future__ import annotations

import uuid

from django.utils import timezone

from project import database, words
from project.errors import Conflict, NotFound
from project.models import Project
from sandboxes.models import Reason, Sandbox, Status


def sandbox_for(project: Project, sandbox_id: uuid.UUID) -> Sandbox:
    """Return a project's sandbox in any state. Reads the database. Raises NotFound."""
    try:
        return Sandbox.objects.get(project=project, id=sandbox_id)
    except Sandbox.DoesNotExist:
        raise NotFound("sandbox not found", tag="sandbox_not_found") from None


async def running_sandbox(project: Project, sandbox_id: uuid.UUID) -> Sandbox:
    """Return a project's sandbox that can be used now.

    Raises NotFound, with the reason if it is dead, and Conflict if it is paused or not ready.
    """
    sandbox = await database.read(sandbox_for, project, sandbox_id)
    require_running(sandbox)
    return sandbox


def require_running(sandbox: Sandbox) -> None:
    """Raise the refusal that fits a sandbox which cannot be used now."""
    if sandbox.status == Status.RUNNING:
        return
    if sandbox.status == Status.PAUSED:
        raise Conflict("the sandbox is paused; resume it first", tag="sandbox_paused")
    if sandbox.status == Status.CREATING:
        raise Conflict("the sandbox is still being made", tag="sandbox_not_ready")
    raise NotFound(
        f"sandbox not found: {how_it_ended(sandbox)}", tag=f"sandbox_{sandbox.reason or 'killed'}"
    )


# How it ended, as pages say it beside when it was.
ENDS = {
    Reason.EXPIRED: "stopped by its time limit",
    Reason.OUT_OF_MEMORY: "ran out of memory",
    Reason.EXITED: "its box ended by itself",
    Reason.LOST: "the engine lost its box",
    Reason.FAILED_TO_START: "could not be started",
}


def end_of(sandbox: Sandbox) -> str:
    """Say in a few words how a sandbox ended, such as `stopped by mara`; pages add when."""
    if sandbox.reason in ENDS:
        return ENDS[Reason(sandbox.reason)]
    return f"stopped by {sandbox.ended_by}" if sandbox.ended_by else "stopped"


def time_left(sandbox: Sandbox) -> str:
    """Say how long a sandbox may live on, such as `50 m 00 s left`."""
    if sandbox.expires_at is None:
        return "no time limit"
    seconds = (sandbox.expires_at - timezone.now()).total_seconds()
    return f"{words.duration(max(0, round(seconds)))} left"


def how_it_ended(sandbox: Sandbox) -> str:
    """Say in a sentence why and when a sandbox ended."""
    sentence = Reason(sandbox.reason).label if sandbox.reason else "it ended"
    if sandbox.ended_by and sandbox.reason == Reason.KILLED:
        sentence += f" by {sandbox.ended_by}"
    if sandbox.ended_at:
        sentence += f" at {sandbox.ended_at:%Y-%m-%d %H:%M:%S} UTC"
    if sandbox.reason_detail:
        sentence += f" ({sandbox.reason_detail})"
    return sentence
