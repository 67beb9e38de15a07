"""What the palette finds beyond the page it is on. Answers JSON."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import JsonResponse

from disks.models import Disk
from project.database import read
from project.ids import name_or_id
from project.models import Project
from project.pages import PageRequest, page
from sandboxes.models import ALIVE, Sandbox

# Fewer letters would find nearly everything.
FEWEST_LETTERS = 2
LONGEST = 100
MOST = 6


@page()
async def search(request: PageRequest) -> JsonResponse:
    """Find sandboxes and disks of the project by name, or by the beginning of their id.

    Who looks for nothing yet is shown the sandboxes that run, and the newest.
    """
    wanted = request.GET.get("q", "").strip()[:LONGEST]
    if not wanted:
        return JsonResponse({"results": await read(_newest, request.member.project)})
    if len(wanted) < FEWEST_LETTERS or "\x00" in wanted:
        return JsonResponse({"results": []})
    return JsonResponse({"results": await read(_find, request.member.project, wanted)})


def _newest(project: Project) -> list[dict[str, Any]]:
    sandboxes = Sandbox.objects.filter(project=project)
    return [_sandbox(one) for one in _alive_first(sandboxes)[:MOST]]


def _alive_first(sandboxes: QuerySet[Sandbox]) -> QuerySet[Sandbox]:
    alive = Case(When(status__in=ALIVE, then=Value(0)), default=1, output_field=IntegerField())
    return sandboxes.order_by(alive, "-created_at")


def _find(project: Project, wanted: str) -> list[dict[str, Any]]:
    sandboxes = Sandbox.objects.filter(name_or_id(wanted), project=project)
    disks = Disk.objects.filter(name_or_id(wanted), project=project)
    return [
        *(_sandbox(one) for one in _alive_first(sandboxes)[:MOST]),
        *(_disk(one) for one in disks.order_by("-updated_at")[:MOST]),
    ]


def _sandbox(sandbox: Sandbox) -> dict[str, Any]:
    short = str(sandbox.id)[:8]
    return {
        "group": "Sandboxes",
        "label": str(sandbox),
        "id": short,
        "url": f"/sandboxes/{sandbox.id}/",
        "icon": f"s-{sandbox.state}",
        "state": sandbox.state,
        "hint": sandbox.state_word,
    }


def _disk(disk: Disk) -> dict[str, Any]:
    short = str(disk.id)[:8]
    return {
        "group": "Disks",
        "label": disk.name or short,
        "id": short,
        "url": f"/disks/{disk.id}/files/",
        "icon": "i-disk",
        "hint": "",
    }
