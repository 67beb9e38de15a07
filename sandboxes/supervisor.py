"""The loop that keeps sandboxes true to their rows: expiry, reconciliation, history, upkeep.

It runs inside every server process, and a lease in the database lets one of them act.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from project import database, leases
from project.errors import Refused
from sandboxes import guests, harvest, lifecycle, reconcile
from sandboxes.engine.base import EngineError
from sandboxes.models import ALIVE, Command, CommandStatus, Reason, Sandbox, Status

logger = logging.getLogger(__name__)

LEASE = "supervisor"
LEAST_LEASE_SECONDS = 5.0
# How many sandboxes are looked after at once, and how long one may take. What a guest holds back
# waits for the next turn, and holds up no other sandbox's end.
PARALLEL = 8
PATIENCE_SECONDS = 30.0
# What one turn ends at the most.
MAX_EXPIRED = 200

_tasks: list[asyncio.Task[None]] = []


@dataclass
class Chore:
    """Upkeep that another app wants done now and then by one server at a time."""

    name: str
    seconds: float
    work: Callable[[], Awaitable[object]]
    # In a loop of its own, with no wait for the other parts of a turn.
    apart: bool = False
    due_at: float = 0.0


_chores: dict[str, Chore] = {}


def add_chore(
    name: str, seconds: float, work: Callable[[], Awaitable[object]], *, apart: bool = False
) -> None:
    """Have the supervisor do work every so many seconds.

    Work that is done apart and returns True has more to do: it goes on at once, if the lease is
    still ours. So no other server joins in while it lasts, and none waits for it.
    """
    _chores[name] = Chore(name, seconds, work, apart)


def start() -> None:
    """Start the loop in this process, and those of the chores that are done apart."""
    _tasks.append(asyncio.create_task(_supervise(), name="supervisor"))
    _tasks.extend(
        asyncio.create_task(_repeat(chore), name=chore.name)
        for chore in _chores.values()
        if chore.apart
    )


async def stop() -> None:
    """Stop the loops and leave the lease to others."""
    if not _tasks:
        return
    for task in _tasks:
        task.cancel()
    await asyncio.gather(*_tasks, return_exceptions=True)
    _tasks.clear()
    await database.write(leases.release, LEASE)


async def _repeat(chore: Chore) -> None:
    while True:
        has_more = await _attempt(chore.name, chore.work)
        await asyncio.sleep(0 if has_more is True else chore.seconds)


async def _supervise() -> None:
    while True:
        try:
            await turn()
        except Exception:
            logger.exception("a turn of the supervisor failed")
        await asyncio.sleep(settings.SUPERVISOR_SECONDS)


def _acquire() -> bool:
    """Take or keep the lease; False if another process has it."""
    return leases.acquire(LEASE, lease_seconds())


def lease_seconds() -> float:
    """Return how long the lease is held after each part of a turn."""
    return max(LEAST_LEASE_SECONDS, 3 * float(settings.SUPERVISOR_SECONDS))


async def turn() -> None:
    """Do everything that is due once, if no other process does so."""
    await _attempt("expiry", expire)
    await _attempt("reconciliation", reconcile.reconcile)
    await _attempt("guests", look_after_guests)
    for chore in _chores.values():
        if not chore.apart and time.monotonic() >= chore.due_at:
            chore.due_at = time.monotonic() + chore.seconds
            await _attempt(chore.name, chore.work)


async def _attempt(name: str, work: Callable[[], Awaitable[object]]) -> object:
    """Do a part and return what it returns. One that fails does not keep others from their turn."""
    try:
        # Taken anew for each part: one that lasts may have outlasted the lease.
        if await database.write(_acquire):
            return await work()
    except (Refused, EngineError) as error:
        logger.warning("%s has to wait: %s", name, error)
    except Exception:
        logger.exception("%s failed", name)
    return None


async def expire() -> None:
    """End the sandboxes whose time is over. A command that is waited for keeps its sandbox."""

    def due() -> list[Sandbox]:
        return list(overdue().exclude(status=Status.CREATING).order_by("expires_at")[:MAX_EXPIRED])

    async def end(sandbox: Sandbox) -> None:
        await lifecycle.kill(sandbox, reason=Reason.EXPIRED, by=lifecycle.BY_ITSELF)

    await _each(await database.read(due), end)


def overdue() -> QuerySet[Sandbox]:
    now = timezone.now()
    in_use = Command.objects.filter(
        sandbox=OuterRef("pk"),
        kind=Command.Kind.EXEC,
        status=CommandStatus.RUNNING,
        deadline_at__gt=now,
    )
    return Sandbox.objects.filter(~Exists(in_use), status__in=ALIVE, expires_at__lte=now)


async def look_after_guests() -> None:
    """Finish the rows of ended processes, and renew the deadline of guests in use."""

    def busy() -> list[Sandbox]:
        running = Command.objects.filter(sandbox=OuterRef("pk"), status=CommandStatus.RUNNING)
        return list(Sandbox.objects.filter(Exists(running), status=Status.RUNNING))

    def outlived() -> list[Sandbox]:
        soon = timezone.now() + lifecycle.GUEST_GRACE
        return list(
            Sandbox.objects.filter(
                Q(guest_deadline_at__lt=F("expires_at") + lifecycle.GUEST_GRACE / 2)
                | Q(guest_deadline_at__lt=soon),
                status=Status.RUNNING,
            )
        )

    await _each(await database.read(busy), harvest.collect)
    await _each(await database.read(outlived), _renew_deadline)


async def _renew_deadline(sandbox: Sandbox) -> None:
    now = timezone.now()
    expires_at = sandbox.expires_at
    deadline = lifecycle.guest_deadline(max(expires_at, now) if expires_at else None)
    async with guests.linked(sandbox) as link:
        await link.deadline((deadline - now).total_seconds())
    rows = Sandbox.objects.filter(pk=sandbox.pk)
    await database.write(lambda: rows.update(guest_deadline_at=deadline))


async def _each(sandboxes: list[Sandbox], work: Callable[[Sandbox], Awaitable[object]]) -> None:
    """Do work for each sandbox, a few at a time; one that fails is logged and left for later."""
    places = asyncio.Semaphore(PARALLEL)

    async def do(sandbox: Sandbox) -> None:
        async with places:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await work(sandbox)
            except TimeoutError:
                logger.warning("sandbox %s has to wait: it took too long", sandbox.id)
            except (Refused, EngineError) as error:
                logger.warning("sandbox %s has to wait: %s", sandbox.id, error)

    await asyncio.gather(*(do(sandbox) for sandbox in sandboxes))
