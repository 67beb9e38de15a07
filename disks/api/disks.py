"""Endpoints: make, list and delete disks."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema

from disks import lifecycle
from disks.access import disk_for
from disks.models import Disk
from project import database, events, words
from project.api import (
    DONE,
    ApiRequest,
    Id,
    PageOut,
    PageQuery,
    Text,
    answers,
    caller,
    note,
    ok,
    page,
    timestamp,
)
from project.errors import Invalid
from project.users import ensure_user, find_user

router = Router(tags=["disks"])

NEW_DISK: dict[str, Any] = {
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"user": {"type": "string"}}}
            }
        }
    }
}


class DiskOut(Schema):
    id: str
    project_id: str
    user_id: str | None
    created_at: str
    updated_at: str


class Counts(Schema):
    sessions_count: int
    disks_count: int
    skills_count: int


class Resources(Schema):
    counts: Counts


class DiskQuery(PageQuery):
    user: Text = ""


def disk_out(disk: Disk) -> DiskOut:
    return DiskOut(
        id=str(disk.id),
        project_id=str(disk.project_id),
        user_id=None if disk.user_id is None else str(disk.user_id),
        created_at=timestamp(disk.created_at),
        updated_at=timestamp(disk.updated_at),
    )


@router.post("/disk", response=answers(DiskOut, 201), openapi_extra=NEW_DISK)
async def create_disk(request: ApiRequest) -> HttpResponse:
    """Make a disk, of a user if one is named."""
    identifier = _user_named_in(request)

    def make() -> Disk:
        project = request.auth.project
        user = ensure_user(project, identifier) if identifier else None
        return Disk.objects.create(project=project, user=user, created_by=caller(request))

    disk = await database.write(make)
    await note(request, "disk.create", object_id=disk.id, object_name=str(disk))
    await events.changed(disk.project_id, "disk", disk.id)
    return ok(disk_out(disk), status=201)


def _user_named_in(request: HttpRequest) -> str:
    """Return the user that a body of JSON, a form or the query names, if any."""
    content_type = request.headers.get("Content-Type", "")
    if content_type.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        user: Any = request.POST.get("user", "")
    elif request.body.strip():
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError):
            raise Invalid("the body must be a JSON object") from None
        if not isinstance(body, dict):
            raise Invalid("the body must be a JSON object")
        user = body.get("user") or ""
    else:
        user = request.GET.get("user", "")
    if not isinstance(user, str) or "\x00" in user or not words.is_whole(user):
        raise Invalid("user: must be a text")
    return user


@router.get("/disk", response=answers(PageOut[DiskOut]))
async def list_disks(request: ApiRequest, query: Query[DiskQuery]) -> HttpResponse:
    disks = Disk.objects.filter(project=request.auth.project)
    if query.user:
        disks = disks.filter(user__identifier=query.user)
    return page(await database.read(query.of, disks), disk_out)


@router.delete("/disk/{disk_id}", response=DONE)
async def delete_disk(request: ApiRequest, disk_id: Id) -> HttpResponse:
    """Delete a disk with everything on it."""
    disk = await database.read(disk_for, request.auth.project, disk_id)
    await lifecycle.delete(disk)
    await note(request, "disk.delete", object_id=disk_id, object_name=str(disk))
    await events.changed(request.auth.project_id, "disk", disk_id)
    return ok()


@router.get("/user/{path:identifier}/resources", response=answers(Resources))
async def count_resources(request: ApiRequest, identifier: Text) -> HttpResponse:
    def count() -> int:
        return Disk.objects.filter(user=find_user(request.auth.project, identifier)).count()

    disks = await database.read(count)
    return ok(Resources(counts=Counts(sessions_count=0, disks_count=disks, skills_count=0)))
