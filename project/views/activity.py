"""The log of activity: what happened in a project, filtered by its address, and as CSV."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from project import trail
from project.database import read
from project.models import Activity
from project.pages import PageRequest, page, render


@page()
async def activity(request: PageRequest) -> HttpResponseBase:
    wanted = trail.filter_of(request.GET)
    zone = trail.zone_of(request)
    rows = trail.lines_of(request.member, wanted, zone)
    if request.GET.get("format") == "csv":
        return _csv(request, trail.csv_of(rows))
    part = await read(trail.part_of, rows, request.GET.get("after", ""))
    context: dict[str, Any] = {
        "wanted": wanted,
        "ignored": trail.ignored(request.GET),
        "zone": zone,
        "query": wanted.query(),
        "lines": await read(trail.shown, part.lines),
        "older": part.older,
        "is_newest": not request.GET.get("after"),
        "areas": trail.AREAS.items(),
        "outcomes": Activity.Outcome.choices,
        "doors": trail.DOORS.items(),
    }
    name = "#rows" if request.GET.get("part") == "rows" else ""
    return await render(request, f"project/activity.html{name}", context)


def _csv(request: PageRequest, pieces: Any) -> HttpResponse | StreamingHttpResponse:
    response = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = (
        f'attachment; filename="activity-{timezone.now():%Y-%m-%d}.csv"'
    )
    return response
