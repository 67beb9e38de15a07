"""The page of one sandbox, and what a person does with it as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from django.http import HttpResponse

from project import database
from project.errors import Invalid
from project.pages import PageRequest, done, note, page, render
from project.policy import Right
from sandboxes import lifecycle
from sandboxes.access import time_left
from sandboxes.models import Sandbox
from sandboxes.options import NEVER
from sandboxes.views.commands import Run
from sandboxes.views.shared import context_for, find_sandbox, url_of
from sandboxes.views.usage import RANGES, nothing_measured, range_of

TABS = ("overview", "terminal", "files", "commands", "settings")
RECENT = 5


@page()
async def detail(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Show a sandbox, alive or dead."""
    sandbox = await find_sandbox(request, sandbox_id)
    context = context_for(
        sandbox,
        "overview",
        recent=await database.read(_recent, sandbox),
        variables=sorted(sandbox.environment),
        ranges=RANGES,
        range=range_of(request, sandbox),
        is_measured=await database.read(sandbox.usage_samples.exists),
        nothing_measured=nothing_measured(sandbox),
    )
    part = "recent" if request.GET.get("part") == "recent" else "detail"
    return await render(request, f"sandboxes/{part}.html", context)


def _recent(sandbox: Sandbox) -> list[Run]:
    rows = sandbox.commands.defer("stdout", "stderr").order_by("-created_at", "-id")
    return [Run(row) for row in rows[:RECENT]]


@page()
async def head(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Draw the head of a sandbox's pages anew, or only the time that is left."""
    sandbox = await find_sandbox(request, sandbox_id)
    tab = request.GET.get("tab", "")
    context = context_for(sandbox, tab if tab in TABS else "overview")
    part = "parts/left" if request.GET.get("part") == "left" else "head"
    return await render(request, f"sandboxes/{part}.html", context)


@page()
async def stop(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """End a sandbox. Ending an ended one says so."""
    sandbox = await find_sandbox(request, sandbox_id, Right.WORK)
    try:
        ended = await lifecycle.kill(sandbox, by=request.member.name)
        message = f"{sandbox} is stopped." if ended else f"{sandbox} had ended already."
    except lifecycle.EndsLater as later:
        ended, message = True, f"{sandbox}: {later.message}."
    if ended:
        await _note(request, sandbox, "sandbox.kill")
    return await done(request, message, url_of(sandbox))


@page()
async def pause(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    return await _frozen(
        request, sandbox_id, lifecycle.pause, "sandbox.pause", "is paused; its time runs on"
    )


@page()
async def resume(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    return await _frozen(request, sandbox_id, lifecycle.resume, "sandbox.resume", "runs again")


async def _frozen(
    request: PageRequest,
    sandbox_id: uuid.UUID,
    action: Callable[[Sandbox], Awaitable[Sandbox]],
    verb: str,
    how: str,
) -> HttpResponse:
    sandbox = await action(await find_sandbox(request, sandbox_id, Right.WORK))
    await _note(request, sandbox, verb)
    return await done(request, f"{sandbox} {how}.", url_of(sandbox))


@page()
async def extend(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Give a sandbox more time: `seconds` more, or `minutes` from now."""
    sandbox = await find_sandbox(request, sandbox_id, Right.WORK)
    await lifecycle.extend(sandbox, _wanted_seconds(request, sandbox))
    left = time_left(sandbox)
    await _note(request, sandbox, "sandbox.extend", detail=left)
    return await done(request, f"{sandbox} has {left} now.", url_of(sandbox))


def _wanted_seconds(request: PageRequest, sandbox: Sandbox) -> int | str:
    """Return the lifetime from now that the form asks for. Raises Invalid."""
    more, minutes = request.POST.get("seconds", ""), request.POST.get("minutes", "")
    if more == NEVER:
        return NEVER
    try:
        if minutes:
            return int(minutes) * 60
        added = int(more)
    except ValueError:
        raise Invalid("say by how much, as a whole number") from None
    return lifecycle.longer(sandbox, added)


async def _note(request: PageRequest, sandbox: Sandbox, verb: str, detail: str = "") -> None:
    await note(request, verb, object_id=sandbox.pk, object_name=str(sandbox), detail=detail)
