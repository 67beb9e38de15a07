"""Endpoints of a disk's trash. The page that shows it is elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.http import HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_POST, require_safe

from disks import trash
from disks.entries import PAGE
from disks.models import Disk, TrashedArtifact
from disks.places.disk import DiskPlace
from disks.trash import Restored, Taken
from disks.views import inputs
from disks.views.files_api import MOST_LISTED
from project import database
from project.errors import Invalid, NotFound
from project.pages import PageRequest, done, note, page, wants_json
from project.policy import Right


async def _entered(request: PageRequest, disk_id: uuid.UUID, right: Right) -> Disk:
    place = await inputs.entered(request, "disk", disk_id, right)
    assert isinstance(place, DiskPlace)
    return place.disk


def row_json(row: TrashedArtifact) -> dict[str, Any]:
    path = f"{row.path}{row.filename}".rstrip("/")
    return {
        "id": str(row.pk),
        "deletion": str(row.deletion),
        "path": path,
        "folder": row.path,
        "name": path.rpartition("/")[2],
        "kind": "file" if row.filename else "folder",
        "size": row.blob.size,
        "deleted_at": row.deleted_at.isoformat(),
        "deleted_by": row.deleted_by,
        "purged_at": trash.purged_at(row).isoformat(),
    }


@require_safe
@page()
async def listing(request: PageRequest, disk_id: uuid.UUID) -> HttpResponse:
    """Return a page of what is in the trash, newest first."""
    disk = await _entered(request, disk_id, Right.LOOK)
    offset = inputs.number(request.GET, "offset", 0, 10**9)
    limit = max(1, inputs.number(request.GET, "limit", PAGE, MOST_LISTED))
    found = await database.read(trash.listing, disk, offset, limit)
    return JsonResponse(
        {
            "items": [row_json(row) for row in found.items],
            "total": found.total,
            "bytes": found.bytes,
            "more": found.total > offset + len(found.items),
        }
    )


@require_POST
@page()
async def undo(request: PageRequest, disk_id: uuid.UUID, deletion: uuid.UUID) -> HttpResponse:
    """Take a deletion back."""
    disk = await _entered(request, disk_id, Right.WORK)
    restored = await trash.undo(disk, deletion)
    return await _restored(request, disk, restored)


@require_POST
@page()
async def act(request: PageRequest, disk_id: uuid.UUID, action: str) -> HttpResponseBase:
    """Restore some, or delete some or all for ever.

    Some are those of these `ids`, or all of a `deletion`.
    """
    disk = await _entered(request, disk_id, Right.WORK)
    data = inputs.posted(request)
    if action == "restore":
        policy = inputs.policy(data)
        try:
            restored = await trash.restore(disk, _wanted(data), policy)
        except Taken as refusal:
            if not wants_json(request):
                raise
            rows = refusal.rows[: inputs.MOST_PATHS]
            conflicts = [{"id": str(row.pk), "path": str(row)} for row in rows]
            return inputs.refusal_json(refusal, conflicts=conflicts, count=len(refusal.rows))
        return await _restored(request, disk, restored)
    if action == "purge":
        return await _purged(request, disk, await trash.purge(disk, _wanted(data)))
    if action == "empty":
        return await _purged(request, disk, await trash.empty(disk))
    raise NotFound("there is no such action on a trash")


def _wanted(data: Mapping[str, Any]) -> Q:
    if "deletion" not in data:
        return trash.chosen(inputs.ids(data))
    try:
        return trash.together(uuid.UUID(inputs.text(data, "deletion")))
    except ValueError:
        raise Invalid("deletion: must be an id") from None


async def _restored(request: PageRequest, disk: Disk, restored: Restored) -> HttpResponse:
    message = f"{_files(restored.restored)} restored."
    if restored.skipped:
        message += f" {_files(restored.skipped)} left in the trash."
    await _noted(request, disk, "file.restore", restored.restored)
    return await done(
        request,
        message,
        _page_of(request, disk),
        restored=restored.restored,
        skipped=restored.skipped,
    )


async def _purged(request: PageRequest, disk: Disk, count: int) -> HttpResponse:
    await _noted(request, disk, "file.purge", count)
    message = f"{_files(count)} deleted for ever."
    return await done(request, message, _page_of(request, disk), purged=count)


def _files(count: int) -> str:
    return "1 item is" if count == 1 else f"{count:,} items are"


def _page_of(request: PageRequest, disk: Disk) -> str:
    return inputs.back(request, inputs.posted(request), f"/disks/{disk.pk}/trash/")


async def _noted(request: PageRequest, disk: Disk, verb: str, count: int) -> None:
    name = f"{disk}: {count} from the trash"
    await note(request, verb, object_id=disk.pk, object_name=name)
    await inputs.changed(DiskPlace(disk))
