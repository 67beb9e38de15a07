"""The life of a sandbox: made, extended, paused, resumed, ended. The only writer of its status.

Every move is one guarded UPDATE, and its row count tells who won a race. The row is written
before the engine is asked, and the box carries our labels: whatever a crash leaves behind,
reconcile.py brings the two together again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from project import activity, database
from project.errors import Conflict, NotFound, Refused, TooMany, Unavailable
from project.models import Project
from sandboxes import fitness, guests, history, images, news
from sandboxes.access import how_it_ended, require_running
from sandboxes.engine import get_engine
from sandboxes.engine.base import BoxSpec
from sandboxes.guest.command import agent_command
from sandboxes.models import ALIVE, UNFINISHED, Installation, Reason, Sandbox, Status
from sandboxes.options import NewSandbox, check_labels, check_name, lifetime, limits_for

logger = logging.getLogger(__name__)

# A guest ends its box by itself so long after the expiry it was last told of: a server that
# is away for a moment comes back to find its sandboxes.
GUEST_GRACE = timedelta(minutes=15)
GUEST_NEVER = timedelta(days=30)

# Who ends what nobody asked to be ended.
BY_ITSELF = "Sandbank"
NOTED_AS = {Reason.EXPIRED: "expire", Reason.KILLED: "kill"}

LABEL_INSTANCE = "sandbank.instance"
LABEL_SANDBOX = "sandbank.sandbox"
LABEL_PROJECT = "sandbank.project"

# Boxes that are being made whether or not their caller still waits.
_booting: set[asyncio.Task[Any]] = set()


class EndsLater(Unavailable):
    """A sandbox is dead for everybody, and its box goes when the engine answers again."""

    tag = "engine_unavailable"

    def __init__(self) -> None:
        super().__init__("it has ended; its box goes as soon as the engine answers again")


def installation_id() -> str:
    """Return who we are to the engine. Writes the database the first time."""
    return str(Installation.objects.get_or_create(only=True)[0].id)


def move(sandbox_id: uuid.UUID, *, within: Collection[str], to: Status, **changes: Any) -> bool:
    """Move a sandbox to another state if it is in one of these; True if we did. Writes."""
    changes.setdefault("updated_at", timezone.now())
    moved = Sandbox.objects.filter(pk=sandbox_id, status__in=within).update(status=to, **changes)
    return bool(moved)


# --- Made -----------------------------------------------------------------------------------


async def create(project: Project, wish: NewSandbox, *, created_by: str = "") -> Sandbox:
    """Make a sandbox and return it running.

    Raises Invalid for a wish out of bounds or an unfit image, TooMany over the project's quota,
    Unavailable if the engine does not answer, and Failed if it refuses; the row then tells why.
    """
    until = asyncio.get_running_loop().time() + settings.SANDBOX_CREATE_SECONDS
    try:
        async with asyncio.timeout_at(until):
            await fitness.require_fit(images.choose(wish.image))
    except TimeoutError:
        raise _too_slow() from None
    sandbox = await database.write(_insert, project, wish, created_by)
    await news.sandbox_changed(sandbox)
    booting = asyncio.create_task(_boot(sandbox, until))
    _booting.add(booting)
    booting.add_done_callback(_booting.discard)
    try:
        return await asyncio.shield(booting)
    except asyncio.CancelledError:
        # Nobody will ever know this sandbox's id.
        booting.add_done_callback(lambda _: _end_unwanted(sandbox))
        raise


def _too_slow() -> Unavailable:
    seconds = settings.SANDBOX_CREATE_SECONDS
    return Unavailable(f"the sandbox did not start within {seconds:g} seconds")


def _end_unwanted(sandbox: Sandbox) -> None:
    task = asyncio.ensure_future(
        kill(sandbox, reason=Reason.KILLED, detail="its caller went away while it was being made")
    )
    _booting.add(task)
    task.add_done_callback(_booting.discard)


def _insert(project: Project, wish: NewSandbox, created_by: str) -> Sandbox:
    limits = limits_for(wish)
    image = images.choose(wish.image)
    now = timezone.now()
    with transaction.atomic():
        # The lock on the project makes the count and the insert one step.
        Project.objects.select_for_update().get(pk=project.pk)
        alive = Sandbox.objects.filter(project=project, status__in=ALIVE).count()
        if alive >= settings.SANDBOX_MAX_PER_PROJECT:
            raise TooMany(
                f"the project has {alive} sandboxes alive, as many as it may; end one first",
                tag="sandbox_quota",
            )
        sandbox = Sandbox(
            project=project,
            name=wish.name,
            labels=dict(wish.labels),
            image=image,
            cpus=limits.cpus,
            memory_bytes=limits.memory_bytes,
            workspace_bytes=limits.workspace_bytes,
            pids=settings.SANDBOX_PIDS,
            network=wish.network,
            environment=dict(wish.env),
            records_terminals=wish.records_terminals,
            created_by=created_by,
            created_at=now,
            updated_at=now,
            lifetime_seconds=limits.lifetime_seconds,
        )
        if limits.lifetime_seconds is not None:
            sandbox.last_expiry_at = now + timedelta(seconds=settings.SANDBOX_MAX_SECONDS)
        sandbox.expires_at = sandbox.renewed_expiry(now)
        sandbox.save(force_insert=True)
    return sandbox


async def _boot(sandbox: Sandbox, until: float) -> Sandbox:
    """Make, start and greet the box; then the row says running, if nobody ended it meanwhile."""
    try:
        async with asyncio.timeout_at(until):
            with guests.refusals():
                await _start_box(sandbox)
                link = await guests.get_link(sandbox)
                deadline = guest_deadline(sandbox.expires_at)
                await link.deadline((deadline - timezone.now()).total_seconds())
    except (Refused, TimeoutError) as error:
        refusal = error if isinstance(error, Refused) else _too_slow()
        await _give_up(sandbox, refusal.message)
        raise refusal from error
    now = timezone.now()
    if await database.write(
        move,
        sandbox.id,
        within=[Status.CREATING],
        to=Status.RUNNING,
        guest_deadline_at=deadline,
        updated_at=now,
    ):
        sandbox.status, sandbox.guest_deadline_at, sandbox.updated_at = (
            Status.RUNNING,
            deadline,
            now,
        )
        await news.sandbox_changed(sandbox)
        return sandbox
    await remove_box(sandbox)
    await database.read(sandbox.refresh_from_db)
    raise Conflict(f"the sandbox was ended while it was being made: {how_it_ended(sandbox)}")


async def _start_box(sandbox: Sandbox) -> None:
    engine = get_engine()
    spec = BoxSpec(
        name=sandbox.box_name,
        image=sandbox.image,
        command=agent_command(guests.socket_name(sandbox.id)),
        labels={
            LABEL_INSTANCE: await database.write(installation_id),
            LABEL_SANDBOX: str(sandbox.id),
            LABEL_PROJECT: str(sandbox.project_id),
        },
        environment={
            **sandbox.environment,
            "SANDBANK_GUEST_TOKEN": guests.guest_token(sandbox.id),
        },
        cpus=sandbox.cpus,
        memory_bytes=sandbox.memory_bytes,
        workspace_bytes=sandbox.workspace_bytes,
        pids=sandbox.pids,
        network=sandbox.network,
        runtime=settings.SANDBOX_RUNTIME,
    )
    await engine.create(spec)
    await engine.start(sandbox.box_name)


async def _give_up(sandbox: Sandbox, why: str) -> None:
    await database.write(
        move,
        sandbox.id,
        within=[Status.CREATING],
        to=Status.ERROR,
        reason=Reason.FAILED_TO_START,
        reason_detail=why,
        ended_at=timezone.now(),
    )
    await news.sandbox_changed(sandbox)
    try:
        await remove_box(sandbox)
    except Refused:
        logger.warning("the box of %s is left for the reconciler", sandbox.id)


def guest_deadline(expires_at: datetime | None) -> datetime:
    """Return when a guest should end its box by itself."""
    if expires_at is None:
        return timezone.now() + GUEST_NEVER
    return expires_at + GUEST_GRACE


# --- Changed --------------------------------------------------------------------------------


async def extend(sandbox: Sandbox, timeout: int | str) -> Sandbox:
    """Give a sandbox a new lifetime, counted from now. Raises NotFound for a dead one."""

    def write() -> None:
        now = timezone.now()
        sandbox.lifetime_seconds = lifetime(timeout)
        if sandbox.lifetime_seconds is None:
            sandbox.last_expiry_at = None
        else:
            longest = now + timedelta(seconds=settings.SANDBOX_MAX_SECONDS)
            sandbox.last_expiry_at = max(sandbox.last_expiry_at or longest, longest)
        sandbox.expires_at = sandbox.renewed_expiry(now)
        _change(
            sandbox,
            lifetime_seconds=sandbox.lifetime_seconds,
            last_expiry_at=sandbox.last_expiry_at,
            expires_at=sandbox.expires_at,
        )

    await database.write(write)
    await news.sandbox_changed(sandbox)
    return sandbox


def longer(sandbox: Sandbox, seconds: int) -> int:
    """Return the lifetime from now that lets a sandbox live so much longer, as far as it may.

    Raises Conflict for one that lives without a limit: more time would give it one.
    """
    if sandbox.expires_at is None and sandbox.is_alive:
        raise Conflict("it has no time limit", tag="no_time_limit")
    left = 0.0
    if sandbox.expires_at is not None:
        left = max(left, (sandbox.expires_at - timezone.now()).total_seconds())
    return min(math.ceil(left) + seconds, int(settings.SANDBOX_MAX_SECONDS))


async def describe(
    sandbox: Sandbox,
    *,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    records_terminals: bool | None = None,
) -> Sandbox:
    """Name a sandbox, label it, have its new terminals recorded. Raises NotFound for a dead one.

    Raises Invalid for a name or label that cannot be one.
    """
    changes: dict[str, Any] = {}
    if records_terminals is not None:
        changes["records_terminals"] = sandbox.records_terminals = records_terminals
    if name is not None:
        check_name(name)
        changes["name"] = sandbox.name = name
    if labels is not None:
        check_labels(labels)
        changes["labels"] = sandbox.labels = dict(labels)
    if changes:
        await database.write(_change, sandbox, **changes)
        await news.sandbox_changed(sandbox)
    return sandbox


def _change(sandbox: Sandbox, **changes: Any) -> None:
    changes["updated_at"] = sandbox.updated_at = timezone.now()
    if not Sandbox.objects.filter(pk=sandbox.pk, status__in=ALIVE).update(**changes):
        sandbox.refresh_from_db()
        require_running(sandbox)
        raise NotFound("sandbox not found")


async def pause(sandbox: Sandbox) -> Sandbox:
    """Freeze a running sandbox. Pausing a paused one does nothing."""
    return await _freeze(sandbox, frm=Status.RUNNING, to=Status.PAUSED)


async def resume(sandbox: Sandbox) -> Sandbox:
    """Thaw a paused sandbox. Resuming a running one does nothing."""
    return await _freeze(sandbox, frm=Status.PAUSED, to=Status.RUNNING)


async def _freeze(sandbox: Sandbox, *, frm: Status, to: Status) -> Sandbox:
    if sandbox.status == to:
        return sandbox
    if sandbox.status != frm:
        require_running(sandbox)
    engine = get_engine()
    with guests.refusals():
        if to == Status.PAUSED:
            await engine.pause(sandbox.box_name)
        else:
            await engine.resume(sandbox.box_name)
    await database.write(move, sandbox.id, within=[frm], to=to)
    await database.read(sandbox.refresh_from_db)
    await news.sandbox_changed(sandbox)
    return sandbox


# --- Ended ----------------------------------------------------------------------------------


async def kill(
    sandbox: Sandbox, *, reason: Reason = Reason.KILLED, by: str = "", detail: str = ""
) -> bool:
    """End a sandbox; False if it had ended already.

    From the first write on it is dead for everybody. Raises EndsLater if the engine does not
    answer: the box then goes as soon as it does.
    """
    if not await database.write(_claim_end, sandbox, reason, by, detail):
        return False
    await news.sandbox_changed(sandbox)
    try:
        await finish_kill(sandbox)
    except Unavailable as refusal:
        raise EndsLater from refusal
    return True


def _claim_end(sandbox: Sandbox, reason: Reason, by: str, detail: str) -> bool:
    with transaction.atomic():
        claimed = move(
            sandbox.id,
            within=ALIVE,
            to=Status.STOPPING,
            reason=reason,
            reason_detail=detail,
            ended_by=by,
            ended_at=timezone.now(),
        )
        if claimed:
            history.close_open_rows(sandbox, f"the sandbox ended: {reason.label}")
            if by in ("", BY_ITSELF):
                _note_end(sandbox, reason, detail)
    return claimed


def _note_end(sandbox: Sandbox, reason: Reason, detail: str) -> None:
    """Write the line of activity of an end that nobody asked for."""
    activity.record(
        sandbox.project_id,
        f"sandbox.{NOTED_AS.get(reason, 'end')}",
        actor=BY_ITSELF,
        door=activity.Door.SANDBANK,
        object_id=sandbox.id,
        object_name=str(sandbox),
        outcome=activity.Outcome.DONE if reason in NOTED_AS else activity.Outcome.FAILED,
        detail=detail or reason.label,
    )


async def finish_kill(sandbox: Sandbox) -> None:
    """Remove the box of a stopping sandbox and say that it is gone."""
    await remove_box(sandbox)
    await database.write(move, sandbox.id, within=[Status.STOPPING], to=Status.KILLED)
    await news.sandbox_changed(sandbox)


async def end_lost(sandbox: Sandbox, reason: Reason, detail: str) -> None:
    """Record the end of a sandbox whose box ended without us, and remove what is left."""

    def write() -> bool:
        with transaction.atomic():
            history.close_open_rows(sandbox, f"the sandbox ended: {reason.label}")
            ended = move(
                sandbox.id,
                within=UNFINISHED,
                to=Status.ERROR,
                reason=reason,
                reason_detail=detail,
                ended_at=timezone.now(),
            )
            if ended:
                _note_end(sandbox, reason, detail)
            return ended

    if await database.write(write):
        logger.warning("sandbox %s ended: %s %s", sandbox.id, reason.label, detail)
        await news.sandbox_changed(sandbox)
    await remove_box(sandbox)


async def remove_box(sandbox: Sandbox) -> None:
    """Close our link, then remove the box. A missing box is no error."""
    # An open, unread exec stream of a killed process wedges the engine: the link goes first.
    await guests.close_link(sandbox.id)
    with guests.refusals():
        await get_engine().remove(sandbox.box_name)
