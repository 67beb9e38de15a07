"""The project's own page: its name, what it holds, its end; and the way to another project."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from project import activity, database, events, members, policy
from project.database import read, write
from project.models import Project
from project.pages import CURRENT, PageRequest, done, note, page, render
from project.policy import Right


@page()
async def settings(request: PageRequest) -> HttpResponse:
    return await render(request, "project/settings.html", await read(_context, request))


def _context(request: PageRequest) -> dict[str, Any]:
    project = request.member.project
    return {
        "kept": members.why_kept(project),
        "disks": project.disks.count(),
        "sandboxes": project.sandboxes.count(),
        "members": project.memberships.count(),
        "may_make": policy.may_make_projects(request.member.user),
    }


@page(needs=Right.MANAGE)
async def rename(request: PageRequest) -> HttpResponse:
    """Give the project another name."""
    project = request.member.project
    name = await write(members.rename_project, project, request.POST.get("name", ""))
    await note(request, "project.rename", object_id=project.pk, object_name=name)
    await events.changed(project.pk, "project", project.pk)
    return await done(request, f"The project is called {name} now.", reverse("settings"))


@page(needs=Right.MANAGE)
async def delete(request: PageRequest) -> HttpResponse:
    """Delete the project, if it is empty."""
    project = request.member.project
    name, project_id = project.name, project.pk
    await write(members.delete_project, request.member)
    # A line of the project itself would be gone with it.
    await _note_beside(request, None, "project.delete", project_id, name)
    return await done(request, f"{name} is deleted.", reverse("home"))


@page()
async def new_project(request: PageRequest) -> HttpResponse:
    """Make a project, and go there."""
    name = request.POST.get("name", "")
    project = await write(members.create_project, request.member.user, name)
    await request.session.aset(CURRENT, str(project.pk))
    await _note_beside(request, project, "project.create", project.pk, project.name)
    return await done(request, f"You are in {project}, its owner.", reverse("home"))


async def _note_beside(
    request: PageRequest, project: Project | None, verb: str, object_id: object, name: str
) -> None:
    """Write a line that does not belong to the project that was looked at."""
    await database.note(
        activity.record,
        project,
        verb,
        actor=request.member.name,
        object_id=object_id,
        object_name=name,
        address=activity.address_of(request),
    )
