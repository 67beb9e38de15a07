"""What a sandbox uses, for its charts, and the processes in it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils import timezone

from project import database, words
from project.errors import Refused
from project.pages import PageRequest, note, page, render, sentence
from project.policy import Right
from sandboxes.models import Sandbox, Status
from sandboxes.usage import top
from sandboxes.views.shared import find_sandbox

RANGES = (
    ("5m", "5 m", timedelta(minutes=5)),
    ("15m", "15 m", timedelta(minutes=15)),
    ("1h", "1 h", timedelta(hours=1)),
    ("24h", "24 h", timedelta(hours=24)),
    ("all", "All", None),
)
DEFAULT_RANGE, WHOLE_LIFE = "15m", "all"
SPANS = {name: span for name, _, span in RANGES}
# What is kept of a day, and more; see sampling.py.
MOST_SAMPLES = 5000


def range_of(request: PageRequest, sandbox: Sandbox) -> str:
    """Return the range that the address asks for; of a dead sandbox its whole life if for none."""
    wanted = request.GET.get("range", "")
    if wanted in SPANS:
        return wanted
    return DEFAULT_RANGE if sandbox.is_alive else WHOLE_LIFE


def nothing_measured(sandbox: Sandbox) -> str:
    """Say why there is no usage to show."""
    if sandbox.ended_at:
        lived = (sandbox.ended_at - sandbox.created_at).total_seconds()
        return f"No usage was measured: it lived {words.duration(lived)}."
    if sandbox.status == Status.PAUSED:
        return "Paused before the first sample."
    return "The first sample comes in a few seconds."


@page()
async def usage(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Return the samples of a range, oldest first, one list for each quantity."""
    sandbox = await find_sandbox(request, sandbox_id)
    samples = await database.read(_samples, sandbox, SPANS[range_of(request, sandbox)])
    return JsonResponse({**samples, "nothing": nothing_measured(sandbox)})


def _samples(sandbox: Sandbox, span: timedelta | None) -> dict[str, Any]:
    found = sandbox.usage_samples.order_by("-at")
    since = until = None
    if span is not None:
        # Of a dead one the last that it used is shown.
        last = None if sandbox.is_alive else found.first()
        until = last.at if last else timezone.now()
        since = until - span
        found = found.filter(at__gte=since)
    columns = ("at", "cpu_percent", "memory_bytes", "workspace_bytes", "processes")
    rows = list(found.values_list(*columns)[:MOST_SAMPLES])[::-1]
    at, cpu, memory, workspace, processes = zip(*rows, strict=True) if rows else ((),) * 5
    if span is None and at:
        since, until = at[0], at[-1]
    return {
        # What the charts show from left to right, by the clock that wrote the samples.
        "since": round(since.timestamp(), 1) if since else None,
        "until": round(until.timestamp(), 1) if until else None,
        "at": [round(moment.timestamp(), 1) for moment in at],
        "cpu": [round(percent, 1) for percent in cpu],
        "memory": memory,
        "workspace": workspace,
        "processes": processes,
    }


@page()
async def processes(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Draw the processes of a running sandbox anew."""
    sandbox = await find_sandbox(request, sandbox_id)
    context: dict[str, Any] = {"sandbox": sandbox}
    if sandbox.status == Status.RUNNING:
        try:
            found, total = await top(sandbox)
            context |= {"found": found, "total": total}
        except Refused as refusal:
            context["trouble"] = sentence(refusal.message)
    return await render(request, "sandboxes/processes.html", context)


@page()
async def environment(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Return the values of a sandbox's environment, to somebody who asked to see them."""
    sandbox = await find_sandbox(request, sandbox_id, Right.WORK)
    await note(request, "sandbox.show_environment", object_id=sandbox.pk, object_name=str(sandbox))
    return JsonResponse({"values": sandbox.environment}, headers={"Cache-Control": "no-store"})
