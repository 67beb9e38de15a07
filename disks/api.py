"""Endpoints: disks, the artifacts on them, and copies to and from sandboxes.

Where a disk is another project's or missing, some endpoints answer 404 and some 403, as
upstream's clients know them.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from disks import artifacts, blobs, links, paths, search, transfer, uploads
from disks.access import disk_for, disk_or_forbidden
from disks.content import Content, is_readable, parse
from disks.models import Artifact, Disk
from disks.store import in_thread
from project import database
from project.api import (
    DONE,
    ApiRequest,
    Flag,
    Id,
    PageOut,
    PageQuery,
    Text,
    answers,
    ok,
    page,
    timestamp,
)
from project.downloads import Download, respond
from project.errors import Invalid
from project.users import ensure_user, find_user
from sandboxes.access import running_sandbox

router = Router(tags=["disks"])

DEFAULT_FOUND = 100
DEFAULT_LINK_SECONDS = 3600

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "file_path": {"type": "string", "default": "/"},
                        "meta": {"type": "string", "description": "a JSON object"},
                    },
                }
            }
        },
    }
}
NEW_DISK: dict[str, Any] = {
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"user": {"type": "string"}}}
            }
        }
    }
}

Name = Annotated[Text, Field(min_length=1)]


class DiskOut(Schema):
    id: str
    project_id: str
    user_id: str | None
    created_at: str
    updated_at: str


class ArtifactOut(Schema):
    """A file; `meta` holds what the caller put there, and `__artifact_info__`."""

    disk_id: str
    path: str
    filename: str
    meta: dict[str, Any]
    sha256: str
    created_at: str
    updated_at: str


class FoundOut(Schema):
    artifact: ArtifactOut
    public_url: str | None = None
    content: Content | None = None


class ChangedOut(Schema):
    artifact: ArtifactOut


class ListingOut(Schema):
    artifacts: list[ArtifactOut]
    directories: list[str]


class CopiedOut(Schema):
    success: bool


class Counts(Schema):
    sessions_count: int
    disks_count: int
    skills_count: int


class Resources(Schema):
    counts: Counts


class DiskQuery(PageQuery):
    user: Text = ""


class FileQuery(Schema):
    file_path: Name


class GetQuery(FileQuery):
    with_public_url: Flag = True
    with_content: Flag = True
    expire: int = DEFAULT_LINK_SECONDS


class SearchQuery(Schema):
    query: Name
    limit: Annotated[int, Field(ge=0, le=200)] = DEFAULT_FOUND


class MetaIn(Schema):
    file_path: Name
    meta: str


class ToSandboxIn(Schema):
    file_path: Name
    filename: Name
    sandbox_id: Id
    sandbox_path: Name


class FromSandboxIn(Schema):
    sandbox_id: Id
    sandbox_path: Name
    sandbox_filename: Name
    file_path: Name


def disk_out(disk: Disk) -> DiskOut:
    return DiskOut(
        id=str(disk.id),
        project_id=str(disk.project_id),
        user_id=None if disk.user_id is None else str(disk.user_id),
        created_at=timestamp(disk.created_at),
        updated_at=timestamp(disk.updated_at),
    )


def artifact_out(artifact: Artifact) -> ArtifactOut:
    info = {
        "path": artifact.path,
        "filename": artifact.filename,
        "mime": artifact.mime,
        "size": artifact.blob.size,
    }
    return ArtifactOut(
        disk_id=str(artifact.disk_id),
        path=artifact.path,
        filename=artifact.filename,
        meta={**artifact.meta, artifacts.RESERVED: info},
        sha256=artifact.blob.sha256,
        created_at=timestamp(artifact.created_at),
        updated_at=timestamp(artifact.updated_at),
    )


# --- Disks ----------------------------------------------------------------------------------


@router.post("/disk", response=answers(DiskOut, 201), openapi_extra=NEW_DISK)
async def create_disk(request: ApiRequest) -> HttpResponse:
    """Make a disk, of a user if one is named."""
    identifier = _user_named_in(request)

    def make() -> Disk:
        project = request.auth.project
        user = ensure_user(project, identifier) if identifier else None
        return Disk.objects.create(project=project, user=user)

    return ok(disk_out(await database.write(make)), status=201)


def _user_named_in(request: HttpRequest) -> str:
    """Return the user that a body of JSON, a form or the query names, if any."""
    content_type = request.headers.get("Content-Type", "")
    if content_type.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        user: Any = request.POST.get("user", "")
    elif request.body.strip():
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError):
            raise Invalid("the body must be a JSON object") from None
        if not isinstance(body, dict):
            raise Invalid("the body must be a JSON object")
        user = body.get("user") or ""
    else:
        user = request.GET.get("user", "")
    if not isinstance(user, str) or "\x00" in user or not _is_encodable(user):
        raise Invalid("user: must be a text")
    return user


def _is_encodable(text: str) -> bool:
    """JSON can hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@router.get("/disk", response=answers(PageOut[DiskOut]))
