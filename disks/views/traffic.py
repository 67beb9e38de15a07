"""What goes on with the files of one sandbox, for its page: changes in it, copies to and from it."""

from __future__ import annotations

import asyncio
import heapq
import uuid
from contextlib import aclosing
from datetime import UTC, datetime

from django.db.models import Q
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from disks import places
from disks.models import Place as PlaceKind
from disks.models import Transfer
from disks.places.base import Entry, Place
from disks.views.entries import Row, row_of
from disks.views.job_rows import JobRow
from project import database
from project.errors import Refused, Unprocessable
from project.pages import PageRequest, page, render, sentence
from sandboxes.models import Sandbox, Status
from sandboxes.views.shared import find_sandbox

SHOWN = 6
# What was found in this time is shown.
LOOK_SECONDS = 3.0
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@require_safe
@page()
async def traffic(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Draw the files of a sandbox that changed last, and its last transfers."""
    sandbox = await find_sandbox(request, sandbox_id)
    context: dict[str, object] = {
        "sandbox": sandbox,
        "is_running": sandbox.status == Status.RUNNING,
        "changed": [],
        "jobs": await database.read(_jobs, sandbox),
    }
    if sandbox.status == Status.RUNNING:
        place = await places.find(PlaceKind.SANDBOX, sandbox_id)
        try:
            context["changed"] = [_changed(place, entry) for entry in await newest(place)]
        except Refused as refusal:
            context["trouble"] = sentence(refusal.message)
    return await render(request, "disks/parts/traffic.html", context)


def _jobs(sandbox: Sandbox) -> list[JobRow]:
    source = Q(source=PlaceKind.SANDBOX, source_id=sandbox.pk)
    target = Q(target=PlaceKind.SANDBOX, target_id=sandbox.pk)
    found = Transfer.objects.filter(source | target, project=sandbox.project_id)
    return [JobRow(transfer) for transfer in found.order_by("-created_at", "id")[:SHOWN]]


def _changed(place: Place, entry: Entry) -> tuple[str, Row]:
    """Return the folder of a file, as seen from where the place starts, and its row."""
    folder = entry.path[: -len(entry.name)]
    return folder.removeprefix(f"{place.start}/"), row_of(place, entry)


async def newest(place: Place) -> list[Entry]:
    """Return the files below the start of a place that changed last, the newest first.

    Of a tree that is too large to see in time, those among what was seen. Raises Refused.
    """
    found: list[Entry] = []
    try:
        async with asyncio.timeout(LOOK_SECONDS), aclosing(place.walk(place.start)) as entries:
            async for entry in entries:
                if entry.kind == "file":
                    found.append(entry)
                if len(found) > 100 * SHOWN:
                    found = _newest(found)
    except (TimeoutError, Unprocessable):
        pass
    return _newest(found)


def _newest(found: list[Entry]) -> list[Entry]:
    return heapq.nlargest(SHOWN, found, key=lambda entry: entry.modified or LONG_AGO)
