"""Endpoints: run a command and wait for it, or follow it as it speaks."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from django.http import HttpResponse, StreamingHttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from project import database
from project.api import (
    ApiRequest,
    Id,
    PageOut,
    PageQuery,
    Text,
    Whole,
    answers,
    caller,
    ok,
    page,
    timestamp,
)
from project.errors import Refused
from project.paging import Page
from sandboxes import execution
from sandboxes.access import sandbox_for
from sandboxes.execution import CommandRequest, CommandResult, Execution
from sandboxes.models import Command

router = Router(tags=["commands"])


class ExecIn(Schema):
    """A command for bash. `timeout` is in seconds; `stream` answers server-sent events."""

    command: Annotated[Text, Field(min_length=1)]
    cwd: Text = ""
    env: dict[Text, str] = {}
    stdin: Whole | None = None
    timeout: float | None = None
    stream: bool = False


class ExecOut(Schema):
    stdout: str
    stderr: str
    exit_code: int
    timed_out: bool
    truncated: bool
    out_of_memory: bool
    duration_ms: int
    command_id: str


class CommandOut(Schema):
    id: str
    kind: str
    command: str
    cwd: str
    status: str
    exit_code: int | None
    out_of_memory: bool
    truncated: bool
    stdout: str
    stderr: str
    stdout_bytes: int
    stderr_bytes: int
    detail: str
    requested_by: str
    created_at: str
    finished_at: str | None
    duration_ms: int | None


def exec_out(result: CommandResult) -> ExecOut:
    return ExecOut(
        stdout=result.stdout,
        stderr=result.stderr,
        exit_code=result.exit_code,
        timed_out=result.timed_out,
        truncated=result.truncated,
        out_of_memory=result.out_of_memory,
        duration_ms=result.duration_ms,
        command_id=str(result.id),
    )


def command_out(command: Command) -> CommandOut:
    return CommandOut(
        id=str(command.id),
        kind=command.kind,
        command=command.command,
        cwd=command.cwd,
        status=command.status,
        exit_code=command.exit_code,
        out_of_memory=command.out_of_memory,
        truncated=command.truncated,
        stdout=command.stdout,
        stderr=command.stderr,
        stdout_bytes=command.stdout_bytes,
        stderr_bytes=command.stderr_bytes,
        detail=command.detail,
        requested_by=command.requested_by,
        created_at=timestamp(command.created_at),
        finished_at=timestamp(command.finished_at) if command.finished_at else None,
        duration_ms=command.duration_ms,
    )


@router.post("/sandbox/{sandbox_id}/exec", response=answers(ExecOut))
async def exec_command(
    request: ApiRequest, sandbox_id: Id, body: ExecIn
) -> HttpResponse | StreamingHttpResponse:
    """Run a command and answer with what it said. A non-zero exit code is no error.

    With `stream` the answer is server-sent events: `stdout` and `stderr` with
    `{"text": ...}`, then one `exit` with the result, or one `error`. If the caller goes away,
    the command is killed with everything it started in the foreground.
    """
    wish = CommandRequest(
        command=body.command,
        cwd=body.cwd,
        env=body.env,
        stdin=None if body.stdin is None else body.stdin.encode(),
        timeout=body.timeout,
    )
    project = request.auth.project
    if not body.stream:
        result = await execution.run(project, sandbox_id, wish, requested_by=caller(request))
        return ok(exec_out(result))
    running = await Execution.begin(project, sandbox_id, wish, requested_by=caller(request))
    response = StreamingHttpResponse(_events(running), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _events(running: Execution) -> AsyncGenerator[bytes]:
    try:
        async with aclosing(execution.stream(running)) as spoken:
            async for name, text in spoken:
                yield _event(name, {"text": text})
    except Refused as refusal:
        yield _event(
            "error", {"code": refusal.status, "msg": refusal.message, "error": refusal.tag}
        )
    else:
        result = exec_out(running.result(b"", b"")).model_dump()
        yield _event("exit", {k: v for k, v in result.items() if k not in ("stdout", "stderr")})


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


@router.get("/sandbox/{sandbox_id}/commands", response=answers(PageOut[CommandOut]))
async def list_commands(
    request: ApiRequest, sandbox_id: Id, query: Query[PageQuery]
) -> HttpResponse:
    """List the history of a sandbox, also of a dead one."""

    def find() -> Page[Command]:
        sandbox = sandbox_for(request.auth.project, sandbox_id)
        return query.of(sandbox.commands.all())

    return page(await database.read(find), command_out)
