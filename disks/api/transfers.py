"""Endpoints: copies between disks and sandboxes."""

from __future__ import annotations

from django.http import HttpResponse
from ninja import Router, Schema

from disks import artifacts, paths, transfer
from disks.access import disk_for, disk_or_forbidden
from disks.api.artifacts import ArtifactOut, Name, artifact_out
from disks.models import Artifact
from project import database, events
from project.api import (
    ApiRequest,
    Id,
    answers,
    ok,
)
from sandboxes.access import running_sandbox

router = Router(tags=["disks"])


class CopiedOut(Schema):
    success: bool


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
    await events.changed(request.auth.project_id, "files", body.sandbox_id)
    return ok(CopiedOut(success=True))


@router.post("/disk/{disk_id}/artifact/upload_from_sandbox", response=answers(ArtifactOut, 201))
async def copy_from_sandbox(request: ApiRequest, disk_id: Id, body: FromSandboxIn) -> HttpResponse:
    """Copy a file of a sandbox onto a disk, in place of one with that name."""
    disk = await database.read(disk_for, request.auth.project, disk_id)
    filename, folder = paths.filename_of(body.sandbox_filename), paths.folder_of(body.file_path)
    sandbox = await running_sandbox(request.auth.project, body.sandbox_id)
    artifact = await transfer.from_sandbox(sandbox, body.sandbox_path, filename, disk, folder)
    await events.changed(request.auth.project_id, "disk", disk_id)
    return ok(artifact_out(artifact), status=201)
