"""The commands of one sandbox: run one, and look at those that ran."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import cached_property
from urllib.parse import urlencode

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from project import database
from project.errors import Invalid
from project.pages import PageRequest, done, note, page, render
from project.policy import Right
from sandboxes import commands, history, processes
from sandboxes.execution import WORKSPACE
from sandboxes.models import Command, CommandStatus, Sandbox
from sandboxes.outcome import Outcome
from sandboxes.processes import ProcessRequest
from sandboxes.views.shared import context_for, find_sandbox, url_of

PAGE = 50
# The output of so many commands is searched, the newest: of each up to a quarter of a megabyte.
SEARCHED = 200
# Of the visitor's own commands so many are offered to be run again with the key Up.
RECALLED = 50
RECALLED_LENGTH = 4000
TIMES = (
    ("30", "30 s limit"),
    ("300", "5 min limit"),
    ("1800", "30 min limit"),
    ("14400", "4 h limit"),
    ("", "No time limit"),
)
DEFAULT_TIME = "1800"
SUCCEEDED = Q(status=CommandStatus.EXITED, exit_code=0)
RUNNING = Q(status=CommandStatus.RUNNING)
SHOWN = {"failed": ~SUCCEEDED & ~RUNNING, "running": RUNNING}


class Run:
    """A row of the history as the table shows it."""

    def __init__(self, row: Command) -> None:
        self.row = row
        self.outcome = Outcome(row)

    @property
    def is_running(self) -> bool:
        return self.row.status == CommandStatus.RUNNING

    @property
    def can_run_again(self) -> bool:
        return not history.is_cut(self.row.command)

    @property
    def seconds(self) -> float:
        return (timezone.now() - self.row.created_at).total_seconds()

    @property
    def bytes(self) -> int:
        return self.row.stdout_bytes + self.row.stderr_bytes

    @property
    def kept(self) -> int:
        """How many bytes of its output there are still."""
        return len(self.row.stdout.encode()) + len(self.row.stderr.encode())


class Runs:
    """A page of the history, as the address asks for it. Looks up what a template asks for, once."""

    searched = SEARCHED

    def __init__(self, sandbox: Sandbox, query: QueryDict) -> None:
        self.sandbox = sandbox
        self.show = query.get("show", "") if query.get("show", "") in SHOWN else ""
        self.text = query.get("q", "").replace("\x00", "").strip()[:200]
        self.by = query.get("by", "").replace("\x00", "").strip()[:200]
        self.page = min(10_000, max(1, _number(query.get("page", ""))))
        self.open = query.get("open", "")

    @property
    def _found(self) -> QuerySet[Command]:
        rows = self.sandbox.commands.all()
        if self.by:
            rows = rows.filter(requested_by=self.by)
        if self.text:
            rows = rows.filter(Q(command__icontains=self.text) | self._says_so)
        return rows

    @property
    def _says_so(self) -> Q:
        """What finds the text in the output of the newest commands."""
        said = Q(stdout__icontains=self.text) | Q(stderr__icontains=self.text)
        return Q(created_at__gte=self.searched_from) & said if self.searched_from else said

    @cached_property
    def searched_from(self) -> datetime | None:
        """When the oldest command began whose output is searched; None: all are."""
        newest = self.sandbox.commands.order_by("-created_at", "-id")
        return newest.values_list("created_at", flat=True)[SEARCHED - 1 : SEARCHED].first()

    @property
    def limits_search(self) -> bool:
        """Is there older output that a search leaves out?"""
        return bool(self.text and self.searched_from)

    @cached_property
    def counts(self) -> dict[str, int]:
        named = {name: Count("pk", filter=condition) for name, condition in SHOWN.items()}
        return self._found.aggregate(all=Count("pk"), **named)

    @property
    def total(self) -> int:
        return self.counts[self.show or "all"]

    @cached_property
    def rows(self) -> list[Run]:
        found = self._found
        if self.show:
            found = found.filter(SHOWN[self.show])
        start = (self.page - 1) * PAGE
        rows = found.defer("stdout", "stderr").order_by("-created_at", "-id")
        return [Run(row) for row in rows[start : start + PAGE]]

    @cached_property
    def opened(self) -> Run | None:
        try:
            row = self.sandbox.commands.filter(pk=uuid.UUID(self.open)).first()
        except ValueError:
            return None
        return Run(row) if row else None

    @property
    def stands_alone(self) -> bool:
        """Is the opened row none of this page's?"""
        opened = self.opened
        return opened is not None and all(run.row.pk != opened.row.pk for run in self.rows)

    @cached_property
    def people(self) -> list[str]:
        names = self.sandbox.commands.order_by("requested_by").values_list(
            "requested_by", flat=True
        )
        return [name for name in names.distinct()[:50] if name]

    @property
    def is_filtered(self) -> bool:
        return bool(self.show or self.text or self.by)

    @property
    def first(self) -> int:
        return (self.page - 1) * PAGE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def has_more(self) -> bool:
        return self.last < self.total

    # Addresses of this page, with one thing else.

    def address(self, **changes: object) -> str:
        kept = {"show": self.show, "q": self.text, "by": self.by, "page": self.page, **changes}
        said = {
            name: value for name, value in kept.items() if value and (name, value) != ("page", 1)
        }
        return f"?{urlencode(said)}" if said else "?"

    @property
    def url_all(self) -> str:
        return self.address(show="", page=1)

    @property
    def url_failed(self) -> str:
        return self.address(show="failed", page=1)

    @property
    def url_running(self) -> str:
        return self.address(show="running", page=1)

    @property
    def url_closed(self) -> str:
        return self.address()

    @property
    def url_older(self) -> str:
        return self.address(page=self.page + 1)

    @property
    def url_newer(self) -> str:
        return self.address(page=self.page - 1)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 8 else 1


