"""What sandboxes used over time: a sample every few seconds, thinned as it grows old.

The newest hour is kept whole, the day before it with one sample a minute. Of a dead sandbox the
minutes of its last day stay, so that its page can still show what it used.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from project import database
from project.errors import Refused
from sandboxes import guests
from sandboxes.engine.base import EngineError
from sandboxes.guest.link import Usage
from sandboxes.models import ALIVE, Sandbox, Status, UsageSample

logger = logging.getLogger(__name__)

# How many guests are asked at once: the commands of people come first.
PARALLEL = 4
ANSWER_SECONDS = 2.0
# A guest that did not answer is left alone for so long.
PATIENCE_SECONDS = 60.0
# Until it is so old, what a sandbox used in all tells what it used of late.
YOUNG_SECONDS = 60.0

WHOLE = timedelta(hours=1)
MINUTES = timedelta(hours=24)
# Rows that go in one statement.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sandbox had used of the processor in all, at one moment of our own clock."""

    at: float
    cpu_seconds: float


_readings: dict[uuid.UUID, Reading] = {}
_silent_until: dict[uuid.UUID, float] = {}
# Samples up to this moment were thinned by this process.
_thinned_until: datetime | None = None


async def sample() -> None:
    """Take a sample of every running sandbox."""
    sandboxes = await database.read(_running)
    _forget_all_but({sandbox.id for sandbox in sandboxes})
    places = asyncio.Semaphore(PARALLEL)

    async def take(sandbox: Sandbox) -> UsageSample | None:
        async with places:
            return await _sample_of(sandbox)

    samples = await asyncio.gather(*(take(sandbox) for sandbox in sandboxes))
    taken = [sample for sample in samples if sample is not None]
    if taken:
        await database.note(UsageSample.objects.bulk_create, taken)


def _running() -> list[Sandbox]:
    return list(Sandbox.objects.filter(status=Status.RUNNING).order_by("created_at"))


def _forget_all_but(sandbox_ids: set[uuid.UUID]) -> None:
    for known in (_readings, _silent_until):
        for sandbox_id in known.keys() - sandbox_ids:
            del known[sandbox_id]


async def _sample_of(sandbox: Sandbox) -> UsageSample | None:
    """Ask one guest; None if it does not answer, or if its pace is not known yet."""
    now = time.monotonic()
    if _silent_until.get(sandbox.id, 0.0) > now or not guests.has_room(sandbox.id):
        return None
    try:
        async with asyncio.timeout(ANSWER_SECONDS), guests.linked(sandbox) as link:
            usage = await link.usage()
    except (Refused, EngineError, TimeoutError) as error:
        _silent_until[sandbox.id] = now + PATIENCE_SECONDS
        logger.info("the usage of sandbox %s could not be read: %s", sandbox.id, error)
        return None
    return _as_sample(sandbox, usage)


def _as_sample(sandbox: Sandbox, usage: Usage) -> UsageSample | None:
    now, moment = time.monotonic(), timezone.now()
    before = _readings.get(sandbox.id)
    _readings[sandbox.id] = Reading(now, usage.cpu_seconds)
    if before is None:
        age = (moment - sandbox.created_at).total_seconds()
        if age > YOUNG_SECONDS:
            return None
        before = Reading(now - max(age, 0.001), 0.0)
    return UsageSample(
        sandbox=sandbox,
        at=moment,
        cpu_percent=cpu_percent(before, Reading(now, usage.cpu_seconds)),
        memory_bytes=usage.memory_bytes,
        workspace_bytes=usage.workspace_bytes,
        processes=usage.processes,
    )


def cpu_percent(before: Reading, after: Reading) -> float:
    """Return the share of one core used between two readings: 150 is one and a half cores."""
    passed = after.at - before.at
    # A guest may say anything; it does not get below nothing.
    used = max(0.0, after.cpu_seconds - before.cpu_seconds)
    return round(100 * used / passed, 1) if passed > 0 else 0.0


# --- Thinned --------------------------------------------------------------------------------


async def thin() -> None:
    """Leave one sample a minute of those older than an hour, and none older than a day."""
    global _thinned_until
    until = timezone.now() - WHOLE
    # After a start it is not known how far an earlier process came.
    since = _thinned_until or until - MINUTES
    for sandbox_id in await database.read(_with_samples_since, since):
        await _delete(await database.read(surplus, sandbox_id, since, until))
    for sandbox_id in await database.read(_older_than_their_samples):
        await _delete(await database.read(_outdated, sandbox_id))
    _thinned_until = until


def _with_samples_since(since: datetime) -> list[uuid.UUID]:
    rows = Sandbox.objects.filter(Q(status__in=ALIVE) | Q(ended_at__gte=since))
    return list(rows.values_list("id", flat=True))


def surplus(sandbox_id: uuid.UUID, since: datetime, until: datetime) -> list[int]:
    """Return the ids of all samples of a time span but the last of each minute."""
    rows = UsageSample.objects.filter(
        sandbox=sandbox_id,
        at__gte=since.replace(second=0, microsecond=0),
        at__lt=until.replace(second=0, microsecond=0),
    )
    kept: set[datetime] = set()
    dropped = []
    for row_id, at in rows.order_by("-at").values_list("id", "at"):
        minute = at.replace(second=0, microsecond=0)
        if minute in kept:
            dropped.append(row_id)
        kept.add(minute)
    return dropped


def _older_than_their_samples() -> list[uuid.UUID]:
    old = timezone.now() - MINUTES
    rows = Sandbox.objects.filter(status__in=ALIVE, created_at__lt=old)
    return list(rows.values_list("id", flat=True))


def _outdated(sandbox_id: uuid.UUID) -> list[int]:
    rows = UsageSample.objects.filter(sandbox=sandbox_id, at__lt=timezone.now() - MINUTES)
    return list(rows.values_list("id", flat=True)[: 10 * BATCH])


async def _delete(ids: Sequence[int]) -> None:
    """Delete samples, a few at a time: other writers have their turn in between."""
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        await database.note(_delete_batch, batch)


def _delete_batch(ids: Sequence[int]) -> None:
    UsageSample.objects.filter(id__in=ids).delete()
