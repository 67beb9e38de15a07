"""Transfers as jobs: made, run in this process, cancelled, taken over, given up.

The only writer of a transfer's status; every change of it is one guarded UPDATE, whose row count
tells who won a race. A job belongs to the process that keeps its `seen_at` fresh. When a process
dies, what had not begun is taken over by another; what had begun is failed with what it did, for
nobody knows what became of its last file.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from disks import places
from disks.copying import Copying, Progress
from disks.entries import is_within, join
from disks.models import OnConflict, Transfer
from disks.places.base import Place
from project import activity, database, events
from project.errors import Conflict, Invalid, NotFound, Refused, TooMany
from project.models import Project
from project.words import plural
from sandboxes.access import how_it_ended
from sandboxes.models import ALIVE, Sandbox
from sandboxes.models import Status as SandboxStatus

logger = logging.getLogger(__name__)

Status = Transfer.Status
UNFINISHED = (Status.WAITING, Status.RUNNING)

# How often a process tells of its jobs, and looks whether one is to be cancelled.
TELL_SECONDS = 1.0
# Of a job that was not told of for so long, the server is dead.
STALE = timedelta(seconds=15)
# How long the jobs of a server that stops may take to clean up.
STOP_SECONDS = 5.0
# What is said of a job whose server died: nobody knows what that did last.
SERVER_GONE = "its server stopped"
MAX_UNFINISHED = 100
MAX_NAMES = 1_000
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to have copied or moved: things in one folder, into another."""

    source: Place
    source_folder: str
    names: list[str]
    target: Place
    target_folder: str
    moves: bool = False
    on_conflict: OnConflict = OnConflict.REPLACE


@dataclass(eq=False)
class _Job:
    """A transfer that this process runs, or will when there is room."""

    transfer: Transfer
    progress: Progress = field(default_factory=Progress)
    task: asyncio.Task[None] | None = None
    # How it was told to end.
    end: tuple[Status, str] | None = None
    is_finishing: bool = False
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> uuid.UUID:
        return self.transfer.id

    def note_paused(self, sandboxes: set[uuid.UUID]) -> None:
        """Have the run wait while a sandbox that it needs is paused."""
        if sandboxes.isdisjoint((self.transfer.source_id, self.transfer.target_id)):
            self.progress.may_go.set()
        else:
            self.progress.may_go.clear()

    def stop(self, status: Status, error: str = "") -> None:
        if self.task is not None and self.end is None and not self.is_finishing:
            self.end = status, error
            self.task.cancel()


# Those of this process, in the order they came.
_jobs: dict[uuid.UUID, _Job] = {}
_teller: asyncio.Task[None] | None = None


# --- Made -----------------------------------------------------------------------------------


async def create(project: Project, wish: Wish, *, by: str) -> Transfer:
    """Begin a transfer. Raises Invalid, Conflict for what leads nowhere, and TooMany."""
    check(wish)
    transfer = await database.write(_insert, project, wish, by)
    _enqueue(transfer)
    await events.changed(project.pk, "transfer", transfer.id)
    return transfer


def check(wish: Wish) -> None:
    """Raise the refusal of a wish that cannot be fulfilled."""
    if not wish.names:
        raise Invalid("choose at least one file or folder")
    if len(wish.names) > MAX_NAMES:
        raise Invalid(f"choose at most {MAX_NAMES:,} files and folders, or the folder they are in")
    if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in wish.names):
        raise Invalid("a name of a file must not be empty or hold a slash")
    if (wish.source.kind, wish.source.id) != (wish.target.kind, wish.target.id):
        return
    if wish.source_folder == wish.target_folder:
        raise Conflict("both sides show the same folder; open another one on one side")
    for name in wish.names:
        if is_within(wish.target_folder, join(wish.source_folder, name)):
            raise Conflict(f"the folder {name} cannot be put into itself")


