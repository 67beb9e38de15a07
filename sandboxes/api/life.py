"""Endpoints: make, list, look at, change and end sandboxes."""

from __future__ import annotations

from typing import Annotated

from django.db.models.fields.json import KeyTransform
from django.http import HttpResponse
from ninja import Header, Query, Router, Schema
from pydantic import Field

from project import database, idempotency
from project.api import (
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
from project.paging import Page
from sandboxes import lifecycle, usage
from sandboxes.access import how_it_ended, running_sandbox, sandbox_for, time_left
from sandboxes.models import DEAD, Command, GeneratedFile, Sandbox, Status
from sandboxes.options import NEVER, NewSandbox, check_labels

router = Router(tags=["sandboxes"])

# What a client that insists on a date is told of a sandbox that never expires.
FOREVER = "9999-12-31T23:59:59Z"
# Of the history of one sandbox a log entry shows so many at the most, the newest.
LOG_COMMANDS = 200
LOG_FILES = 200


class SandboxOut(Schema):
    sandbox_id: str
    sandbox_status: str
    sandbox_created_at: str
    sandbox_expires_at: str
    name: str
    labels: dict[str, str]
    image: str
    cpu: float
    memory: int
    workspace_size: int
    network: str
    timeout: int | str
    created_by: str
    ended_at: str | None
    reason: str
    message: str


class NewSandboxIn(Schema):
    """All of it is optional; what is left out is as the operator's settings say."""

    image: Text = ""
    name: Annotated[Text, Field(max_length=200)] = ""
    labels: dict[Text, Text] = {}
    timeout: int | str | None = None
    env: dict[Text, str] = {}
    cpu: float | None = None
    memory: int | None = None
    workspace_size: int | None = None
    network: Text = "none"


class ChangeIn(Schema):
    """What to change; `timeout` gives a new lifetime in seconds, counted from now."""

    name: Annotated[Text, Field(max_length=200)] | None = None
    labels: dict[Text, Text] | None = None
    timeout: int | str | None = None


class KillOut(Schema):
    status: int
    errmsg: str


class UsageOut(Schema):
    cpu_seconds: float
    memory_bytes: int
    memory_limit_bytes: int
    processes: int
    pids_limit: int
    workspace_bytes: int
    workspace_limit_bytes: int
    oom_kills: int


class LoggedCommand(Schema):
    id: str
    command: str
    # Clients insist on a number: -1 stands for "none yet", or "nobody knows"; `status` tells.
    exit_code: int
    status: str
    kind: str
    at: str
    duration_ms: int | None
    stdout_bytes: int
    stderr_bytes: int
    requested_by: str


class LoggedFile(Schema):
    sandbox_path: str
    at: str


class LogOut(Schema):
    id: str
    project_id: str
    backend_sandbox_id: str | None
    backend_type: str
    history_commands: list[LoggedCommand]
    generated_files: list[LoggedFile]
    will_total_alive_seconds: int
    created_at: str
    updated_at: str
    status: str
    reason: str
    expires_at: str
    ended_at: str | None


class SandboxQuery(PageQuery):
    """`label` is `name=value`, or a name alone for any value."""

    status: Text = ""
    label: Text = ""
    name: Text = ""


def wire_status(sandbox: Sandbox) -> str:
    """Return the state in the words of the wire: running, paused, killed, error."""
    if sandbox.status == Status.STOPPING:
        return str(Status.KILLED)
    return str(Status.RUNNING if sandbox.status == Status.CREATING else sandbox.status)


def sandbox_out(sandbox: Sandbox) -> SandboxOut:
    return SandboxOut(
        sandbox_id=str(sandbox.id),
        sandbox_status=wire_status(sandbox),
        sandbox_created_at=timestamp(sandbox.created_at),
        sandbox_expires_at=timestamp(sandbox.expires_at) if sandbox.expires_at else FOREVER,
        name=sandbox.name,
        labels=sandbox.labels,
        image=sandbox.image,
        cpu=sandbox.cpus,
        memory=sandbox.memory_bytes,
        workspace_size=sandbox.workspace_bytes,
        network=sandbox.network,
        timeout=NEVER if sandbox.lifetime_seconds is None else sandbox.lifetime_seconds,
        created_by=sandbox.created_by,
        ended_at=timestamp(sandbox.ended_at) if sandbox.ended_at else None,
        reason=sandbox.reason,
        message="" if sandbox.is_alive else how_it_ended(sandbox),
    )


async def note_life(request: ApiRequest, what: str, sandbox: Sandbox, detail: str = "") -> None:
    """Write a line of activity: this call did something to a sandbox."""
    await note(
        request, f"sandbox.{what}", object_id=sandbox.id, object_name=str(sandbox), detail=detail
    )


@router.post("/sandbox", response=answers(SandboxOut, 201))
async def create_sandbox(
    request: ApiRequest,
    body: NewSandboxIn | None = None,
    idempotency_key: Annotated[str | None, Header(max_length=128)] = None,
) -> HttpResponse:
    """Make a sandbox and answer when it runs.

    With an Idempotency-Key a repeat within a day gets the same sandbox, and no second one.
    """
    wish = NewSandbox(**(body or NewSandboxIn()).model_dump())

    async def make() -> HttpResponse:
        sandbox = await lifecycle.create(request.auth.project, wish, created_by=caller(request))
        await note_life(request, "create", sandbox)
        return ok(sandbox_out(sandbox), status=201)

    if not idempotency_key:
        return await make()
    return await idempotency.once(
        request.auth.project, "POST /sandbox", idempotency_key, repr(wish), make
    )


@router.get("/sandbox/logs", response=answers(PageOut[LogOut]))
async def list_logs(request: ApiRequest, query: Query[PageQuery]) -> HttpResponse:
    """List what every sandbox of the project did: its commands and the files taken from it."""

    def find() -> Page[LogOut]:
        found = query.of(Sandbox.objects.filter(project=request.auth.project))
        return Page([log_out(sandbox) for sandbox in found.items], found.next_cursor)

    return page(await database.read(find), lambda log: log)


def log_out(sandbox: Sandbox) -> LogOut:
    """Shape one log entry. Reads the database."""
    # What commands said is long, and not told here.
    untold = sandbox.commands.defer("stdout", "stderr")
    commands = list(untold.order_by("-created_at", "-id")[:LOG_COMMANDS])
    files = list(sandbox.generated_files.order_by("-created_at", "-id")[:LOG_FILES])
    ended = sandbox.ended_at or sandbox.expires_at
    alive = (ended - sandbox.created_at).total_seconds() if ended else 0
    return LogOut(
        id=str(sandbox.id),
        project_id=str(sandbox.project_id),
        backend_sandbox_id=None if sandbox.status in DEAD else sandbox.box_name,
        backend_type="docker",
        history_commands=[logged_command(command) for command in reversed(commands)],
        generated_files=[logged_file(file) for file in reversed(files)],
        will_total_alive_seconds=round(alive),
        created_at=timestamp(sandbox.created_at),
        updated_at=timestamp(sandbox.updated_at),
        status=wire_status(sandbox),
        reason=sandbox.reason,
        expires_at=timestamp(sandbox.expires_at) if sandbox.expires_at else FOREVER,
        ended_at=timestamp(sandbox.ended_at) if sandbox.ended_at else None,
    )


def logged_command(command: Command) -> LoggedCommand:
    return LoggedCommand(
        id=str(command.id),
        command=command.command,
        exit_code=-1 if command.exit_code is None else command.exit_code,
        status=command.status,
        kind=command.kind,
        at=timestamp(command.created_at),
        duration_ms=command.duration_ms,
        stdout_bytes=command.stdout_bytes,
        stderr_bytes=command.stderr_bytes,
        requested_by=command.requested_by,
    )


def logged_file(file: GeneratedFile) -> LoggedFile:
    return LoggedFile(sandbox_path=file.path, at=timestamp(file.created_at))


@router.get("/sandbox", response=answers(PageOut[SandboxOut]))
async def list_sandboxes(request: ApiRequest, query: Query[SandboxQuery]) -> HttpResponse:
    """List the project's sandboxes, dead ones too."""
    sandboxes = Sandbox.objects.filter(project=request.auth.project)
    if query.status:
        sandboxes = sandboxes.filter(status__in=_statuses(query.status))
    if query.name:
        sandboxes = sandboxes.filter(name=query.name)
    if query.label:
        name, is_pair, value = query.label.partition("=")
        check_labels({name: value})
        sandboxes = sandboxes.filter(labels__has_key=name)
        if is_pair:
            sandboxes = sandboxes.alias(label=KeyTransform(name, "labels")).filter(label=value)
    return page(await database.read(query.of, sandboxes), sandbox_out)


def _statuses(wanted: str) -> list[Status]:
    known = {
        "running": [Status.RUNNING, Status.CREATING],
        "paused": [Status.PAUSED],
        "killed": [Status.KILLED, Status.STOPPING],
        "error": [Status.ERROR],
    }
    if wanted not in known:
        raise Invalid(f"status: must be one of {', '.join(known)}")
    return known[wanted]


@router.get("/sandbox/{sandbox_id}", response=answers(SandboxOut))
async def get_sandbox(request: ApiRequest, sandbox_id: Id) -> HttpResponse:
    """Look at a sandbox, a dead one too: it tells why it ended."""
    return ok(sandbox_out(await database.read(sandbox_for, request.auth.project, sandbox_id)))


@router.patch("/sandbox/{sandbox_id}", response=answers(SandboxOut))
async def change_sandbox(request: ApiRequest, sandbox_id: Id, body: ChangeIn) -> HttpResponse:
    """Extend a sandbox, name it, label it."""
    sandbox = await database.read(sandbox_for, request.auth.project, sandbox_id)
    await lifecycle.describe(sandbox, name=body.name, labels=body.labels)
    if body.timeout is not None:
        await lifecycle.extend(sandbox, body.timeout)
        await note_life(request, "extend", sandbox, time_left(sandbox))
    return ok(sandbox_out(sandbox))


@router.post("/sandbox/{sandbox_id}/pause", response=answers(SandboxOut))
async def pause_sandbox(request: ApiRequest, sandbox_id: Id) -> HttpResponse:
    """Freeze a sandbox: its processes stand still and keep their memory. Its time runs on."""
    sandbox = await database.read(sandbox_for, request.auth.project, sandbox_id)
    paused = await lifecycle.pause(sandbox)
    await note_life(request, "pause", paused)
    return ok(sandbox_out(paused))


@router.post("/sandbox/{sandbox_id}/resume", response=answers(SandboxOut))
async def resume_sandbox(request: ApiRequest, sandbox_id: Id) -> HttpResponse:
    """Let a paused sandbox go on."""
    sandbox = await database.read(sandbox_for, request.auth.project, sandbox_id)
    resumed = await lifecycle.resume(sandbox)
    await note_life(request, "resume", resumed)
    return ok(sandbox_out(resumed))


@router.get("/sandbox/{sandbox_id}/usage", response=answers(UsageOut))
async def get_usage(request: ApiRequest, sandbox_id: Id) -> HttpResponse:
    """Tell what a running sandbox uses now."""
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    return ok(UsageOut.from_orm(await usage.now(sandbox)))


@router.delete("/sandbox/{sandbox_id}", response=answers(KillOut))
async def kill_sandbox(request: ApiRequest, sandbox_id: Id) -> HttpResponse:
    """End a sandbox. Ending it again is no error: `errmsg` says that it had ended."""
    sandbox = await database.read(sandbox_for, request.auth.project, sandbox_id)
    try:
        ended = await lifecycle.kill(sandbox, by=caller(request))
    except lifecycle.EndsLater:
        await note_life(request, "kill", sandbox)
        raise
    if ended:
        await note_life(request, "kill", sandbox)
        return ok(KillOut(status=0, errmsg=""))
    return ok(KillOut(status=1, errmsg="sandbox already killed"))
