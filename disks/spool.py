"""Bytes on their way into the store, in a file of their own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterable
from pathlib import Path
from typing import IO

from django.conf import settings

from disks.media import HEAD_BYTES
from disks.store import in_thread, refusals
from project.errors import TooLarge

# So many bytes are handed to a thread at once.
BATCH_BYTES = 4 * 1024 * 1024
WRITE_OUT_EVERY = 16 * 1024 * 1024


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


class Arrived:
    """A whole file as a spool, under a second name: the first stays whatever the store does."""

    def __init__(self, file: Path, sha256: str = "") -> None:
        """Read the file, for its hash if that is not known; blocks."""
        with refusals():
            self.path = file.with_name(f"{file.name}.{os.urandom(4).hex()}")
            os.link(file, self.path)
            with self.path.open("rb") as content:
                self.head = content.read(HEAD_BYTES)
                content.seek(0)
                self.sha256 = sha256 or hashlib.file_digest(content, "sha256").hexdigest()
                self.size = os.fstat(content.fileno()).st_size

    def discard(self) -> None:
        """Drop the second name, if the store has not taken it."""
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


def drop_old(seconds: float) -> None:
    """Drop what a crash left of uploads."""
    for path in Path(settings.SPOOL_DIR).iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()
