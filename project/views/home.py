"""Home: what runs, what was used last, what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Sum
from django.http import HttpResponse

from disks.models import Disk, TrashedArtifact
from project import database, trail
from project.models import Activity, Project
from project.pages import PageRequest, page, render
from sandboxes import health, listing
from sandboxes.models import Sandbox, Status

SANDBOXES = 5
DISKS = 5
ACTIVITIES = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What a project has and uses now."""

    running: int
    sandboxes: int
    # Cores in use, and those that the running sandboxes may use.
    cores: float
    cores_given: float
    memory_bytes: int
    memory_given: int
    disks: int
    disk_bytes: int
    trash_bytes: int
    engine_is_away: bool


@page()
async def home(request: PageRequest) -> HttpResponse:
    """Show the project at a glance; with `part` what is alive of that."""
    context = await database.read(_context, request.member.project)
    template = "project/home.html#glance" if "part" in request.GET else "project/home.html"
    return await render(request, template, context)


def _context(project: Project) -> dict[str, Any]:
    sandboxes = Sandbox.objects.filter(project=project).defer("environment")
    recent = list(sandboxes.order_by("-created_at", "-id")[:SANDBOXES])
    disks = Disk.objects.filter(project=project)
    return {
        "facts": _facts(project),
        "rows": listing.with_use(recent),
        "disks": disks.order_by("-updated_at", "-id")[:DISKS],
        "happenings": trail.shown(Activity.objects.filter(project=project)[:ACTIVITIES]),
    }


def _facts(project: Project) -> Facts:
    sandboxes = Sandbox.objects.filter(project=project)
    running = sandboxes.filter(status=Status.RUNNING)
    given = running.aggregate(count=Count("pk"), cpus=Sum("cpus"), memory=Sum("memory_bytes"))
    use = listing.use_now(running)
    disks = Disk.objects.filter(project=project).aggregate(count=Count("pk"), bytes=Sum("bytes"))
    trash = TrashedArtifact.objects.filter(disk__project=project)
    return Facts(
        running=given["count"],
        sandboxes=sandboxes.count(),
        cores=(use.cpu_percent or 0.0) / 100,
        cores_given=given["cpus"] or 0,
        memory_bytes=use.memory_bytes or 0,
        memory_given=given["memory"] or 0,
        disks=disks["count"],
        disk_bytes=disks["bytes"] or 0,
        trash_bytes=trash.aggregate(bytes=Sum("blob__size"))["bytes"] or 0,
        engine_is_away=health.engine_is_away(),
    )
