"""Endpoints: files of a running sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from project import words
from project.api import DONE, ApiRequest, Id, Text, answers, ok
from project.downloads import Download, respond
from project.errors import Conflict
from sandboxes import files
from sandboxes.access import running_sandbox
from sandboxes.guest.link import FileStat

router = Router(tags=["files"])

CHUNK = 256 * 1024


class PathQuery(Schema):
    path: Text


class ListQuery(PathQuery):
    """`after` is the name the next page starts behind."""

    after: Text = ""
    limit: int = Field(1000, ge=1, le=1000)


class WriteQuery(PathQuery):
    overwrite: bool = True


class RemoveQuery(PathQuery):
    recursive: bool = False


class MkdirIn(Schema):
    path: Text


class MoveIn(Schema):
    path: Text
    to: Text
    overwrite: bool = False


class FileOut(Schema):
    """A file of a sandbox; `kind` is file, directory, symlink or other."""

    path: str
    name: str
    kind: str
    size: int
    mode: int
    uid: int
    gid: int
    modified: float
    target: str | None


class FileList(Schema):
    items: list[FileOut]
    has_more: bool
    next_after: str | None


def file_out(stat: FileStat) -> FileOut:
    return FileOut(
        path=_shown(stat.path),
        name=_shown(stat.name),
        kind=stat.kind,
        size=stat.size,
        mode=stat.mode,
        uid=stat.uid,
        gid=stat.gid,
        modified=stat.modified,
        target=None if stat.target is None else _shown(stat.target),
    )


def _shown(name: str) -> str:
    """A name that is not UTF-8 cannot stand in JSON as it is."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


@router.get("/sandbox/{sandbox_id}/files/stat", response=answers(FileOut))
async def stat_file(request: ApiRequest, sandbox_id: Id, query: Query[PathQuery]) -> HttpResponse:
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    return ok(file_out(await files.stat(sandbox, query.path)))


@router.get("/sandbox/{sandbox_id}/files/list", response=answers(FileList))
async def list_files(request: ApiRequest, sandbox_id: Id, query: Query[ListQuery]) -> HttpResponse:
    """List a folder, sorted by name."""
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    entries, after = await files.listing(sandbox, query.path, after=query.after, limit=query.limit)
    if after is not None and entries:
        entries, after = _up_to_a_text(entries)
    items = [file_out(entry) for entry in entries]
    has_more = after is not None and bool(items)
    return ok({"items": items, "has_more": has_more, "next_after": after if has_more else None})


def _up_to_a_text(entries: list[FileStat]) -> tuple[list[FileStat], str]:
    """Cut a page behind the last name that JSON can hold: the next one is asked for by it."""
    whole = [number for number, entry in enumerate(entries, 1) if words.is_whole(entry.name)]
    if whole:
        entries = entries[: whole[-1]]
    return entries, _shown(entries[-1].name)


@router.get("/sandbox/{sandbox_id}/files")
async def read_file(
    request: ApiRequest, sandbox_id: Id, query: Query[PathQuery]
) -> HttpResponse | StreamingHttpResponse:
    """Answer with the bytes of a file; `Range` is understood."""
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    stat = await files.stat(sandbox, query.path)

    async def open_file(start: int, end: int) -> AsyncGenerator[bytes]:
        now, chunks = await files.read(sandbox, query.path, start, end)
        if now.size != stat.size:
            raise Conflict("the file changes while it is read; try again", tag="changed")
        return chunks

    return await respond(
        request,
        Download(
            filename=_shown(stat.name),
            size=stat.size,
            etag=f"{stat.size:x}-{int(stat.modified * 1e6):x}",
            open=open_file,
        ),
    )


@router.put("/sandbox/{sandbox_id}/files", response=answers(FileOut))
async def write_file(request: ApiRequest, sandbox_id: Id, query: Query[WriteQuery]) -> HttpResponse:
    """Write the body of the request to a file, whole or not at all."""
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    stat = await files.write(sandbox, query.path, _body(request), overwrite=query.overwrite)
    return ok(file_out(stat))


async def _body(request: HttpRequest) -> AsyncGenerator[bytes]:
    """Give the body as it comes in, or from where it was gathered."""
    incoming: AsyncGenerator[bytes] | None = getattr(request, "incoming", None)
    if incoming is not None:
        async for piece in incoming:
            yield piece
        return
    while piece := await asyncio.to_thread(request.read, CHUNK):
        yield piece


@router.delete("/sandbox/{sandbox_id}/files", response=DONE)
async def remove_file(
    request: ApiRequest, sandbox_id: Id, query: Query[RemoveQuery]
) -> HttpResponse:
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    await files.remove(sandbox, query.path, recursive=query.recursive)
    return ok()


@router.post("/sandbox/{sandbox_id}/files/mkdir", response=answers(FileOut))
async def make_folder(request: ApiRequest, sandbox_id: Id, body: MkdirIn) -> HttpResponse:
    """Make a folder and those on the way to it."""
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    return ok(file_out(await files.mkdir(sandbox, body.path)))


@router.post("/sandbox/{sandbox_id}/files/move", response=answers(FileOut))
async def move_file(request: ApiRequest, sandbox_id: Id, body: MoveIn) -> HttpResponse:
    sandbox = await running_sandbox(request.auth.project, sandbox_id)
    return ok(file_out(await files.move(sandbox, body.path, body.to, overwrite=body.overwrite)))
