"""The overview of the admin panel: the host, the engine, all sandboxes, and what was left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, Sum
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_POST

from disks.models import Blob
from project import activity, database, host, words
from project.errors import Forbidden, Invalid, Refused, Unavailable
from project.pages import StaffRequest, done, render, staff_page
from sandboxes import orphans, overview
from sandboxes.models import ALIVE, Status
from sandboxes.stop_all import stop_all

# An engine that does not answer must not keep the rest of the page waiting.
ENGINE_SECONDS = 8.0
STOP_WORDS = "stop all sandboxes"
WORDS = {
    Status.CREATING: ("starting", "Starting"),
    Status.RUNNING: ("running", "Running"),
    Status.PAUSED: ("paused", "Paused"),
    Status.STOPPING: ("stopping", "Stopping…"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour of the chart of commands; lengths in a field of 240 x 60."""

    x: int
    y: float
    height: float
    title: str


@staff_page
async def show(request: StaffRequest) -> HttpResponseBase:
    part = request.GET.get("part", "")
    if part == "alive":
        # One number, which the page asks for beside all that is live on it.
        alive = await database.read(overview.alive)
        return await render(request, "project/overview.html#alive", {"alive": alive})
    name = "#live" if part == "live" else ""
    return await render(request, f"project/overview.html{name}", await _facts(request))


async def _facts(request: StaffRequest) -> dict[str, Any]:
    machine, (health, trouble), (survey, _), rows = await asyncio.gather(
        host.look(settings.DATA_DIR),
        _or_trouble(overview.engine_health()),
        _or_trouble(orphans.survey()),
        database.read(_rows),
    )
    return {
        "host": machine,
        "health": health,
        "trouble": trouble,
        "survey": survey,
        "may_change": await database.read(_may_change, request),
        "stop_words": STOP_WORDS,
        **rows,
    }


async def _or_trouble[T](asked: Awaitable[T]) -> tuple[T | None, str]:
    """Return an answer of the engine, or why there is none."""
    try:
        async with asyncio.timeout(ENGINE_SECONDS):
            return await asked, ""
    except Refused as refusal:
        return None, refusal.message
    except TimeoutError:
        return None, "the engine does not answer in time"


def _rows() -> dict[str, Any]:
    """Return what the database knows. Reads it."""
    counts = overview.by_state()
    hours = overview.commands_by_hour()
    blobs = Blob.objects.aggregate(number=Count("pk"), bytes=Sum("size"))
    return {
        "states": [(*WORDS[Status(status)], count) for status, count in counts.items()],
        "alive": sum(counts[status] for status in ALIVE),
        "projects": overview.by_project(),
        "biggest": overview.biggest(),
        "bars": _bars(hours),
        "commands": sum(hour.commands for hour in hours),
        "busiest": max(hours, key=lambda hour: hour.commands),
        "hours": hours,
        "blobs": blobs["number"],
        "blob_bytes": blobs["bytes"] or 0,
        "supervision": overview.supervision(),
    }


def _bars(hours: Any) -> list[Bar]:
    most = max((hour.commands for hour in hours), default=0) or 1
    return [
        Bar(
            x=10 * number,
            y=60 - 58 * hour.commands / most,
            height=58 * hour.commands / most,
            title=f"{hour.start:%H:%M}: {words.plural(hour.commands, 'command')}",
        )
        for number, hour in enumerate(hours)
    ]


@require_POST
@staff_page
async def repair(request: StaffRequest) -> HttpResponseBase:
    """Repair one orphan."""
    await _require_change(request)
    kind, key = request.POST.get("kind", ""), request.POST.get("key", "")
    repaired = await orphans.repair(kind, key)
    await _note_repair(request, repaired)
    return await done(request, f"Repaired: {repaired.name}", reverse("admin_overview"))


@require_POST
@staff_page
async def repair_all(request: StaffRequest) -> HttpResponseBase:
    """Repair every orphan there is."""
    await _require_change(request)
    results = await orphans.repair_all()
    for orphan, problem in results:
        await _note_repair(request, orphan, problem)
    _require_no_problem("could not be repaired", [problem for _, problem in results if problem])
    message = f"Repaired {words.plural(len(results), 'orphan')}"
    return await done(request, message, reverse("admin_overview"))


@require_POST
@staff_page
async def stop(request: StaffRequest) -> HttpResponseBase:
    """Stop every sandbox of every project, once the words were typed."""
    await _require_change(request)
    if request.POST.get("words", "").strip().lower() != STOP_WORDS:
        raise Invalid(f"type {STOP_WORDS} to stop them")
    results = await stop_all(f"{request.staff.get_username()} in the admin panel")
    for sandbox, problem in results:
        await _note(request, sandbox.project_id, "sandbox.kill", sandbox.pk, str(sandbox), problem)
    _require_no_problem("could not be stopped", [problem for _, problem in results if problem])
    message = f"Stopped {words.plural(len(results), 'sandbox', 'sandboxes')}"
    return await done(request, message, reverse("admin_overview"))


def _may_change(request: StaffRequest) -> bool:
    return request.staff.has_perm("sandboxes.delete_sandbox")


async def _require_change(request: StaffRequest) -> None:
    if not await database.read(_may_change, request):
        raise Forbidden("your account may look at this page, and change nothing")


def _require_no_problem(what: str, problems: list[str]) -> None:
    if problems:
        raise Unavailable(f"{len(problems)} {what}: {problems[0]}")


async def _note_repair(request: StaffRequest, orphan: orphans.Orphan, problem: str = "") -> None:
    verb = "sandbox.end" if orphan.kind == orphans.Kind.ROW else "box.remove"
    await _note(request, orphan.project_id, verb, orphan.key, orphan.name, problem)


async def _note(
    request: StaffRequest, project: Any, verb: str, key: object, name: str, problem: str
) -> None:
    await database.note(
        activity.record,
        project,
        verb,
        actor=request.staff.get_username(),
        door=activity.Door.ADMIN,
        object_id=key,
        object_name=name,
        address=activity.address_of(request),
        outcome=activity.Outcome.FAILED if problem else activity.Outcome.DONE,
        detail=problem,
    )