def _insert(project: Project, wish: Wish, by: str) -> Transfer:
    now = timezone.now()
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        unfinished = Transfer.objects.filter(project=project, status__in=UNFINISHED).count()
        if unfinished >= MAX_UNFINISHED:
            raise TooMany(f"{unfinished} transfers wait or run; let some of them end first")
        return Transfer.objects.create(
            project=project,
            source=wish.source.kind,
            source_id=wish.source.id,
            source_name=wish.source.name[:200],
            source_folder=wish.source_folder,
            names=wish.names,
            target=wish.target.kind,
            target_id=wish.target.id,
            target_name=wish.target.name[:200],
            target_folder=wish.target_folder,
            moves=wish.moves,
            on_conflict=wish.on_conflict,
            created_by=by[:200],
            created_at=now,
            seen_at=now,
        )


# --- Run ------------------------------------------------------------------------------------


def _enqueue(transfer: Transfer) -> None:
    global _teller
    _jobs[transfer.id] = _Job(transfer)
    if _teller is None or _teller.done():
        _teller = asyncio.create_task(_keep_telling(), name="transfers")
    _start_some()


def _start_some() -> None:
    """Start the jobs there is room for."""
    while (job := _next()) is not None:
        job.task = asyncio.create_task(_run(job), name=f"transfer {job.id}")
        job.task.add_done_callback(lambda _, job=job: _ended(job))  # type: ignore[misc]


def _next() -> _Job | None:
    """Return the job to start now: of the project with the fewest running, the oldest.

    One place is kept for a project that has none running, so that nobody waits for all that
    another one started.
    """
    running = Counter(job.transfer.project_id for job in _jobs.values() if job.task is not None)
    left = settings.TRANSFER_PARALLEL - running.total()
    if left <= 0:
        return None
    waiting = [job for job in _jobs.values() if job.task is None]
    if left == 1 and running:
        waiting = [job for job in waiting if not running[job.transfer.project_id]]
    return min(waiting, key=lambda job: running[job.transfer.project_id], default=None)


def _ended(job: _Job) -> None:
    _jobs.pop(job.id, None)
    _start_some()


async def _run(job: _Job) -> None:
    """Do a transfer from its start to its finished row."""
    try:
        if not await database.write(_claim, job.id):
            return
        status, error = await _work(job)
    except asyncio.CancelledError:
        if job.end is None:
            raise
        status, error = job.end
    job.is_finishing = True
    await database.write(finish, job.transfer, status, error, job.progress)
    await events.changed(job.transfer.project_id, "transfer", job.id)


async def _work(job: _Job) -> tuple[Status, str]:
    """Copy. Return how that ended, and the reason why it failed."""
    transfer, progress = job.transfer, job.progress
    await events.changed(transfer.project_id, "transfer", job.id)
    try:
        # The places are looked up as they are then: one that is paused stays so.
        await progress.until_resumed()
        run = Copying(
            source=await _place(transfer, transfer.source, transfer.source_id),
            source_folder=transfer.source_folder,
            names=transfer.names,
            target=await _place(transfer, transfer.target, transfer.target_id),
            target_folder=transfer.target_folder,
            moves=transfer.moves,
            on_conflict=OnConflict(transfer.on_conflict),
            progress=progress,
            by=transfer.created_by,
        )
        await run.run()
    except Refused as refusal:
        return Status.FAILED, await _why(transfer, refusal)
    except Exception:
        logger.exception("transfer %s failed", transfer.id)
        return Status.FAILED, "something went wrong on the server; its log has the details"
    if progress.files_failed and not progress.files_done:
        return Status.FAILED, progress.problems[0]["why"]
    return Status.DONE, ""


async def _place(transfer: Transfer, kind: str, place_id: uuid.UUID) -> Place:
    """Return a side of a transfer. Raises NotFound if it is gone."""
    place = await places.find(kind, place_id)
    if place.project_id != transfer.project_id:
        raise NotFound("there is no such place in this project")
    return place


async def _why(transfer: Transfer, refusal: Refused) -> str:
    """Say why a transfer failed: of a sandbox that ended, how it ended."""

    def ended() -> Sandbox | None:
        sandboxes = Sandbox.objects.filter(
            pk__in=(transfer.source_id, transfer.target_id), project=transfer.project_id
        )
        return sandboxes.exclude(status__in=ALIVE).first()

    sandbox = await database.read(ended)
    if sandbox is None:
        return refusal.message
    return f"the sandbox {sandbox} ended: {how_it_ended(sandbox)}"


