"""The pages of a sandbox's terminals: open one, work in it, close it, look at its recording."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override

from project import database
from project.downloads import disposition
from project.pages import PageRequest, done, note, page, render
from project.policy import Right
from sandboxes import recording, terminals
from sandboxes.models import Sandbox, Terminal
from sandboxes.terminals import Size
from sandboxes.views.shared import context_for, find_sandbox, url_of

# xterm.js sets the attribute `style` on what it draws, which no nonce can allow.
TERMINAL_CSP: dict[str, Any] = {**settings.SECURE_CSP, "style-src-attr": [CSP.UNSAFE_INLINE]}
terminal_csp = csp_override(TERMINAL_CSP)

MOST_ENDED = 50


def url_of_terminal(terminal: Terminal) -> str:
    return f"/sandboxes/{terminal.sandbox_id}/terminals/{terminal.pk}/"


async def _find(
    request: PageRequest,
    sandbox_id: uuid.UUID,
    terminal_id: uuid.UUID,
    right: Right = Right.LOOK,
) -> tuple[Sandbox, Terminal]:
    """Return a terminal and its sandbox. Raises NotFound and Forbidden."""
    sandbox = await find_sandbox(request, sandbox_id, right)
    return sandbox, await database.read(terminals.find, sandbox, terminal_id)


@page()
async def index(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Show the terminal that was used last, or offer to open one."""
    sandbox = await find_sandbox(request, sandbox_id)
    rows = await database.read(_open_ones, sandbox)
    if rows and sandbox.is_alive:
        latest = max(rows, key=lambda row: row.seen_at)
        return HttpResponseRedirect(url_of_terminal(latest))
    ended = await database.read(_ended_ones, sandbox)
    context = context_for(sandbox, "terminal", ended=ended)
    return await render(request, "sandboxes/terminals.html", context)


def _open_ones(sandbox: Sandbox) -> list[Terminal]:
    return list(Terminal.objects.filter(sandbox=sandbox, ended_at=None))


def _ended_ones(sandbox: Sandbox) -> list[Terminal]:
    ended = Terminal.objects.filter(sandbox=sandbox, ended_at__isnull=False)
    return list(ended.order_by("-ended_at")[:MOST_ENDED])


@terminal_csp
@page()
async def show(
    request: PageRequest, sandbox_id: uuid.UUID, terminal_id: uuid.UUID
) -> HttpResponseBase:
    """Show a terminal, open or ended; `?part=tabs` only which others there are."""
    sandbox, terminal = await _find(request, sandbox_id, terminal_id)
    rows = await database.read(_open_ones, sandbox)
    if terminal.ended_at is not None:
        rows.append(terminal)
    context = context_for(sandbox, "terminal", terminal=terminal, terminals=rows)
    part = "#tabs" if request.GET.get("part") == "tabs" else ""
    return await render(request, f"sandboxes/terminal.html{part}", context)


@page()
async def open_(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Start a terminal of the size, with the name and command, that the form gives."""
    sandbox = await find_sandbox(request, sandbox_id, Right.WORK)
    size = Size.within(request.POST.get("rows") or 24, request.POST.get("cols") or 80)
    terminal = await terminals.open_terminal(
        sandbox,
        size,
        command=request.POST.get("command", "").strip(),
        name=request.POST.get("name", ""),
        started_by=request.member.name,
    )
    recording.start(sandbox, terminal)
    await note(request, "terminal.open", object_id=sandbox.pk, object_name=str(sandbox))
    is_left_out = sandbox.records_terminals and not terminal.recorded
    return await done(request, recording.NO_ROOM if is_left_out else "", url_of_terminal(terminal))


@page()
async def close(
    request: PageRequest, sandbox_id: uuid.UUID, terminal_id: uuid.UUID
) -> HttpResponse:
    """End a terminal with all that runs in it."""
    sandbox, terminal = await _find(request, sandbox_id, terminal_id, Right.WORK)
    await terminals.close(sandbox, terminal)
    await note(request, "terminal.close", object_id=sandbox.pk, object_name=str(sandbox))
    return await done(request, f"{terminal} is closed.", url_of(sandbox, "terminal"))


@page()
async def rename(
    request: PageRequest, sandbox_id: uuid.UUID, terminal_id: uuid.UUID
) -> HttpResponse:
    """Give a terminal another name."""
    sandbox, terminal = await _find(request, sandbox_id, terminal_id, Right.WORK)
    await terminals.rename(sandbox, terminal, request.POST.get("name", ""))
    named = f"it is {terminal.name} now"
    await note(
        request, "terminal.rename", object_id=sandbox.pk, object_name=str(sandbox), detail=named
    )
    return await done(request, "", url_of_terminal(terminal))


@terminal_csp
@page()
async def player(
    request: PageRequest, sandbox_id: uuid.UUID, terminal_id: uuid.UUID
) -> HttpResponseBase:
    """Play what was recorded of a terminal."""
    sandbox, terminal = await _find(request, sandbox_id, terminal_id)
    length = await database.read(recording.seconds_of, terminal)
    context = context_for(sandbox, "terminal", terminal=terminal, length=length)
    return await render(request, "sandboxes/recording.html", context)


@page()
async def asciicast(
    request: PageRequest, sandbox_id: uuid.UUID, terminal_id: uuid.UUID
) -> HttpResponseBase:
    """Send a recording as an asciicast v3 file."""
    sandbox, terminal = await _find(request, sandbox_id, terminal_id)
    response = StreamingHttpResponse(
        recording.lines_of(terminal), content_type="application/x-asciicast"
    )
    response["Content-Disposition"] = disposition(f"{sandbox}-{terminal}.cast")
    response["X-Content-Type-Options"] = "nosniff"
    return response
