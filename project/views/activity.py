"""The log of activity: what happened in a project, filtered by its address, and as CSV."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from project import trail
from project.database import read
from project.models import Activity
from project.pages import PageRequest, page, render

# What still has a page of its own, by the first word of the verb.
PAGES = {"sandbox": "/sandboxes/{}/", "disk": "/disks/{}/files/"}


@page()
async def activity(request: PageRequest) -> HttpResponseBase:
    wanted = trail.filter_of(request.GET)
    rows = trail.lines_of(request.member, wanted)
    if request.GET.get("format") == "csv":
        return _csv(request, trail.csv_of(rows))
    part = await read(trail.part_of, rows, request.GET.get("after", ""))
    context: dict[str, Any] = {
        "wanted": wanted,
        "query": wanted.query(),
        "lines": [_Shown(line) for line in part.lines],
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


class _Shown:
    """A line as the page shows it."""

    def __init__(self, line: Activity) -> None:
        self.line = line

    @property
    def words(self) -> str:
        return trail.WORDS.get(self.line.verb, self.line.verb.replace(".", " "))

    @property
    def door(self) -> str:
        return trail.DOORS.get(self.line.door, self.line.door)

    @property
    def name(self) -> str:
        """Name the object; one without a name by the beginning of its id."""
        name = self.line.object_name or self.line.object_id
        return name[:8] if _is_id(name) else name

    @property
    def url(self) -> str:
        area, _, what = self.line.verb.partition(".")
        if what == "delete" or area not in PAGES or not _is_id(self.line.object_id):
            return ""
        return PAGES[area].format(self.line.object_id)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