def _claim(transfer_id: uuid.UUID) -> bool:
    now = timezone.now()
    waiting = Transfer.objects.filter(pk=transfer_id, status=Status.WAITING)
    return bool(waiting.update(status=Status.RUNNING, started_at=now, seen_at=now))


def finish(
    transfer: Transfer, status: Status, error: str, progress: Progress | None = None
) -> bool:
    """Write how a running transfer ended; True if this caller did. Writes."""
    counts = progress.counts() if progress else {}
    with transaction.atomic():
        running = Transfer.objects.filter(pk=transfer.pk, status=Status.RUNNING)
        now = timezone.now()
        if not running.update(status=status, error=error, finished_at=now, **counts):
            return False
        transfer.refresh_from_db()
        activity.record(
            transfer.project_id,
            "transfer.finish",
            actor=transfer.created_by,
            door=activity.Door.SANDBANK,
            object_id=transfer.id,
            object_name=str(transfer),
            outcome=_outcome(transfer),
            detail=result_of(transfer),
        )
    return True


def _outcome(transfer: Transfer) -> activity.Outcome:
    failed = transfer.status == Status.FAILED or transfer.files_failed
    return activity.Outcome.FAILED if failed else activity.Outcome.DONE


def result_of(transfer: Transfer) -> str:
    """Say in a sentence how a transfer ended and what it did."""
    verb = "moved" if transfer.moves else "copied"
    if brought_only_folders(transfer):
        return f"{plural(len(transfer.names), 'folder')} {verb}, without a file"
    parts = [f"{transfer.files_done:,} {verb}"]
    if transfer.files_skipped:
        parts.append(f"{transfer.files_skipped:,} skipped")
    if transfer.files_failed:
        parts.append(f"{transfer.files_failed:,} failed")
    counts = ", ".join(parts)
    if transfer.status == Status.DONE:
        return counts
    so_far = _so_far(transfer, verb)
    if transfer.status == Status.CANCELLED:
        return f"Cancelled: {so_far}"
    return f"{transfer.error}; {so_far}"


def brought_only_folders(transfer: Transfer) -> bool:
    """Did it end well, and was there no file in what it was for?"""
    return transfer.status == Status.DONE and not transfer.files_total and not transfer.problems


def _so_far(transfer: Transfer, verb: str) -> str:
    """Say what was done before the end; a server that died told it up to a second before."""
    is_known = transfer.error != SERVER_GONE
    if not transfer.files_total:
        return f"nothing {verb}" if is_known else f"it is not known how much was {verb}"
    least = "" if is_known else "at least "
    return f"{least}{transfer.files_done:,} of {plural(transfer.files_total, 'file')} {verb}"


# --- Told -----------------------------------------------------------------------------------


async def _keep_telling() -> None:
    while _jobs:
        await asyncio.sleep(TELL_SECONDS)
        try:
            await tell()
        except Exception:
            logger.exception("the progress of transfers could not be told")


async def tell() -> None:
    """Write the progress of this process's jobs, and stop those that are to be cancelled."""
    if not _jobs:
        return
    news = {job.id: job.progress.counts() for job in _jobs.values()}
    asked, paused = await database.note(_save, news)
    for transfer_id, counts in news.items():
        job = _jobs.get(transfer_id)
        if job is None:
            continue
        if transfer_id not in asked or asked[transfer_id]:
            # Cancelled, or given up by others, who believed this process to be dead.
            job.stop(Status.CANCELLED)
        job.note_paused(paused)
        if counts != job.told:
            job.told = counts
            await events.changed(job.transfer.project_id, "transfer", transfer_id)


