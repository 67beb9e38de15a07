"""What goes on with the files of one sandbox, for its page: changes in it, copies to and from it."""

from __future__ import annotations

import asyncio
import heapq
import math
import time
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
# What was found in this time, and among so many files and folders, is shown.
LOOK_SECONDS = 3.0
MOST_SEEN = 5_000
# What a look found is shown for so many times as long as it took, up to so many seconds: looking
# costs a box a twentieth of its time at the most, however many people watch.
KEPT_TIMES = 20
KEPT_SECONDS = 15.0
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

    Whoever asks meanwhile, or soon after, gets what one look has found. Raises Refused.
    """
    look = _looks.get(place.id)
    if look is None or look.is_old:
        _forget_old()
        look = _looks[place.id] = _Look(place)
    # Who leaves does not take it from the others.
    return await asyncio.shield(look.task)


class _Look:
    """A walk through a place, and what it found, for a while."""

    def __init__(self, place: Place) -> None:
        self.kept_until = math.inf
        self.task = asyncio.create_task(self._look(place))
        # It may fail when nobody is left to be told.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _look(self, place: Place) -> list[Entry]:
        began, kept = time.monotonic(), 0.0
        try:
            found = await _newest_of(place)
            kept = min(KEPT_SECONDS, KEPT_TIMES * (time.monotonic() - began))
            return found
        finally:
            # A failure is not kept.
            self.kept_until = time.monotonic() + kept

    @property
    def is_old(self) -> bool:
        return time.monotonic() >= self.kept_until


_looks: dict[uuid.UUID, _Look] = {}


def _forget_old() -> None:
    for key in [key for key, look in _looks.items() if look.is_old]:
        del _looks[key]


async def _newest_of(place: Place) -> list[Entry]:
    """Walk through a place. Of a tree that is too large, those among what was seen count."""
    found: list[Entry] = []
    seen = 0
    try:
        async with asyncio.timeout(LOOK_SECONDS), aclosing(place.walk(place.start)) as entries:
            async for entry in entries:
                if entry.kind == "file":
                    found.append(entry)
                seen += 1
                if seen == MOST_SEEN:
                    break
    except (TimeoutError, Unprocessable):
        pass
    return _newest(found)


def _newest(found: list[Entry]) -> list[Entry]:
    return heapq.nlargest(SHOWN, found, key=lambda entry: entry.modified or LONG_AGO)
