"""The project's API keys: what each may do, until when, and when it was last used."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.http import HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone

from project import events, keys
from project.database import read, write
from project.errors import Invalid, NotFound
from project.models import ApiKey, Project
from project.pages import PageRequest, done, note, page, render
from project.policy import Right
from project.scopes import Scope

LONGEST_NAME = 200
# The form's choices, in days; 0: never.
LIFETIMES = (
    (0, "Never"),
    (7, "In 7 days"),
    (30, "In 30 days"),
    (90, "In 90 days"),
    (365, "In a year"),
)
AREAS = (
    ("Sandboxes", Scope.SANDBOXES_READ, Scope.SANDBOXES_WRITE),
    ("Disks", Scope.DISKS_READ, Scope.DISKS_WRITE),
    ("Project", Scope.PROJECT_READ, Scope.PROJECT_WRITE),
)


@page()
async def show(request: PageRequest) -> HttpResponse:
    return await _page(request)


async def _page(request: PageRequest, key: ApiKey | None = None, token: str = "") -> HttpResponse:
    found = await read(_keys_of, request.member.project)
    context = {
        "keys": found,
        "now": timezone.now(),
        "lifetimes": LIFETIMES,
        "areas": AREAS,
        "new_key": key,
        "token": token,
    }
    part = "#rows" if request.GET.get("part") == "rows" else ""
    response = await render(request, f"project/keys.html{part}", context)
    if token:
        response["Cache-Control"] = "no-store"
    return response


def _keys_of(project: Project) -> list[ApiKey]:
    """Return the keys, those that work first, the newest of them first."""
    found = list(project.api_keys.order_by("-created_at", "-id"))
    return sorted(found, key=lambda key: key.revoked_at is not None or keys.has_expired(key))


@page(needs=Right.MANAGE)
async def new(request: PageRequest) -> HttpResponse:
    """Make a key. Its token is on this answer and nowhere else."""
    name = " ".join(request.POST.get("name", "").split())
    if not name or len(name) > LONGEST_NAME or "\x00" in name:
        raise Invalid(f"give the key a name of {LONGEST_NAME} characters at most", tag="no_name")
    key, token = await write(
        keys.create_key,
        request.member.project,
        name,
        may=_scopes(request.POST),
        expires_at=_expiry(request.POST.get("days", "0")),
        created_by=request.member.name,
    )
    await _changed(request, "key.create", key, ", ".join(key.scopes))
    return await _page(request, key, token)


def _scopes(form: QueryDict) -> list[str]:
    """Return the scopes a form asks for."""
    return [Scope.ALL] if form.get("reach") == "all" else form.getlist("scope")


def _expiry(days: str) -> datetime | None:
    if days not in {str(count) for count, _ in LIFETIMES}:
        raise Invalid("choose when the key expires", tag="bad_expiry")
    return timezone.now() + timedelta(days=int(days)) if int(days) else None


@page(needs=Right.MANAGE)
async def revoke(request: PageRequest, key_id: uuid.UUID) -> HttpResponse:
    """End a key for good."""

    def find_and_revoke() -> ApiKey:
        key = request.member.project.api_keys.filter(pk=key_id).first()
        if key is None:
            raise NotFound("there is no such key")
        keys.revoke(key)
        return key

    key = await write(find_and_revoke)
    await _changed(request, "key.revoke", key)
    return await done(request, f"{key.name} is revoked.", reverse("keys"))


async def _changed(request: PageRequest, verb: str, key: ApiKey, detail: str = "") -> None:
    await note(request, verb, object_id=key.pk, object_name=key.name, detail=detail)
    await events.changed(request.member.project.pk, "key", key.pk)
