"""What a place for files offers, whether it is a disk or a sandbox.

Every step is whole or not at all, as far as the place can do that; a folder that is moved onto
another is many steps. Paths are as in disks/entries.py, and always text: a name that is not UTF-8
comes as `entries.spelled` writes it, and is taken back so.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from typing import Any, Protocol

from disks.entries import PAGE, Entry, Listing
from disks.models import OnConflict
from project.errors import NotFound, Unprocessable

__all__ = ["Entry", "Listing", "Place"]


class Asking(Protocol):
    """A way to have a step taken, which may be to have it taken once more."""

    async def __call__[T](self, step: Callable[[], Awaitable[T]]) -> T: ...


async def _once[T](step: Callable[[], Awaitable[T]]) -> T:
    return await step()


class Place(ABC):
    """A tree of files. All methods raise Refused; Conflict has the tag `exists` or `changed`."""

    # One of models.Place.
    kind: str
    id: uuid.UUID
    name: str
    project_id: uuid.UUID
    # The folder that a browser opens first.
    start: str
    keeps_trash: bool
    # How a place asks for a step whose answer may be lost, other than reading or writing a file.
    ask: Asking = staticmethod(_once)

    @abstractmethod
    async def stat(self, path: str) -> Entry:
        """Return what is at a path; a link is described with what it leads to."""

    async def find(self, path: str) -> Entry | None:
        """Return what is at a path, as `stat` does; None for nothing."""
        try:
            return await self.stat(path)
        except NotFound:
            return None

    @abstractmethod
    async def listing(
        self,
        folder: str,
        *,
        sort: str = "name",
        descending: bool = False,
        offset: int = 0,
        limit: int = PAGE,
        hidden: bool = True,
        match: str = "",
    ) -> Listing:
        """Return a page of a folder, folders first. `match` is a part of the name."""

    @abstractmethod
    def walk(self, path: str) -> AsyncGenerator[Entry]:
        """Give what is at a path and everything below it, a folder before its contents.

        Links are given and not followed. A folder that cannot be looked into is given with the
        reason, as its `trouble`. Raises Unprocessable behind WALK_MOST entries.
        """

    @abstractmethod
    async def read(
        self, path: str, start: int = 0, end: int | None = None
    ) -> tuple[Entry, AsyncGenerator[bytes]]:
        """Open a file. Return what it is, and its bytes as a stream that is to be closed."""

    @abstractmethod
    async def write(
        self,
        path: str,
        chunks: AsyncIterable[bytes],
        *,
        size: int | None = None,
        on_conflict: OnConflict | None = OnConflict.REPLACE,
        expected_etag: str | None = None,
        like: Entry | None = None,
        key: uuid.UUID | None = None,
    ) -> Entry | None:
        """Write a file whole or not at all; folders on the way are made. None: it was skipped.

        `expected_etag` is that of the file which is to be replaced; empty: there must be none.
        No policy: a name that is taken is a Conflict. `like`: whose mode and time the file gets,
        where there are such. `key`: what `written` finds it by.
        """

    async def written(self, key: uuid.UUID) -> Entry | None:
        """Return the file that a write with this key made, if its answer can have been lost.

        None: there was no such write, as far as is known.
        """
        return None

    @abstractmethod
    async def mkdir(self, path: str, *, exist_ok: bool = False) -> Entry:
        """Make a folder and those on the way to it."""

    @abstractmethod
    async def move(self, path: str, to: str, on_conflict: OnConflict | None = None) -> Entry | None:
        """Give a file or folder another path. None: it was skipped.

        A folder that goes onto another is merged into it, file by file, and what was skipped stays
        behind; with RENAME it gets another name as a whole.
        """

    @abstractmethod
    async def copy(self, path: str, to: str, on_conflict: OnConflict | None = None) -> Entry | None:
        """Copy a file or folder, as `move` moves it."""

    @abstractmethod
    async def remove(self, paths: Sequence[str], by: str) -> str:
        """Remove files and folders. Return what undoes it; empty where nothing can."""

    @abstractmethod
    async def name_beside(self, path: str) -> str:
        """Return a path that is free, such as `/a/report (2).txt`."""

    @abstractmethod
    async def note_copied(self, path: str) -> None:
        """Remember that a file was copied from here to a disk, where such is remembered."""

    async def meta(self, path: str) -> dict[str, Any]:
        """Return what people and programs keep beside a file."""
        raise Unprocessable("only files on disks have metadata", tag="no_metadata")

    async def set_meta(self, path: str, meta: dict[str, Any]) -> Entry:
        raise Unprocessable("only files on disks have metadata", tag="no_metadata")
