"""Uploads that survive: each in a file of its own in the spool, its row telling where it goes.

The offset of an upload is what is on the disk of the server. It is told to nobody before it is
safely there, and found again there after a crash. One request at a time writes to an upload: a lock
on its file says so, to other processes too.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import BigIntegerField, ExpressionWrapper, F, Q, QuerySet, Sum
from django.db.models.functions import Least
from django.utils import timezone

from disks import entries, places
from disks.entries import Entry
from disks.models import OnConflict, Upload
from disks.places.base import Place
from disks.places.disk import DiskPlace
from disks.spool import Arrived
from disks.store import in_thread, refusals
from project import database
from project.errors import Conflict, Invalid, NoSpace, NotFound, TooLarge, TooMany
from project.models import Project

WRITE_BYTES = 1024 * 1024
READ_BYTES = 512 * 1024
# Nothing came for so long: the client is gone, whatever the connection says.
STALL_SECONDS = 60.0
# A writer that has had nothing for so long gives way to another.
IDLE_SECONDS = 3.0
TAKE_OVER_SECONDS = 5.0
# What the server keeps free for itself.
KEPT_FREE = 64 * 1024 * 1024
MOST_UNFINISHED = 2_000
MOST_HASHES = 100


class Locked(Conflict):
    """Another request writes to this upload."""

    status = 423
    tag = "locked"


class OffsetMismatch(Conflict):
    """The piece does not go where the upload is."""

    tag = "wrong_offset"

    def __init__(self, offset: int) -> None:
        super().__init__(f"the upload is at byte {offset}; go on there")
        self.offset = offset


class ChecksumMismatch(Conflict):
    """The piece did not arrive as it was sent; it was dropped."""

    status = 460
    tag = "checksum_mismatch"


@dataclass(frozen=True, slots=True)
class Wish:
    """An upload that somebody wants to begin. `path` is the whole path of the file to be."""

    place: Place
    path: str
    size: int
    on_conflict: OnConflict
    by: str


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """Where a whole upload went. None: the name was taken, and it was skipped.

    `is_new`: it went there just now.
    """

    place: Place
    entry: Entry | None
    is_new: bool


@dataclass(slots=True)
class Writer:
    """A request that writes to an upload."""

    active_at: float = field(default_factory=time.monotonic)
    leave: asyncio.Event = field(default_factory=asyncio.Event)


_writers: dict[uuid.UUID, Writer] = {}
# The hashes of uploads that are under way here, each with how much it has taken.
_hashes: dict[uuid.UUID, tuple[int, Any]] = {}


def _folder() -> Path:
    folder = Path(settings.SPOOL_DIR) / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def file_of(upload_id: uuid.UUID) -> Path:
    """Return the file in the spool that holds what came of an upload."""
    return _folder() / upload_id.hex


# Begin, find, end.


async def begin(wish: Wish) -> Upload:
    """Make an upload. Raises TooLarge, NoSpace, TooMany."""
    most = settings.UPLOAD_MAX_BYTES
    if wish.size > most:
        raise TooLarge(
            f"the file has {_gib(wish.size)}; a file that is uploaded may have {_gib(most)} at most"
        )
    free = await in_thread(lambda: shutil.disk_usage(_folder()).free)
    return await database.write(_begin, wish, free - KEPT_FREE)


def _gib(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"


def _begin(wish: Wish, free: int) -> Upload:
    unfinished = Upload.objects.filter(finished_at=None, expires_at__gt=timezone.now())
    if unfinished.filter(project_id=wish.place.project_id).count() >= MOST_UNFINISHED:
        raise TooMany(f"there are {MOST_UNFINISHED:,} unfinished uploads; end some first")
    if wish.size > free - _coming(unfinished, wish.place.project_id):
        raise NoSpace("the server has no room for this file")
    return Upload.objects.create(
        project_id=wish.place.project_id,
        place=wish.place.kind,
        place_id=wish.place.id,
        folder=entries.parent_of(wish.path),
        filename=entries.name_of(wish.path),
        on_conflict=wish.on_conflict,
        size=wish.size,
        created_by=wish.by[:200],
        expires_at=_expiry(),
    )


def _coming(unfinished: QuerySet[Upload], project_id: uuid.UUID) -> int:
    """Return how many bytes room is kept for: all that the own project announced.

    Of another project's uploads it is no more than what each has sent already, so that nobody
    takes the room from all others by announcing much and sending nothing.
    """
    left = ExpressionWrapper(F("size") - F("offset"), BigIntegerField())
    counted = unfinished.aggregate(
        own=Sum(left, filter=Q(project_id=project_id)),
        others=Sum(Least(left, F("offset")), filter=~Q(project_id=project_id)),
    )
    return (counted["own"] or 0) + (counted["others"] or 0)


def _expiry() -> Any:
    return timezone.now() + timedelta(seconds=settings.UPLOAD_SECONDS)


def find(upload_id: uuid.UUID) -> Upload:
    """Return an upload. Reads the database. Raises NotFound."""
    upload = Upload.objects.filter(pk=upload_id, expires_at__gt=timezone.now()).first()
    if upload is None:
        raise NotFound("there is no such upload, or it has expired", tag="upload_not_found")
    return upload


def unfinished_of(project: Project, by: str) -> list[Upload]:
    """Return what somebody began and did not end. Reads the database."""
    return list(
        Upload.objects.filter(
            project=project, created_by=by, finished_at=None, expires_at__gt=timezone.now()
        )[:MOST_UNFINISHED]
    )


async def end(upload: Upload) -> None:
    """Give an upload up, with what came of it."""
    writer = _writers.get(upload.pk)
    if writer is not None:
        writer.leave.set()
    await _forget(upload.pk)
    await database.write(Upload.objects.filter(pk=upload.pk).delete)


async def _forget(upload_id: uuid.UUID) -> None:
    _hashes.pop(upload_id, None)
    await in_thread(lambda: file_of(upload_id).unlink(missing_ok=True))


async def purge_expired() -> None:
    """Drop uploads whose time is over, and files that no upload knows."""
    rows = Upload.objects.filter(expires_at__lte=timezone.now())
    for key in await database.read(lambda: list(rows.values_list("pk", flat=True))):
        await _forget(key)
        await database.write(Upload.objects.filter(pk=key).delete)
    known = await database.read(lambda: set(Upload.objects.values_list("pk", flat=True)))
    await in_thread(_drop_unknown, {key.hex for key in known})


def _drop_unknown(known: set[str]) -> None:
    for path in _folder().iterdir():
        with contextlib.suppress(OSError):
            old = time.time() - path.stat().st_mtime > settings.UPLOAD_SECONDS
            if old and path.name not in known:
                path.unlink()


# The offset.


async def offset_of(upload: Upload) -> int:
    """Return how much of an upload is on the disk; all of it if it is where it belongs."""
    if upload.finished_at is not None:
        return upload.size
    return await in_thread(_size_on_disk, upload.pk)


def _size_on_disk(upload_id: uuid.UUID) -> int:
    try:
        return file_of(upload_id).stat().st_size
    except FileNotFoundError:
        return 0


# Writing.


@asynccontextmanager
async def writing(upload: Upload) -> AsyncIterator[Writing]:
    """Be the one who writes to an upload. Raises Locked."""
    descriptor = await _locked(upload.pk)
    writer = Writer()
    _writers[upload.pk] = writer
    try:
        # What another request did until it let go counts.
        upload = await database.read(find, upload.pk)
        if upload.finished_at is not None:
            await _forget(upload.pk)
        yield Writing(upload, descriptor, writer)
    finally:
        if _writers.get(upload.pk) is writer:
            del _writers[upload.pk]
        # This lets go of the lock too.
        await in_thread(os.close, descriptor)


async def _locked(upload_id: uuid.UUID) -> int:
    """Open the file of an upload and lock it; who writes there and stands still is sent away."""
    deadline = time.monotonic() + TAKE_OVER_SECONDS
    while True:
        descriptor = await in_thread(_open_locked, upload_id)
        if descriptor is not None:
            return descriptor
        writer = _writers.get(upload_id)
        is_idle = writer is not None and time.monotonic() - writer.active_at > IDLE_SECONDS
        if writer is not None and is_idle:
            writer.leave.set()
        left_already = writer is not None and writer.leave.is_set()
        if not left_already or time.monotonic() > deadline:
            raise Locked("another request is writing to this upload; try again in a moment")
        await asyncio.sleep(0.05)


def _open_locked(upload_id: uuid.UUID) -> int | None:
    with refusals():
        descriptor = os.open(file_of(upload_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return None
            raise
    return descriptor


class Writing:
    """The right to write to an upload."""

    def __init__(self, upload: Upload, descriptor: int, writer: Writer) -> None:
        self.upload = upload
        self.descriptor = descriptor
        self.writer = writer
        self.offset = 0
        # The hash of all that came so far; None if that would have to be read again.
        self.running: Any = None

    async def append(
        self, offset: int, pieces: AsyncIterator[bytes], checksum: Checksum | None = None
    ) -> int:
        """Take what comes, until it ends or breaks off; return the offset behind it.

        Raises OffsetMismatch, Invalid for more than was announced, and ChecksumMismatch.
        """
        self.offset = await in_thread(lambda: os.fstat(self.descriptor).st_size)
        if offset != self.offset:
            raise OffsetMismatch(self.offset)
        digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        self.running = self._running_hash()
        try:
            whole = await self._take(pieces, digest)
            if checksum and digest and not (whole and digest.digest() == checksum.digest):
                raise ChecksumMismatch("the piece did not arrive as it was sent; send it again")
        except (ChecksumMismatch, Invalid):
            self.offset, self.running = offset, None
            await in_thread(os.ftruncate, self.descriptor, offset)
            raise
        finally:
            await self._settle()
        return self.offset

    def _running_hash(self) -> Any:
        if self.offset == 0:
            return hashlib.sha256()
        taken, running = _hashes.pop(self.upload.pk, (-1, None))
        return running if taken == self.offset else None

    async def _take(self, pieces: AsyncIterator[bytes], digest: Any) -> bool:
        """Write pieces out, some at a time. True: they came to their end."""
        batch: list[bytes] = []
        size = 0
        async with contextlib.aclosing(self._arriving(pieces)) as arriving:
            async for piece in arriving:
                if piece is None:
                    break
                if self.offset + size + len(piece) > self.upload.size:
                    raise Invalid(f"there is more than the {self.upload.size} bytes announced")
                if digest is not None:
                    digest.update(piece)
                batch.append(piece)
                size += len(piece)
                if size >= WRITE_BYTES:
                    await self._write(batch, size)
                    batch, size = [], 0
            else:
                await self._write(batch, size)
                return True
        await self._write(batch, size)
        return False

    async def _arriving(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes | None]:
        """Give pieces as they come; None if no more will, though they are not at their end."""
        leaving = asyncio.ensure_future(self.writer.leave.wait())
        try:
            while True:
                coming = asyncio.ensure_future(_next_of(pieces))
                done, _ = await asyncio.wait(
                    (coming, leaving),
                    timeout=STALL_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if coming not in done:
                    coming.cancel()
                    await asyncio.wait([coming])
                    yield None
                    return
                piece = coming.result()
                if piece is END:
                    return
                self.writer.active_at = time.monotonic()
                yield piece
                if piece is None:
                    return
        finally:
            leaving.cancel()

    async def _write(self, batch: list[bytes], size: int) -> None:
        if size:
            await in_thread(_write_at, self.descriptor, batch, self.offset)
            self.offset += size
            for piece in batch if self.running is not None else ():
                self.running.update(piece)

    async def _settle(self) -> None:
        """Bring what came safely to the disk, then say so."""
        await in_thread(_sync, self.descriptor)
        if self.running is not None:
            _hashes[self.upload.pk] = self.offset, self.running
            while len(_hashes) > MOST_HASHES:
                del _hashes[next(iter(_hashes))]
        rows = Upload.objects.filter(pk=self.upload.pk)
        await database.write(rows.update, offset=self.offset, expires_at=_expiry())

    # The end.

    async def finish(self) -> Finished:
        """Put a whole upload where it belongs, once. Raises what the place says."""
        upload = await database.read(find, self.upload.pk)
        place = await places.find(upload.place, upload.place_id)
        path = entries.join(upload.folder, upload.filename)
        if upload.finished_at is not None:
            return Finished(place, await place.find(path), is_new=False)
        if isinstance(place, DiskPlace):
            entry = await self._to_disk(place, path, upload)
        else:
            entry = await self._to_sandbox(place, path, upload)
        await _forget(upload.pk)
        return Finished(place, entry, is_new=True)

    async def _to_disk(self, place: DiskPlace, path: str, upload: Upload) -> Entry | None:
        """The store gets a second name of the file: the first stays until all is done."""
        taken, running = _hashes.pop(upload.pk, (-1, None))
        known = running.hexdigest() if running is not None and taken == upload.size else ""
        spool = await in_thread(Arrived, file_of(upload.pk), known)
        return await place.take(
            path,
            spool,
            on_conflict=OnConflict(upload.on_conflict),
            also=lambda entry: _finished(upload.pk, entry),
        )

    async def _to_sandbox(self, place: Place, path: str, upload: Upload) -> Entry | None:
        """Write it there, unless a try before this one did and could not note it down."""
        entry = await place.written(upload.pk)
        if entry is None:
            entry = await place.write(
                path,
                self._content(),
                size=upload.size,
                on_conflict=OnConflict(upload.on_conflict),
                key=upload.pk,
            )
        await database.write(_finished, upload.pk, entry)
        return entry

    async def _content(self) -> AsyncGenerator[bytes]:
        at = 0
        while piece := await in_thread(os.pread, self.descriptor, READ_BYTES, at):
            yield piece
            at += len(piece)


# What ends the pieces of a request.
END = object()


async def _next_of(pieces: AsyncIterator[bytes]) -> Any:
    """Return the next piece, END behind the last, None if the client went away."""
    try:
        return await anext(pieces)
    except StopAsyncIteration:
        return END
    except ConnectionError:
        return None


def _write_at(descriptor: int, batch: list[bytes], offset: int) -> None:
    with refusals():
        for piece in batch:
            view = memoryview(piece)
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written


def _sync(descriptor: int) -> None:
    with refusals():
        os.fsync(descriptor)


def _finished(upload_id: uuid.UUID, entry: Entry | None) -> None:
    changes: dict[str, Any] = {"finished_at": timezone.now()}
    if entry is not None:
        changes["filename"] = entry.name
    Upload.objects.filter(pk=upload_id).update(**changes)