async def list_disks(request: ApiRequest, query: Query[DiskQuery]) -> HttpResponse:
    disks = Disk.objects.filter(project=request.auth.project)
    if query.user:
        disks = disks.filter(user__identifier=query.user)
    return page(await database.read(query.of, disks), disk_out)


@router.delete("/disk/{disk_id}", response=DONE)
async def delete_disk(request: ApiRequest, disk_id: Id) -> HttpResponse:
    """Delete a disk with everything on it."""

    def delete() -> None:
        disk_for(request.auth.project, disk_id).delete()

    await database.write(delete)
    return ok()


@router.get("/user/{path:identifier}/resources", response=answers(Resources))
async def count_resources(request: ApiRequest, identifier: Text) -> HttpResponse:
    def count() -> int:
        return Disk.objects.filter(user=find_user(request.auth.project, identifier)).count()

    disks = await database.read(count)
    return ok(Resources(counts=Counts(sessions_count=0, disks_count=disks, skills_count=0)))


# --- Artifacts ------------------------------------------------------------------------------


@router.post("/disk/{disk_id}/artifact", response=answers(ArtifactOut, 201), openapi_extra=FORM)
async def upsert_artifact(request: ApiRequest, disk_id: Id) -> HttpResponse:
    """Put a file on a disk, in place of one with that name.

    `file_path` names the folder; a last component that is the file's own name is dropped.
    """
    disk = await database.read(disk_for, request.auth.project, disk_id)
    upload = await in_thread(uploads.parse, request, settings.ARTIFACT_MAX_UPLOAD_BYTES)
    try:
        filename = paths.filename_of(upload.filename)
        folder = paths.destination(upload.fields.get("file_path", ""), filename)
        meta = artifacts.parse_meta(upload.fields.get("meta") or "{}")
    except Invalid:
        await in_thread(upload.spool.discard)
        raise
    artifact = await artifacts.upsert(disk, folder, filename, upload.spool, meta)
    return ok(artifact_out(artifact), status=201)


@router.get("/disk/{disk_id}/artifact", response=answers(FoundOut))
async def get_artifact(request: ApiRequest, disk_id: Id, query: Query[GetQuery]) -> HttpResponse:
    """Look at a file: its meta, a public link, and its text if it has one of bearable size."""
    artifact = await _find(request, disk_id, query.file_path)
    found: dict[str, Any] = {"artifact": artifact_out(artifact)}
    if query.with_public_url:
        found["public_url"] = _public_url(request, links.token_for(artifact, query.expire))
    if query.with_content:
        content = await _content_of(artifact)
        if content is not None:
            found["content"] = content
    return ok(found)


async def _find(request: ApiRequest, disk_id: Any, file_path: str) -> Artifact:
    def find() -> Artifact:
        return artifacts.find(disk_or_forbidden(request.auth.project, disk_id), file_path)

    return await database.read(find)


def _public_url(request: HttpRequest, token: str) -> str:
    path = f"/api/v1/material/{token}"
    return (
        f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else request.build_absolute_uri(path)
    )


async def _content_of(artifact: Artifact) -> Content | None:
    if artifact.blob.size > settings.CONTENT_MAX_BYTES:
        return None
    if not is_readable(artifact.filename, artifact.mime):
        return None
    data = await in_thread(blobs.read_whole, artifact.blob)
    return await asyncio.to_thread(parse, artifact.filename, artifact.mime, data)


@router.put("/disk/{disk_id}/artifact", response=answers(ChangedOut))
async def describe_artifact(request: ApiRequest, disk_id: Id, body: MetaIn) -> HttpResponse:
    """Replace the caller's meta of a file; `meta` is a text that holds a JSON object."""

    def change() -> Artifact:
        disk = disk_or_forbidden(request.auth.project, disk_id)
        return artifacts.describe(disk, body.file_path, artifacts.parse_meta(body.meta))

    return ok(ChangedOut(artifact=artifact_out(await database.write(change))))