def _save(
    news: dict[uuid.UUID, dict[str, Any]],
) -> tuple[dict[uuid.UUID, bool], set[uuid.UUID]]:
    """Write progress. Return which jobs are still ours, and whether they shall end.

    And return the sandboxes they wait for, because those are paused.
    """
    ours = Transfer.objects.filter(pk__in=news, status__in=UNFINISHED)
    now = timezone.now()
    with transaction.atomic():
        for transfer_id, counts in news.items():
            ours.filter(pk=transfer_id).update(seen_at=now, **counts)
        asked = dict(ours.values_list("pk", "cancel_requested"))
        sides = Q(pk__in=ours.values("source_id")) | Q(pk__in=ours.values("target_id"))
        paused = Sandbox.objects.filter(sides, status=SandboxStatus.PAUSED)
        return asked, set(paused.values_list("pk", flat=True))


# --- Cancelled ------------------------------------------------------------------------------


async def cancel(transfer: Transfer) -> bool:
    """Have a transfer end soon, in whichever process it runs; False if it has ended before."""
    if not await database.write(_ask_to_cancel, transfer.pk):
        return False
    job = _jobs.get(transfer.pk)
    if job is not None and job.task is None:
        del _jobs[transfer.pk]
    elif job is not None:
        job.stop(Status.CANCELLED)
    await events.changed(transfer.project_id, "transfer", transfer.pk)
    return True


def _ask_to_cancel(transfer_id: uuid.UUID) -> bool:
    rows = Transfer.objects.filter(pk=transfer_id)
    now = timezone.now()
    if rows.filter(status=Status.WAITING).update(status=Status.CANCELLED, finished_at=now):
        return True
    return bool(rows.filter(status=Status.RUNNING).update(cancel_requested=True))


async def stop() -> None:
    """Let go of all jobs, because this server stops."""
    waiting = [job.id for job in _jobs.values() if job.task is None]
    for transfer_id in waiting:
        del _jobs[transfer_id]
    running = {job.id: job for job in _jobs.values()}
    for job in running.values():
        job.stop(Status.FAILED, "its server was stopped")
    tasks = [job.task for job in running.values() if job.task is not None]
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
    if waiting or running:
        await database.write(_release, [*waiting, *running])
    if _teller is not None:
        _teller.cancel()
        await asyncio.gather(_teller, return_exceptions=True)


def _release(transfer_ids: list[uuid.UUID]) -> None:
    """Leave what has not begun to another server."""
    waiting = Transfer.objects.filter(pk__in=transfer_ids, status=Status.WAITING)
    waiting.update(seen_at=None)


# --- Taken over, given up, forgotten --------------------------------------------------------


async def look_after() -> None:
    """Take over or give up the jobs of servers that died. A chore of the supervisor."""
    for transfer in await database.read(_deserted):
        if transfer.pk in _jobs:
            continue
        if transfer.status == Status.RUNNING:
            await _give_up(transfer)
        elif await database.write(_take_over, transfer):
            _enqueue(transfer)


def _deserted() -> list[Transfer]:
    long_ago = Q(seen_at__isnull=True) | Q(seen_at__lt=timezone.now() - STALE)
    deserted = Transfer.objects.filter(long_ago, status__in=UNFINISHED)
    return list(deserted.order_by("created_at")[:MAX_UNFINISHED])


async def _give_up(transfer: Transfer) -> None:
    status = Status.CANCELLED if transfer.cancel_requested else Status.FAILED
    if await database.write(finish, transfer, status, SERVER_GONE):
        await events.changed(transfer.project_id, "transfer", transfer.pk)


def _take_over(transfer: Transfer) -> bool:
    same = Transfer.objects.filter(pk=transfer.pk, status=Status.WAITING, seen_at=transfer.seen_at)
    return bool(same.update(seen_at=timezone.now()))


def finished(project: Project) -> QuerySet[Transfer]:
    return Transfer.objects.filter(project=project).exclude(status__in=UNFINISHED)


def forget_finished(project: Project) -> int:
    """Delete the rows of a project's finished transfers. Writes."""
    return finished(project).delete()[0]


async def forget_old() -> None:
    """Delete the rows of transfers that ended long ago. A chore of the supervisor."""
    old = Transfer.objects.filter(finished_at__lt=timezone.now() - KEPT)
    await database.write(old.delete)
