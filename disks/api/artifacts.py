"""Endpoints: the files on a disk."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from disks import artifacts, blobs, links, paths, search, uploads
from disks.access import disk_for, disk_or_forbidden
from disks.content import Content, is_readable, parse
from disks.models import Artifact
from disks.store import in_thread
from project import database, events
from project.api import (
    DONE,
    ApiRequest,
    Flag,
    Id,
    Text,
    answers,
    ok,
    timestamp,
)
from project.downloads import Download, respond
from project.errors import Invalid

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

Name = Annotated[Text, Field(min_length=1)]


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
    await events.changed(disk.project_id, "disk", disk.pk)
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

    artifact = await database.write(change)
    await events.changed(request.auth.project_id, "disk", disk_id)
    return ok(ChangedOut(artifact=artifact_out(artifact)))


@router.delete("/disk/{disk_id}/artifact", response=DONE)
async def delete_artifact(
    request: ApiRequest, disk_id: Id, query: Query[FileQuery]
) -> HttpResponse:
    def delete() -> None:
        artifacts.remove(disk_or_forbidden(request.auth.project, disk_id), query.file_path)

    await database.write(delete)
    await events.changed(request.auth.project_id, "disk", disk_id)
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
