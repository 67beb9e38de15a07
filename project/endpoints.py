"""The API's endpoints that concern the project itself: its users and its configs."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from disks import lifecycle
from disks.models import Disk
from project import database, events, kept_json
from project.api import DONE, ApiRequest, PageOut, Text, answers, note, ok, page, timestamp
from project.envelope import Done
from project.errors import Invalid, NotFound, TooLarge
from project.models import EndUser, Project
from project.paging import MAX_LIMIT, Page, page_of

router = Router(tags=["project"])

CONFIGS_MAX_BYTES = 64 * 1024
CRITERIA = ("task_success_criteria", "task_failure_criteria")
CRITERIA_MAX_BYTES = 2000


class UserOut(Schema):
    id: str
    project_id: str
    identifier: str
    created_at: str
    updated_at: str


class UserQuery(Schema):
    """Without a limit, or with 0, the answer holds every user."""

    limit: int = Field(0, ge=0, le=MAX_LIMIT)
    cursor: Text = ""
    time_desc: bool = False


def user_out(user: EndUser) -> UserOut:
    return UserOut(
        id=str(user.id),
        project_id=str(user.project_id),
        identifier=user.identifier,
        created_at=timestamp(user.created_at),
        updated_at=timestamp(user.updated_at),
    )


@router.get("/ping", response={200: Done})
async def ping(request: ApiRequest) -> HttpResponse:
    """Answer a caller that has a good key."""
    return ok(message="pong")


@router.get("/user/ls", response=answers(PageOut[UserOut]))
async def list_users(request: ApiRequest, query: Query[UserQuery]) -> HttpResponse:
    def find() -> Page[EndUser]:
        users = EndUser.objects.filter(project=request.auth.project)
        if not query.limit:
            return Page(list(users), None)
        return page_of(users, limit=query.limit, cursor=query.cursor, newest_first=query.time_desc)

    return page(await database.read(find), user_out)


@router.delete("/user/{path:identifier}", response=DONE)
async def delete_user(request: ApiRequest, identifier: Text) -> HttpResponse:
    """Delete a user with all disks of that user. Deleting an unknown user does nothing."""
    users = EndUser.objects.filter(project=request.auth.project, identifier=identifier)
    disks = Disk.objects.filter(user__in=users)
    for disk in await database.read(lambda: list(disks)):
        with suppress(NotFound):  # Somebody else was faster.
            await lifecycle.delete(disk)
            await note(request, "disk.delete", object_id=disk.pk, object_name=str(disk))
            await events.changed(request.auth.project_id, "disk", disk.pk)
    await database.write(users.delete)
    return ok()


@router.get("/project/configs", response=answers(dict[str, Any]))
async def get_configs(request: ApiRequest) -> HttpResponse:
    # The key may have been remembered with its project as it was before.
    project = await database.read(Project.objects.get, pk=request.auth.project_id)
    return ok({**project.configs, "encryption_enabled": False}, message="ok")


@router.patch("/project/configs", response=answers(dict[str, Any]))
async def patch_configs(request: ApiRequest) -> HttpResponse:
    """Merge keys into the project's configs; a null deletes its key."""
    changes = _read_changes(request.body)

    def merge() -> dict[str, Any]:
        project = Project.objects.get(pk=request.auth.project_id)
        merged = {**project.configs, **changes}
        project.configs = {key: value for key, value in merged.items() if value is not None}
        if kept_json.size(project.configs) > CONFIGS_MAX_BYTES:
            raise _too_large()
        project.save(update_fields=["configs"])
        return dict(project.configs)

    return ok(await database.write(transaction.atomic(merge)))


@router.post("/project/encrypt", response=DONE)
async def encrypt(request: HttpRequest) -> HttpResponse:
    raise _no_encryption()


@router.post("/project/decrypt", response=DONE)
async def decrypt(request: HttpRequest) -> HttpResponse:
    raise _no_encryption()


def _no_encryption() -> Invalid:
    return Invalid(
        "encryption needs a compact key, which holds a master key; keys of Sandbank do not",
        tag="encryption_not_offered",
    )


def _too_large() -> TooLarge:
    return TooLarge("the configs are over the limit of 64 KiB")


def _read_changes(body: bytes) -> dict[str, Any]:
    if len(body) > CONFIGS_MAX_BYTES:
        raise _too_large()
    try:
        changes = kept_json.parse(body)
    except ValueError:
        raise Invalid("the body must be a JSON object") from None
    if not isinstance(changes, dict) or not changes:
        raise Invalid("the body must be a JSON object with a key at least")
    if kept_json.holds_nul(changes):
        raise Invalid("the configs must not hold a NUL character")
    for name in CRITERIA:
        value = changes.get(name)
        if value is not None and (
            not isinstance(value, str) or len(value.encode()) > CRITERIA_MAX_BYTES
        ):
            raise Invalid(f"{name} must be a text of {CRITERIA_MAX_BYTES} bytes at most")
    return changes
