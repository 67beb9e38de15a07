"""Endpoints: background processes of a sandbox."""

from __future__ import annotations

import base64
from typing import Annotated

from django.http import HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from project.api import DONE, ApiRequest, Id, Text, Whole, answers, caller, ok, timestamp
from project.errors import Invalid
from sandboxes import processes
from sandboxes.access import require_running, running_sandbox
from sandboxes.processes import Process, ProcessRequest

router = Router(tags=["processes"])


class ProcessIn(Schema):
    """A command for bash that goes on by itself; without a timeout as long as the sandbox."""

    command: Annotated[Text, Field(min_length=1)]
    cwd: Text = ""
    env: dict[Text, str] = {}
    timeout: float | None = None


class ProcessOut(Schema):
    process_id: str
    command: str
    cwd: str
    status: str
    pid: int | None
    exit_code: int | None
    created_at: str
    finished_at: str | None
    next_offset: int | None


class ProcessList(Schema):
    items: list[ProcessOut]


class OutputQuery(Schema):
    since: int = Field(0, ge=0)


class OutputPart(Schema):
    stream: str
    offset: int
    text: str


class OutputOut(Schema):
    """`next_offset` is where to go on; a gap between offsets was too old to be kept."""

    chunks: list[OutputPart]
    next_offset: int
    status: str
    exit_code: int | None


class StdinIn(Schema):
    """Text, or bytes as base64; `close` ends the standard input after them."""

    text: Whole = ""
    base64: str = ""
    close: bool = False


class SignalIn(Schema):
    signal: Text = "TERM"


def process_out(process: Process) -> ProcessOut:
    row, info = process.row, process.info
    return ProcessOut(
        process_id=str(row.id),
        command=row.command,
        cwd=row.cwd,
        status=row.status,
        pid=info.pid if info and info.running else None,
        exit_code=row.exit_code,
        created_at=timestamp(row.created_at),
        finished_at=timestamp(row.finished_at) if row.finished_at else None,
        next_offset=info.next_offset if info else None,
    )


@router.post("/sandbox/{sandbox_id}/process", response=answers(ProcessOut, 201))
async def start_process(request: ApiRequest, sandbox_id: Id, body: ProcessIn) -> HttpResponse:
    """Start a background process and answer at once."""
    process = await processes.start(
        request.auth.project,
        sandbox_id,
        ProcessRequest(body.command, body.cwd, body.env, body.timeout),
        requested_by=caller(request),
    )
    return ok(process_out(process), status=201)


@router.get("/sandbox/{sandbox_id}/process", response=answers(ProcessList))
async def list_processes(request: ApiRequest, sandbox_id: Id) -> HttpResponse:
    """List the background processes of a running sandbox, oldest first, ended ones too."""
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    return ok({"items": [process_out(process) for process in await processes.listing(sandbox)]})


@router.get("/sandbox/{sandbox_id}/process/{process_id}", response=answers(ProcessOut))
async def get_process(request: ApiRequest, sandbox_id: Id, process_id: Id) -> HttpResponse:
    sandbox, row = await processes.find(request.auth.project, sandbox_id, process_id)
    return ok(process_out(await processes.get(sandbox, row)))


@router.get("/sandbox/{sandbox_id}/process/{process_id}/output", response=answers(OutputOut))
async def get_output(
    request: ApiRequest, sandbox_id: Id, process_id: Id, query: Query[OutputQuery]
) -> HttpResponse:
    """Read the output from an offset on. The newest MiB is kept."""
    sandbox, row = await processes.find(request.auth.project, sandbox_id, process_id)
    chunks, next_offset = await processes.output(sandbox, row, query.since)
    now = (await processes.get(sandbox, row)).row
    return ok(
        OutputOut(
            chunks=[
                OutputPart(
                    stream=chunk.stream,
                    offset=chunk.offset,
                    text=chunk.data.decode(errors="replace"),
                )
                for chunk in chunks
            ],
            next_offset=next_offset,
            status=now.status,
            exit_code=now.exit_code,
        )
    )


@router.post("/sandbox/{sandbox_id}/process/{process_id}/stdin", response=DONE)
async def write_stdin(
    request: ApiRequest, sandbox_id: Id, process_id: Id, body: StdinIn
) -> HttpResponse:
    sandbox, row = await processes.find(request.auth.project, sandbox_id, process_id)
    require_running(sandbox)
    await processes.write_stdin(sandbox, row, _bytes_of(body), close=body.close)
    return ok()


def _bytes_of(body: StdinIn) -> bytes:
    try:
        return body.text.encode() + base64.b64decode(body.base64, validate=True)
    except ValueError:
        raise Invalid("base64: is not base64") from None


@router.post("/sandbox/{sandbox_id}/process/{process_id}/signal", response=DONE)
async def send_signal(
    request: ApiRequest, sandbox_id: Id, process_id: Id, body: SignalIn
) -> HttpResponse:
    sandbox, row = await processes.find(request.auth.project, sandbox_id, process_id)
    require_running(sandbox)
    await processes.send_signal(sandbox, row, body.signal)
    return ok()


@router.delete("/sandbox/{sandbox_id}/process/{process_id}", response=DONE)
async def end_process(request: ApiRequest, sandbox_id: Id, process_id: Id) -> HttpResponse:
    """Kill a process with its whole tree. Ending an ended one is no error."""
    sandbox, row = await processes.find(request.auth.project, sandbox_id, process_id)
    require_running(sandbox)
    await processes.end(sandbox, row)
    return ok()
