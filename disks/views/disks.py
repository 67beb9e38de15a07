"""The pages of disks themselves: the list, a new one, settings, the trash."""

from __future__ import annotations

import uuid
from itertools import groupby
from typing import Any

from django.conf import settings as configured
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from disks import lifecycle
from disks import trash as trashed
from disks.models import Disk, TrashedArtifact
from disks.views.shared import find_disk, head_of
from project import database, events
from project.pages import PageRequest, done, note, page, render
from project.policy import Right

SHOWN = 100
DAY = 86_400
COLUMNS = (
    ("name", "Name", "c-name"),
    ("files", "Files", "c-files end"),
    ("size", "Size", "c-size end"),
    ("changed", "Last change", "c-mod"),
    ("owner", "Owner", "c-owner"),
)


@require_safe
@page()
async def disks(request: PageRequest) -> HttpResponse:
    """Show the disks of a project: searched, sorted, and so many more as asked for."""
    query = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    order = request.GET.get("sort", "name")
    if order.removeprefix("-") not in lifecycle.ORDERS:
        order = "name"
    count = _count(request)
    found = lifecycle.listing(request.member.project, query, order)
    everything = Disk.objects.filter(project=request.member.project)
    all_disks = await database.read(
        lambda: everything.aggregate(count=Count("pk"), bytes=Sum("bytes"))
    )
    context: dict[str, Any] = {
        "disks": found[:count],
        "total": found.count,
        "all_disks": all_disks["count"],
        "all_bytes": all_disks["bytes"] or 0,
        "query": query,
        "order": order,
        "columns": COLUMNS,
        "next_count": count + SHOWN,
        "opens_new": "new" in request.GET and request.member.may_work,
    }
    context["rows_only"] = rows_only = request.GET.get("part") == "rows"
    return await render(
        request, "disks/list.html#rows" if rows_only else "disks/list.html", context
    )


def _count(request: HttpRequest) -> int:
    text = request.GET.get("count", "")
    return min(max(int(text), SHOWN), 10_000) if text.isdecimal() and len(text) < 6 else SHOWN


@require_http_methods(["GET", "HEAD", "POST"])
@page(needs=Right.WORK)
async def new(request: PageRequest) -> HttpResponse:
    """Make a disk. As a page of its own only where there are no scripts."""
    if request.method != "POST":
        return await render(request, "disks/new.html")
    disk = await database.write(
        lambda: lifecycle.create(
            request.member.project,
            request.POST.get("name", ""),
            request.POST.get("description", ""),
            by=request.member.name,
        )
    )
    await note(request, "disk.create", object_id=disk.pk, object_name=str(disk))
    await events.changed(disk.project_id, "disk", disk.pk)
    return await done(request, f"Disk {disk} is made.", reverse("disks:files", args=[disk.pk, ""]))


@require_http_methods(["GET", "HEAD", "POST"])
@page()
async def settings(request: PageRequest, disk_id: uuid.UUID) -> HttpResponseBase:
    """Show what a disk is called and what it holds; change its name and description."""
    if request.method != "POST":
        disk = await find_disk(request, disk_id)
        return await render(request, "disks/settings.html", head_of(disk, "settings"))
    disk = await find_disk(request, disk_id, Right.WORK)
    name, description = request.POST.get("name", ""), request.POST.get("description", "")
    before = {"name": disk.name, "description": disk.description}
    disk = await database.write(lifecycle.describe, disk, name, description)
    changed = [what for what, was in before.items() if getattr(disk, what) != was]
    await note(
        request,
        "disk.change",
        object_id=disk.pk,
        object_name=str(disk),
        detail=" and ".join(changed),
    )
    await events.changed(disk.project_id, "disk", disk.pk)
    return await done(request, "Saved.", reverse("disks:settings", args=[disk.pk]))


@require_POST
@page()
async def delete(request: PageRequest, disk_id: uuid.UUID) -> HttpResponse:
    """Delete a disk with its files."""
    disk = await find_disk(request, disk_id, Right.WORK)
    await database.read(lifecycle.check_typed, disk, request.POST.get("name", "").strip())
    await lifecycle.delete(disk)
    await note(request, "disk.delete", object_id=disk_id, object_name=str(disk))
    await events.changed(disk.project_id, "disk", disk_id)
    return await done(request, f"Disk {disk} is deleted.", reverse("disks:list"))


@require_safe
@page()
async def trash(request: PageRequest, disk_id: uuid.UUID) -> HttpResponse:
    """Show what was deleted from a disk and can be restored."""
    disk = await find_disk(request, disk_id)
    count = _count(request)
    found = await database.read(trashed.listing, disk, 0, count)
    context = head_of(disk, "trash") | {
        "deletions": _by_deletion(found),
        "shown": len(found.items),
        "total": found.total,
        "bytes": found.bytes,
        "count": count,
        "next_count": count + SHOWN,
        "days": max(1, round(configured.TRASH_SECONDS / DAY)),
        "may_work": request.member.may_work,
    }
    context["rows_only"] = rows_only = request.GET.get("part") == "rows"
    return await render(request, f"disks/trash.html{'#rows' if rows_only else ''}", context)


def _by_deletion(found: trashed.Trash) -> list[tuple[uuid.UUID, int, list[TrashedArtifact]]]:
    """Return what is shown of each deletion, after its id and how many were deleted with it."""
    groups = groupby(found.items, key=lambda row: row.deletion)
    return [(deletion, found.together[deletion], list(rows)) for deletion, rows in groups]