@page()
async def listing(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Show the history, newest first, and the composer. A command in the address is not run."""
    sandbox = await find_sandbox(request, sandbox_id)
    runs = Runs(sandbox, request.GET)
    if request.GET.get("part") == "runs":
        return await render(request, "sandboxes/runs.html", {"sandbox": sandbox, "runs": runs})
    context = context_for(
        sandbox,
        "commands",
        runs=runs,
        offered=request.GET.get("command", "")[: commands.LONGEST],
        recalled=await database.read(_recalled, sandbox, request.member.name),
        times=TIMES,
        chosen_time=DEFAULT_TIME,
        workspace=WORKSPACE,
    )
    return await render(request, "sandboxes/commands.html", context)


def _recalled(sandbox: Sandbox, name: str) -> list[str]:
    """Return the visitor's own commands in this project, newest first, each once."""
    mine = Command.objects.filter(sandbox__project=sandbox.project_id, requested_by=name)
    newest = mine.order_by("-created_at").values_list("command", flat=True)[: 4 * RECALLED]
    fitting = [text for text in newest if len(text) <= RECALLED_LENGTH]
    return list(dict.fromkeys(fitting))[:RECALLED]


@page()
async def run(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Run the command of the composer."""
    sandbox = await find_sandbox(request, sandbox_id, Right.WORK)
    wish = ProcessRequest(
        # Forms send lines with two characters at their ends; a shell wants one.
        command=request.POST.get("command", "").replace("\r\n", "\n"),
        cwd=request.POST.get("cwd", "").strip() or WORKSPACE,
        timeout=_seconds(request),
        open_stdin=False,
    )
    project = request.member.project
    row = await commands.run(project, sandbox.pk, wish, requested_by=request.member.name)
    await _note(request, sandbox, "command.run", row)
    return await _show(request, sandbox, row)


def _seconds(request: HttpRequest) -> float | None:
    said = request.POST.get("timeout", "")
    try:
        return float(said) if said else None
    except ValueError:
        raise Invalid("the time limit is a number of seconds") from None


@page()
async def again(request: PageRequest, sandbox_id: uuid.UUID, command_id: uuid.UUID) -> HttpResponse:
    """Run a command of the history once more."""
    sandbox = await find_sandbox(request, sandbox_id, Right.WORK)
    row = await commands.find(sandbox, command_id)
    fresh = await commands.again(sandbox, row, requested_by=request.member.name)
    await _note(request, sandbox, "command.run", fresh)
    return await _show(request, sandbox, fresh)


@page()
async def kill(request: PageRequest, sandbox_id: uuid.UUID, command_id: uuid.UUID) -> HttpResponse:
    """Kill a running command with all that it started."""
    sandbox = await find_sandbox(request, sandbox_id, Right.WORK)
    row = await commands.find(sandbox, command_id)
    await commands.kill(sandbox, row, by=request.member.name)
    await _note(request, sandbox, "command.kill", row)
    return await done(request, "The command is killed.", f"{_tab(sandbox)}?open={row.pk}")


async def _show(request: PageRequest, sandbox: Sandbox, row: Command) -> HttpResponse:
    return await done(request, "", f"{_tab(sandbox)}?open={row.pk}", id=str(row.pk))


def _tab(sandbox: Sandbox) -> str:
    return url_of(sandbox, "commands")


async def _note(request: PageRequest, sandbox: Sandbox, verb: str, row: Command) -> None:
    await note(
        request, verb, object_id=sandbox.pk, object_name=str(sandbox), detail=row.command[:200]
    )


@page()
async def output(
    request: PageRequest, sandbox_id: uuid.UUID, command_id: uuid.UUID
) -> HttpResponse:
    """Download what is kept of a command's output."""
    sandbox = await find_sandbox(request, sandbox_id)
    row = await commands.find(sandbox, command_id)
    if row.status == CommandStatus.RUNNING:
        chunks, _ = await processes.output(sandbox, row, 0)
        data = b"".join(chunk.data for chunk in chunks)
    else:
        data = (row.stdout + row.stderr).encode()
    return HttpResponse(
        data,
        content_type="text/plain; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="output-{str(row.pk)[:8]}.txt"',
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )
