"""Copies between a disk and a sandbox, as streams: memory does not grow with the file."""

from __future__ import annotations

from contextlib import aclosing

from django.conf import settings

from disks import artifacts, blobs
from disks.models import Artifact, Disk
from disks.spool import gather
from project import database
from project.errors import TooLarge
from sandboxes import files, history
from sandboxes.models import Sandbox


async def to_sandbox(artifact: Artifact, sandbox: Sandbox, folder: str) -> None:
    """Copy a file of a disk into a folder of a sandbox, whole or not at all."""
    target = f"{folder.rstrip('/')}/{artifact.filename}"
    async with aclosing(blobs.read(artifact.blob)) as chunks:
        await files.write(sandbox, target, chunks, size=artifact.blob.size)


async def from_sandbox(
    sandbox: Sandbox, source_folder: str, filename: str, disk: Disk, folder: str
) -> Artifact:
    """Copy a file of a sandbox onto a disk, in place of one with that name.

    Raises NotFound if it is not there, and TooLarge.
    """
    source = f"{source_folder.rstrip('/')}/{filename}"
    limit = settings.TRANSFER_MAX_BYTES
    stat, chunks = await files.read(sandbox, source)
    async with aclosing(chunks):
        if stat.size > limit:
            raise TooLarge(f"the file is over the limit of {limit / 2**20:g} MiB")
        spool = await gather(chunks, limit)
    artifact = await artifacts.upsert(disk, folder, filename, spool, {})
    await database.write(history.note_generated_file, sandbox, source)
    return artifact
