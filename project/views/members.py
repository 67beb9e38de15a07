"""The people of a project: who is in, as what; come and go."""

from __future__ import annotations

import asyncio
from typing import Any

from django import forms
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from project import events, members, once
from project.database import read, write
from project.errors import Conflict, Invalid
from project.models import Membership, Role
from project.pages import PageRequest, done, note, page, render, sentence
from project.policy import Right

# What each role means, in words of the page that gives it.
ROLES = (
    (Role.OWNER, "Owner", "Everything, also members, keys and the project itself"),
    (Role.MEMBER, "Member", "Make and use sandboxes, write files"),
    (Role.VIEWER, "Viewer", "Look at everything, change nothing"),
)


class MemberForm(forms.Form):
    """Who is to come in, as what."""

    username = forms.CharField(
        max_length=members.LONGEST_USER_NAME, error_messages={"required": "Type a user name."}
    )
    role = forms.ChoiceField(choices=Role, initial=Role.MEMBER)
    make_account = forms.BooleanField(required=False)


@page()
async def show(request: PageRequest) -> HttpResponse:
    """Show the members; and the password of an account that was just made, this once."""
    if request.GET.get("part") == "rows":
        return await _page(request, part="#rows")
    made = await once.take(request, "account")
    response = await _page(request, form=MemberForm(), made=made)
    return once.unkept(response) if made else response


async def _page(
    request: PageRequest, *, status: int = 200, part: str = "", **more: Any
) -> HttpResponse:
    found = await read(lambda: list(members.members_of(request.member.project)))
    context = {
        "memberships": found,
        "is_member": any(one.user == request.member.user for one in found),
        "roles": ROLES,
        **more,
    }
    return await render(request, f"project/members.html{part}", context, status)


@require_http_methods(["GET", "HEAD", "POST"])
@page()
async def add(request: PageRequest) -> HttpResponse:
    """Let somebody in. The password of an account that was made for it is on the next page."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("members"))
    request.member.require(Right.MANAGE)
    form = MemberForm(request.POST)
    added = await _added(request, form) if form.is_valid() else None
    if added is None:
        return await _page(request, form=form, status=422)
    await _changed(request, "member.add", added.membership, detail=added.membership.role)
    name = added.membership.user.username
    if added.password:
        response = await done(request, "", reverse("members"))
        await once.keep(request, response, "account", name=name, password=added.password)
        return response
    return await done(request, f"{name} is in, as {added.membership.role}.", reverse("members"))


async def _added(request: PageRequest, form: MemberForm) -> members.Added | None:
    """Add whom the form names; None, with the reason in the form, if that cannot be."""
    wanted = form.cleaned_data["make_account"]
    password = await asyncio.to_thread(members.make_up_password) if wanted else None
    try:
        return await write(
            members.add,
            request.member.project,
            form.cleaned_data["username"],
            Role(form.cleaned_data["role"]),
            password=password,
        )
    except (Invalid, Conflict) as refusal:
        form.add_error("username", sentence(refusal.message))
        return None


@page(needs=Right.MANAGE)
async def change_role(request: PageRequest, membership_id: int) -> HttpResponse:
    role = members.role_named(request.POST.get("role", ""))
    changed = await write(members.change_role, request.member.project, membership_id, role)
    await _changed(request, "member.role", changed, detail=role)
    return await done(request, f"{changed.user.username} is {role} now.", reverse("members"))


@page(needs=Right.MANAGE)
async def remove(request: PageRequest, membership_id: int) -> HttpResponse:
    removed = await write(members.remove, request.member.project, membership_id)
    await _changed(request, "member.remove", removed)
    name = removed.user.username
    to = reverse("home") if removed.user == request.member.user else reverse("members")
    return await done(request, f"{name} is not in the project any more.", to)


@page()
async def leave(request: PageRequest) -> HttpResponse:
    """Leave a project of one's own accord, in any role."""
    project = request.member.project
    left = await write(members.leave, project, request.member.user)
    await _changed(request, "member.leave", left)
    return await done(request, f"You have left {project}.", reverse("home"))


async def _changed(request: PageRequest, verb: str, who: Membership, detail: str = "") -> None:
    await note(request, verb, object_id=who.user.pk, object_name=who.user.username, detail=detail)
    await events.changed(request.member.project.pk, "member", who.pk)