@router.delete("/disk/{disk_id}/artifact", response=DONE)
async def delete_artifact(
    request: ApiRequest, disk_id: Id, query: Query[FileQuery]
) -> HttpResponse:
    def delete() -> None:
        artifacts.remove(disk_or_forbidden(request.auth.project, disk_id), query.file_path)

    await database.write(delete)
    return ok()


@router.get("/disk/{disk_id}/artifact/ls", response=answers(ListingOut))
async def list_artifacts(request: ApiRequest, disk_id: Id, path: Text = "/") -> HttpResponse:
    """List what is directly in a folder, sorted by name."""

    def find() -> artifacts.Listing:
        disk = disk_or_forbidden(request.auth.project, disk_id)
        return artifacts.listing(disk, paths.folder_of(path))

    found = await database.read(find)
    shown = [artifact_out(artifact) for artifact in found.artifacts]
    return ok(ListingOut(artifacts=shown, directories=found.directories))


@router.get("/disk/{disk_id}/artifact/glob", response=answers(list[ArtifactOut]))
async def glob_artifacts(
    request: ApiRequest, disk_id: Id, query: Query[SearchQuery]
) -> HttpResponse:
    """Find files by name: `*.py` anywhere, `/src/*.py` in one folder, `/src/**` below it."""
    disk = await database.read(disk_or_forbidden, request.auth.project, disk_id)
    found = await search.by_name(disk, query.query, query.limit or DEFAULT_FOUND)
    return ok([artifact_out(artifact) for artifact in found])


@router.get("/disk/{disk_id}/artifact/grep", response=answers(list[ArtifactOut]))
async def grep_artifacts(
    request: ApiRequest, disk_id: Id, query: Query[SearchQuery]
) -> HttpResponse:
    """Find text files whose content a regular expression fits, whatever the case."""
    disk = await database.read(disk_or_forbidden, request.auth.project, disk_id)
    found = await search.by_content(disk, query.query, query.limit or DEFAULT_FOUND)
    return ok([artifact_out(artifact) for artifact in found])


@router.get("/disk/{disk_id}/artifact/download")
async def download_artifact(
    request: ApiRequest, disk_id: Id, query: Query[FileQuery]
) -> HttpResponse | StreamingHttpResponse:
    """Answer with the bytes of a file; `Range` is understood."""
    return await respond(request, _download(await _find(request, disk_id, query.file_path)))


@router.get("/material/{token}", auth=None, tags=["public links"])
async def get_material(request: HttpRequest, token: Text) -> HttpResponse | StreamingHttpResponse:
    """Answer whoever has the link with the bytes of a file."""
    return await respond(request, _download(await database.read(links.artifact_of, token)))


def _download(artifact: Artifact) -> Download:
    async def open_blob(start: int, end: int) -> Any:
        return blobs.read(artifact.blob, start, end)

    return Download(
        filename=artifact.filename,
        size=artifact.blob.size,
        etag=artifact.blob.sha256,
        open=open_blob,
        content_type=artifact.mime,
    )


# --- Copies ---------------------------------------------------------------------------------


@router.post("/disk/{disk_id}/artifact/download_to_sandbox", response=answers(CopiedOut))
async def copy_to_sandbox(request: ApiRequest, disk_id: Id, body: ToSandboxIn) -> HttpResponse:
    """Copy a file of a disk into a folder of a sandbox; the folder is made if need be."""

    def find() -> Artifact:
        disk = disk_or_forbidden(request.auth.project, disk_id)
        folder, filename = paths.folder_of(body.file_path), paths.filename_of(body.filename)
        return artifacts.find_in(disk, folder, filename)

    artifact = await database.read(find)
    sandbox = await running_sandbox(request.auth.project, body.sandbox_id)
    await transfer.to_sandbox(artifact, sandbox, body.sandbox_path)
    return ok(CopiedOut(success=True))


@router.post("/disk/{disk_id}/artifact/upload_from_sandbox", response=answers(ArtifactOut, 201))
async def copy_from_sandbox(request: ApiRequest, disk_id: Id, body: FromSandboxIn) -> HttpResponse:
    """Copy a file of a sandbox onto a disk, in place of one with that name."""
    disk = await database.read(disk_for, request.auth.project, disk_id)
    filename, folder = paths.filename_of(body.sandbox_filename), paths.folder_of(body.file_path)
    sandbox = await running_sandbox(request.auth.project, body.sandbox_id)
    artifact = await transfer.from_sandbox(sandbox, body.sandbox_path, filename, disk, folder)
    return ok(artifact_out(artifact), status=201)
