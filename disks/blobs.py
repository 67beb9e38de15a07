"""The bytes of artifacts: into the store and out of it.

The order of writes keeps the promise that an artifact always has its bytes: a PENDING row, the
bytes in the store, then one transaction that makes the blob READY and an artifact point to it.
What a crash leaves in between is a blob nobody points to, and the sweep takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import IO, Any

from django.core.files import File
from django.utils import timezone

from disks.models import Blob
from disks.spool import Arrived, Spool, gather
from disks.store import in_thread, refusals, storage
from project import database
from project.errors import Failed

CHUNK = 512 * 1024


async def store(project_id: Any, spool: Spool | Arrived) -> Blob:
    """Bring the bytes of a spool into the store, unless the project has them already.

    The blob lives only if an artifact is soon pointed to it, with `settle`.
    """
    try:
        blob, is_new = await database.write(_begin, project_id, spool.sha256, spool.size)
        if is_new:
            await in_thread(_save, blob.key, spool.path)
    finally:
        await in_thread(spool.discard)
    return blob


async def empty(project_id: Any) -> Blob:
    """Return a stored blob of no bytes, to be pointed to soon."""
    return await store(project_id, await gather(_nothing(), 0))


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


def _begin(project_id: Any, sha256: str, size: int) -> tuple[Blob, bool]:
    ready = Blob.objects.filter(project_id=project_id, sha256=sha256, status=Blob.Status.READY)
    # Its use is noted, so that no sweep takes it before an artifact points to it.
    if ready.update(used_at=timezone.now()):
        blob = ready.first()
        if blob is not None:
            return blob, False
    return Blob.objects.create(project_id=project_id, sha256=sha256, size=size), True


class _Spooled(File):  # type: ignore[type-arg]
    """A file that a local store may take by renaming it."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def _save(key: str, path: Path) -> None:
    with refusals(), path.open("rb") as file:
        name = storage().save(key, _Spooled(file, name=str(path)))
        if name != key:
            raise RuntimeError(f"the store gave {name!r} for {key!r}")
        with contextlib.suppress(NotImplementedError):
            _sync_folder(Path(storage().path(key)).parent)


def _sync_folder(folder: Path) -> None:
    """A rename is on disk only when its folder is."""
    for place in (folder, folder.parent):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def settle(blob: Blob) -> Blob:
    """Make a blob fit to be pointed to, inside the transaction that does so.

    Where the same content was stored meanwhile, that blob is returned instead.
    """
    now = timezone.now()
    assert blob.project_id is not None
    others = Blob.objects.select_for_update().filter(
        project_id=blob.project_id, sha256=blob.sha256, status=Blob.Status.READY
    )
    twin = others.exclude(pk=blob.pk).first()
    if twin is not None:
        Blob.objects.filter(pk=blob.pk).update(status=Blob.Status.DOOMED)
        Blob.objects.filter(pk=twin.pk).update(used_at=now)
        return twin
    alive = Blob.objects.filter(pk=blob.pk).exclude(status=Blob.Status.DOOMED)
    if not alive.update(status=Blob.Status.READY, used_at=now):
        raise Failed("the upload took too long and was given up; try again")
    return blob


async def read(blob: Blob, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
    """Give the bytes of a blob from start up to end; one piece is read ahead."""
    left = (blob.size if end is None else end) - start
    if left <= 0:
        return
    file = await in_thread(_open, blob, start, start + left)
    reading = in_thread(_read_piece, file, min(CHUNK, left))
    try:
        while left > 0:
            piece = await reading
            left -= len(piece)
            if left > 0:
                reading = in_thread(_read_piece, file, min(CHUNK, left))
            yield piece
    finally:
        if not reading.done():
            await asyncio.wait([reading])
        await in_thread(file.close)


def read_whole(blob: Blob) -> bytes:
    """Return all bytes of a small blob; blocks."""
    if not blob.size:
        return b""
    with refusals():
        file = _open(blob, 0, blob.size)
        try:
            return file.read(blob.size)
        finally:
            file.close()


def _open(blob: Blob, start: int, end: int) -> IO[bytes]:
    with refusals():
        file = storage().open(blob.key, "rb")
        s3_object = getattr(file, "obj", None)
        if s3_object is not None:
            # The file of django-storages would fetch everything first.
            body: IO[bytes] = s3_object.get(Range=f"bytes={start}-{end - 1}")["Body"]
            return body
        file.seek(start)
        return file


def _read_piece(file: IO[bytes], size: int) -> bytes:
    with refusals():
        piece = file.read(size)
    if not piece:
        raise Failed("the file store has lost the end of this file")
    return piece
