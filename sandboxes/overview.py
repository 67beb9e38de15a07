"""What an operator sees of all sandboxes at once: how many, whose, and what they use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import TruncHour
from django.utils import timezone

from project.models import Lease
from sandboxes import guests, supervisor
from sandboxes.engine import get_engine
from sandboxes.engine.base import EngineDisk, EngineInfo
from sandboxes.models import ALIVE, Command, Sandbox, Status, UsageSample

MOST_PROJECTS = 20
MOST_SANDBOXES = 10
HOURS = 24
# Counting what is on its disk costs the engine up to seconds.
DISK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class EngineHealth:
    info: EngineInfo
    disk: EngineDisk
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Hour:
    start: datetime
    commands: int


@dataclass(frozen=True, slots=True)
class Supervision:
    """Which server supervises, and when it last took its turn."""

    holder: str
    seen_at: datetime
    late: bool


_disk: tuple[float, EngineDisk] | None = None
_one_count = asyncio.Lock()


async def engine_health() -> EngineHealth:
    """Ask the engine how it is. Raises Refused."""
    engine = get_engine()
    with guests.refusals():
        before = time.perf_counter()
        await engine.ping()
        latency = time.perf_counter() - before
        return EngineHealth(await engine.info(), await _disk_usage(), latency * 1000)


async def _disk_usage() -> EngineDisk:
    global _disk
    async with _one_count:
        if _disk is None or time.monotonic() - _disk[0] > DISK_SECONDS:
            _disk = time.monotonic(), await get_engine().disk_usage()
        return _disk[1]


def alive() -> int:
    """Return how many sandboxes are alive, whosever. Reads the database."""
    return Sandbox.objects.filter(status__in=ALIVE).count()


def by_state() -> dict[str, int]:
    """Count the sandboxes that have not ended, by state. Reads the database."""
    counted = Sandbox.objects.order_by().filter(status__in=(*ALIVE, Status.STOPPING))
    found = dict(counted.values_list("status").annotate(Count("pk")))
    return {status: found.get(status, 0) for status in (*ALIVE, Status.STOPPING)}


def by_project() -> list[dict[str, Any]]:
    """Count the sandboxes of each project that has some alive. Reads the database."""
    rows = Sandbox.objects.order_by().filter(status__in=ALIVE).values("project_id", "project__name")
    running = Count("pk", filter=Q(status=Status.RUNNING))
    counted = rows.annotate(alive=Count("pk"), running=running).order_by("-alive")
    return [{**row} for row in counted[:MOST_PROJECTS]]


def biggest() -> list[Sandbox]:
    """Return the sandboxes that use most memory, as last measured. Reads the database."""
    last = UsageSample.objects.filter(sandbox=OuterRef("pk")).order_by("-at")
    return list(
        Sandbox.objects.filter(status__in=ALIVE)
        .select_related("project")
        .annotate(
            used_bytes=Subquery(last.values("memory_bytes")[:1]),
            used_cpu=Subquery(last.values("cpu_percent")[:1]),
            measured_at=Subquery(last.values("at")[:1]),
        )
        .filter(used_bytes__isnull=False)
        .order_by("-used_bytes")[:MOST_SANDBOXES]
    )


def commands_by_hour() -> Sequence[Hour]:
    """Count the commands of each of the last 24 hours. Reads the database."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    first = now - timedelta(hours=HOURS - 1)
    rows = Command.objects.order_by().filter(created_at__gte=first)
    counted = dict(rows.values_list(TruncHour("created_at")).annotate(Count("pk")))
    hours = [first + timedelta(hours=number) for number in range(HOURS)]
    return [Hour(hour, counted.get(hour, 0)) for hour in hours]


def supervision() -> Supervision | None:
    """Say which server supervises, and since when it has been silent. Reads the database."""
    lease = Lease.objects.filter(name=supervisor.LEASE).first()
    if lease is None:
        return None
    seen_at = lease.expires_at - timedelta(seconds=supervisor.lease_seconds())
    return Supervision(lease.holder, seen_at, late=lease.expires_at < timezone.now())
