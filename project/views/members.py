"""The people of a project: who is in, as what; come and go."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import reverse

from project import events, members
from project.database import read, write
from project.models import Membership, Role
from project.pages import PageRequest, done, note, page, render
from project.policy import Right

# What each role means, in words of the page that gives it.
ROLES = (
    (Role.OWNER, "Owner", "Everything, also members, keys and the project itself"),
    (Role.MEMBER, "Member", "Make and use sandboxes, write files"),
    (Role.VIEWER, "Viewer", "Look at everything, change nothing"),
)


@page()
async def show(request: PageRequest) -> HttpResponse:
    return await _page(request)


async def _page(request: PageRequest, added: members.Added | None = None) -> HttpResponse:
    found = await read(lambda: list(members.members_of(request.member.project)))
    context = {
        "memberships": found,
        "is_member": any(one.user == request.member.user for one in found),
        "roles": ROLES,
        "added": added,
    }
    part = "#rows" if request.GET.get("part") == "rows" else ""
    response = await render(request, f"project/members.html{part}", context)
    if added and added.password:
        response["Cache-Control"] = "no-store"
    return response


@page(needs=Right.MANAGE)
async def add(request: PageRequest) -> HttpResponse:
    """Let somebody in. The password of an account that was made for it is shown this once."""
    added = await write(
        members.add,
        request.member.project,
        request.POST.get("username", ""),
        members.role_named(request.POST.get("role", "")),
        make_account=bool(request.POST.get("make_account")),
    )
    await _changed(request, "member.add", added.membership, detail=added.membership.role)
    if added.password:
        return await _page(request, added)
    name = added.membership.user.username
    return await done(request, f"{name} is in, as {added.membership.role}.", reverse("members"))


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
