"""A disk as a place for files."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from functools import partial
from typing import Any

from django.conf import settings

from disks import artifacts, blobs, carrying, changes, entries, trash, tree
from disks.entries import Entry, Listing
from disks.media import detect
from disks.models import Artifact, Disk, OnConflict
from disks.places.base import Place
from disks.spool import Arrived, Spool, gather
from disks.store import in_thread
from project import database
from project.errors import Conflict, NotFound


class DiskPlace(Place):
    """The files of a disk. What is removed goes to its trash."""

    kind = "disk"
    start = "/"
    keeps_trash = True

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.id = disk.pk
        self.name = str(disk)
        self.project_id = disk.project_id

    async def stat(self, path: str) -> Entry:
        return await database.read(tree.stat, self.id, path)

    async def listing(
        self,
        folder: str,
        *,
        sort: str = "name",
        descending: bool = False,
        offset: int = 0,
        limit: int = entries.PAGE,
        hidden: bool = True,
        match: str = "",
    ) -> Listing:
        return await database.read(
            tree.listing,
            self.id,
            folder,
            sort=sort,
            descending=descending,
            offset=offset,
            limit=limit,
            hidden=hidden,
            match=match,
        )

    async def walk(self, path: str) -> AsyncGenerator[Entry]:
        top = await self.stat(path)
        yield top
        if top.kind != "folder":
            return
        root = tree.inside(top.path)
        given = {root}
        met = 0
        after: tuple[str, str] | None = None
        while rows := await database.read(tree.rows_after, self.id, root, after):
            for row in rows:
                for entry in _entries_of(row, given):
                    met += 1
                    if met > entries.WALK_MOST:
                        raise entries.too_many(entries.WALK_MOST)
                    yield entry
            after = rows[-1].path, rows[-1].filename

    async def read(
        self, path: str, start: int = 0, end: int | None = None
    ) -> tuple[Entry, AsyncGenerator[bytes]]:
        artifact = await database.read(self._file, path)
        end = artifact.blob.size if end is None else min(end, artifact.blob.size)
        return tree.file_entry(artifact), blobs.read(artifact.blob, start, end)

    def _file(self, path: str) -> Artifact:
        clean = entries.clean(path)
        artifact = tree.find_file(self.id, clean)
        if artifact is not None:
            return artifact
        if tree.is_folder(self.id, clean):
            raise Conflict("it is a folder", tag="is_a_directory")
        raise NotFound(f"there is no {clean} on this disk", tag="file_not_found")

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
        clean = entries.clean(path)
        tree.split(clean)
        spool = await gather(chunks, settings.TRANSFER_MAX_BYTES)
        if size is not None and spool.size != size:
            await in_thread(spool.discard)
            raise Conflict(f"{spool.size} bytes came, {size} were meant", tag="changed")
        return await self.take(clean, spool, on_conflict=on_conflict, expected_etag=expected_etag)

    async def take(
        self,
        path: str,
        spool: Spool | Arrived,
        *,
        on_conflict: OnConflict | None,
        expected_etag: str | None = None,
        also: Callable[[Entry | None], None] | None = None,
    ) -> Entry | None:
        """Make a spool a file; in the same transaction do something `also`."""
        mime = detect(spool.head, entries.name_of(path), whole=spool.size == len(spool.head))
        blob = await blobs.store(self.project_id, spool)
        put = partial(changes.put, self.id, path, mime, blob, on_conflict, expected_etag, also)
        return await database.write(put)

    async def mkdir(self, path: str, *, exist_ok: bool = False) -> Entry:
        clean = entries.clean(path)
        tree.split(clean)
        empty = await blobs.empty(self.project_id)
        make = partial(changes.mkdir, self.id, clean, empty, exist_ok=exist_ok)
        return await database.write(make)

    async def move(self, path: str, to: str, on_conflict: OnConflict | None = None) -> Entry | None:
        target = entries.clean(to)
        empty = await blobs.empty(self.project_id)
        now = await database.write(carrying.move, self.id, path, target, on_conflict, empty)
        return None if now is None else await self.stat(now)

    async def copy(self, path: str, to: str, on_conflict: OnConflict | None = None) -> Entry | None:
        target = entries.clean(to)
        now = await database.write(carrying.copy, self.id, path, target, on_conflict)
        return None if now is None else await self.stat(now)

    async def remove(self, paths: Sequence[str], by: str) -> str:
        empty = await blobs.empty(self.project_id)
        return str(await trash.put(self.id, paths, by, empty))

    async def note_copied(self, path: str) -> None:
        """Nothing: only what a sandbox made is remembered."""

    async def name_beside(self, path: str) -> str:
        return await database.read(tree.free_beside, self.id, entries.clean(path))

    async def meta(self, path: str) -> dict[str, Any]:
        return dict((await database.read(self._file, path)).meta)

    async def set_meta(self, path: str, meta: dict[str, Any]) -> Entry:
        artifact = await database.write(artifacts.describe, self.disk, entries.clean(path), meta)
        return tree.file_entry(artifact)


def _entries_of(row: Artifact, given: set[str]) -> list[Entry]:
    """Return the entry of a row, behind those of its folders that were not given yet."""
    found = []
    folder = row.path
    while folder not in given:
        given.add(folder)
        path = folder.rstrip("/")
        found.append(Entry(path, entries.name_of(path), "folder"))
        folder = tree.inside(entries.parent_of(path))
    found.reverse()
    if row.filename:
        found.append(tree.file_entry(row))
    return found
