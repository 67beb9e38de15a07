"""The project's API keys: what each may do, until when, and when it was last used."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from project import events, keys, once
from project.database import read, write
from project.errors import NotFound
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


class KeyForm(forms.Form):
    """What is asked of a new key."""

    name = forms.CharField(
        max_length=LONGEST_NAME, error_messages={"required": "Give the key a name."}
    )
    days = forms.TypedChoiceField(
        choices=LIFETIMES,
        coerce=int,
        initial=90,
        error_messages={"invalid_choice": "Choose when the key expires."},
    )
    reach = forms.ChoiceField(choices=(("all", ""), ("some", "")), initial="all")
    scope = forms.MultipleChoiceField(
        required=False, choices=[(scope.value, scope.value) for scope in Scope]
    )

    def clean_name(self) -> str:
        return " ".join(self.cleaned_data["name"].split())

    def clean(self) -> None:
        super().clean()
        if self.cleaned_data.get("reach") == "some" and not self.cleaned_data.get("scope"):
            self.add_error("scope", "Tick at least one thing that the key may do.")

    @property
    def scopes(self) -> list[str]:
        """The scopes it asks for."""
        some: list[str] = self.cleaned_data["scope"]
        return [Scope.ALL] if self.cleaned_data["reach"] == "all" else some

    @property
    def expiry(self) -> datetime | None:
        days = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=days) if days else None


@page()
async def show(request: PageRequest) -> HttpResponse:
    """Show the keys; and of one that was just made the token, this once."""
    if request.GET.get("part") == "rows":
        return await _page(request, part="#rows")
    made = await once.take(request, "key")
    response = await _page(request, form=KeyForm(), made=made)
    return once.unkept(response) if made else response


async def _page(
    request: PageRequest, *, status: int = 200, part: str = "", **more: Any
) -> HttpResponse:
    found = await read(_keys_of, request.member.project)
    context = {"keys": found, "now": timezone.now(), "areas": AREAS, **more}
    return await render(request, f"project/keys.html{part}", context, status)


def _keys_of(project: Project) -> list[ApiKey]:
    """Return the keys, those that work first, the newest of them first."""
    found = list(project.api_keys.order_by("-created_at", "-id"))
    return sorted(found, key=lambda key: key.revoked_at is not None or keys.has_expired(key))


@require_http_methods(["GET", "HEAD", "POST"])
@page()
async def new(request: PageRequest) -> HttpResponse:
    """Make a key. Its token is on the next page and nowhere else."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("keys"))
    request.member.require(Right.MANAGE)
    form = KeyForm(request.POST)
    if not form.is_valid():
        return await _page(request, form=form, status=422)
    key, token = await write(
        keys.create_key,
        request.member.project,
        form.cleaned_data["name"],
        may=form.scopes,
        expires_at=form.expiry,
        created_by=request.member.name,
    )
    await _changed(request, "key.create", key, ", ".join(key.scopes))
    response = await done(request, "", reverse("keys"))
    await once.keep(request, response, "key", name=key.name, token=token)
    return response


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
