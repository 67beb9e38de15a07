"""The bytes of artifacts: into the store, out of it, and away when nobody points to them.

The order of writes keeps the promise that an artifact always has its bytes: a PENDING row, the
bytes in the store, then one transaction that makes the blob READY and an artifact point to it.
What a crash leaves in between is a blob nobody points to, and the sweep takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from disks.media import HEAD_BYTES
from disks.models import Artifact, Blob
from project import database
from project.errors import Failed, NoSpace, Refused, TooLarge, Unavailable

logger = logging.getLogger(__name__)

CHUNK = 512 * 1024
# So many bytes are handed to a thread at once.
BATCH_BYTES = 4 * 1024 * 1024
WRITE_OUT_EVERY = 16 * 1024 * 1024
THREADS = 8
# What one sweep takes at the most, and in one statement.
SWEEP_MOST = 10_000
SWEEP_BATCH = 200


def storage() -> Storage:
    return storages["blobs"]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")


def in_thread[T](function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """Run a function that waits for the disk or the store where it holds nobody up."""
    return asyncio.get_running_loop().run_in_executor(_threads(), function, *arguments)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Tell a caller what is the matter with the store."""
    try:
        yield
    except Refused:
        raise
    except FileNotFoundError as error:
        logger.exception("a blob has no bytes")
        raise Failed("the file store has lost the bytes of this file") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("the disk of the server is full; nothing was stored") from error
        logger.exception("the file store failed")
        raise Unavailable("the file store does not answer; nothing was stored") from error


# --- In -------------------------------------------------------------------------------------


class Spool:
    """Bytes on their way into the store: in a file, counted and hashed as they come."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.head = b""
        self._hash = hashlib.sha256()
        self._stored = self._on_its_way = 0
        with refusals():
            self._file: IO[bytes] = tempfile.NamedTemporaryFile(  # noqa: SIM115
                dir=settings.SPOOL_DIR, prefix="blob-", delete=False, buffering=0
            )
        self.path = Path(self._file.name)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Take some more. Raises TooLarge over the limit, and NoSpace."""
        self.note(data)
        self.store([data])

    def note(self, data: bytes) -> None:
        """Count and hash what is to be stored next. Raises TooLarge over the limit."""
        self.size += len(data)
        if self.size > self.limit:
            raise TooLarge(f"the file is over the limit of {self.limit / 2**20:g} MiB")
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self._hash.update(data)

    def store(self, pieces: list[bytes]) -> None:
        """Write what was noted. Raises NoSpace."""
        with refusals():
            _write_fully(self._file.fileno(), pieces)
            self._stored += sum(map(len, pieces))
            if self._stored - self._on_its_way >= WRITE_OUT_EVERY:
                self._write_out()

    def _write_out(self) -> None:
        """Have the kernel begin to write to the disk: then the end has little left to wait for."""
        new = self._stored - self._on_its_way
        os.posix_fadvise(self._file.fileno(), self._on_its_way, new, os.POSIX_FADV_DONTNEED)
        self._on_its_way = self._stored

    def close(self) -> None:
        """Bring what was written safely to the disk."""
        with refusals():
            os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Drop the file, if the store has not taken it."""
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


def _write_fully(descriptor: int, pieces: list[bytes]) -> None:
    for piece in pieces:
        left = memoryview(piece)
        while left:
            left = left[os.write(descriptor, left) :]


async def gather(chunks: AsyncIterable[bytes], limit: int) -> Spool:
    """Take a stream into a spool; the next pieces are fetched while some are being written."""
    spool = await in_thread(Spool, limit)
    writing: asyncio.Future[None] | None = None
    batch: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            # Hashed here: a thread that hashes would wait for this one more than it works.
            spool.note(chunk)
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH_BYTES:
                if writing is not None:
                    await writing
                writing = in_thread(spool.store, batch)
                batch, size = [], 0
        if writing is not None:
            await writing
        await in_thread(spool.store, batch)
        await in_thread(spool.close)
    except BaseException:
        if writing is not None:
            await asyncio.wait([writing])
        await in_thread(spool.discard)
        raise
    return spool


async def store(project_id: Any, spool: Spool) -> Blob:
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


# --- Out ------------------------------------------------------------------------------------


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


# --- Away -----------------------------------------------------------------------------------


async def sweep() -> int:
    """Delete what no artifact points to, once it is old enough. Return how many blobs went."""
    cutoff = timezone.now() - timedelta(seconds=settings.BLOB_GRACE_SECONDS)
    await in_thread(_drop_old_spools, settings.BLOB_GRACE_SECONDS)
    gone = 0
    while gone < SWEEP_MOST:
        await database.write(_doom, cutoff)
        doomed = await database.read(_doomed)
        if not doomed:
            break
        for blob in doomed:
            await in_thread(_delete_bytes, blob.key)
        gone += await database.write(_forget, [blob.pk for blob in doomed])
    if gone:
        logger.info("swept %d blobs that no artifact pointed to", gone)
    return gone


def unreferenced(cutoff: datetime) -> QuerySet[Blob]:
    """Blobs that no artifact has pointed to since then."""
    pointed_to = Exists(Artifact.objects.filter(blob=OuterRef("pk")))
    return Blob.objects.filter(~pointed_to, used_at__lt=cutoff)


def _doom(cutoff: datetime) -> None:
    """From here on nothing can point to them. A use since then has moved `used_at`."""
    batch = unreferenced(cutoff).exclude(status=Blob.Status.DOOMED).order_by("used_at", "id")
    with transaction.atomic():
        keys = list(batch.values_list("pk", flat=True)[:SWEEP_BATCH])
        unreferenced(cutoff).filter(pk__in=keys).update(status=Blob.Status.DOOMED)


def _doomed() -> list[Blob]:
    return list(Blob.objects.filter(status=Blob.Status.DOOMED)[:SWEEP_BATCH])


def _delete_bytes(key: str) -> None:
    with refusals():
        storage().delete(key)


def _forget(keys: list[Any]) -> int:
    return Blob.objects.filter(pk__in=keys, status=Blob.Status.DOOMED).delete()[0]


def _drop_old_spools(seconds: float) -> None:
    """Drop what a crash left of uploads."""
    for path in Path(settings.SPOOL_DIR).iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()
