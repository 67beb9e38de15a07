"""A running sandbox as a place for files. Everything happens there as its own user."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from disks import entries
from disks.entries import Entry, Kind, Listing, unspelled
from disks.models import OnConflict
from disks.places.base import Place
from project import database
from project.errors import Conflict, NotFound, Refused, Unprocessable
from sandboxes import files, history
from sandboxes.access import require_running
from sandboxes.guest.link import FileStat
from sandboxes.models import Sandbox

KINDS: dict[str, Kind] = {"file": "file", "directory": "folder", "symlink": "link"}
GUEST_PAGE = 1000
# How far a filter looks through one folder.
SCAN_MOST = entries.WALK_MOST
# How many links are followed at once.
PARALLEL = 20
# Refusals with these tags are about one folder, and a walk goes on with the next.
OF_A_FOLDER = frozenset({"permission_denied", "not_found", "not_a_directory", "invalid", "failed"})
# What the kernel makes up as one looks: it has no end, and a copy of it says nothing.
MADE_UP = frozenset({"/proc", "/sys"})
# No file becomes one that runs as its owner by being copied.
PERMISSIONS = 0o777


class SandboxPlace(Place):
    """The whole tree of a running sandbox. What is removed is gone."""

    kind = "sandbox"
    start = "/workspace"
    keeps_trash = False

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.id = sandbox.pk
        self.name = str(sandbox)
        self.project_id = sandbox.project_id

    def _path(self, path: str) -> str:
        """Return a path of a box that can be asked. Raises the refusal that fits."""
        require_running(self.sandbox)
        return entries.clean(path)

    async def stat(self, path: str) -> Entry:
        return await self._followed(await self._stat(self._path(path)))

    async def _stat(self, path: str, *, follow: bool = False) -> Entry:
        """Return what is at a path; a link as a link, unless it is to be followed."""
        stat = partial(files.stat, self.sandbox, unspelled(path), follow=follow)
        return _entry(await self.ask(stat))

    async def _followed(self, entry: Entry) -> Entry:
        """Add to a link what it leads to."""
        if entry.kind != "link":
            return entry
        try:
            there = await self._stat(entry.path, follow=True)
        except Refused:
            return entry
        if there.kind == "link":
            return entry
        return replace(
            entry,
            leads_to=there.kind,
            size=there.size,
            modified=there.modified,
            etag=there.etag,
            mime=there.mime,
        )

    async def _lstat(self, path: str) -> Entry | None:
        try:
            return await self._stat(path)
        except NotFound:
            return None

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
        path = self._path(folder)
        found: list[Entry] = []
        cut = False
        scanned = 0
        async for entry in self._entries(path):
            scanned += 1
            if len(found) == entries.LISTING_MOST or scanned > SCAN_MOST:
                cut = True
                break
            if match.casefold() in entry.name.casefold() and (
                hidden or not entry.name.startswith(".")
            ):
                found.append(entry)
        _sort(found, sort, descending=descending)
        page = found[offset : offset + limit]
        return Listing(
            await self._all_followed(page),
            None if cut else len(found),
            len(found) > offset + len(page),
            cut,
        )

    async def _all_followed(self, page: list[Entry]) -> list[Entry]:
        places = asyncio.Semaphore(PARALLEL)

        async def follow(entry: Entry) -> Entry:
            async with places:
                return await self._followed(entry)

        return await asyncio.gather(*map(follow, page))

    async def _entries(self, path: str) -> AsyncGenerator[Entry]:
        """Give the entries of a folder, by name."""
        folder = unspelled(path)
        after: str | None = ""
        while after is not None:
            look = partial(files.listing, self.sandbox, folder, after=after, limit=GUEST_PAGE)
            page, after = await self.ask(look)
            for stat in page:
                yield _entry(stat)

    async def walk(self, path: str) -> AsyncGenerator[Entry]:
        top, inside = await self._looked_into(await self._stat(self._path(path)))
        yield top
        met = 0
        # Each folder on the way with what is left in it: as deep as the tree, not as wide.
        way = [inside]
        while way:
            entry = await anext(way[-1], None)
            if entry is None:
                way.pop()
                continue
            met += 1
            if met > entries.WALK_MOST:
                raise entries.too_many(entries.WALK_MOST)
            if entry.path in MADE_UP:
                yield replace(entry, trouble="it holds no files, but what the kernel tells")
                continue
            entry, inside = await self._looked_into(entry)
            yield entry
            way.append(inside)

    async def _looked_into(self, entry: Entry) -> tuple[Entry, AsyncGenerator[Entry]]:
        """Begin to read a folder. Return it, with its trouble if it has any, and what is in it."""
        if entry.kind != "folder":
            return entry, _behind(None)
        inside = self._entries(entry.path)
        try:
            first = await anext(inside, None)
        except Refused as refusal:
            if refusal.tag not in OF_A_FOLDER:
                raise
            trouble = refusal.message.removeprefix(f"{entries.shown(entry.path)}: ")
            return replace(entry, trouble=trouble), inside
        return entry, _behind(first, inside)

    async def read(
        self, path: str, start: int = 0, end: int | None = None
    ) -> tuple[Entry, AsyncGenerator[bytes]]:
        require_running(self.sandbox)
        stat, chunks = await files.read(self.sandbox, unspelled(path), start, end)
        return _entry(stat), chunks

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
        clean = self._path(path)
        target: str | None = clean
        if expected_etag:
            await self._check_unchanged(clean, expected_etag)
            on_conflict = OnConflict.REPLACE
        elif expected_etag == "":
            on_conflict = None
        if on_conflict in (OnConflict.SKIP, OnConflict.RENAME):
            target = await self._free(clean, on_conflict)
        if target is None:
            return None
        stat = await files.write(
            self.sandbox,
            unspelled(target),
            chunks,
            size=size,
            overwrite=on_conflict == OnConflict.REPLACE,
            key=None if key is None else key.hex,
            **_looks(like),
        )
        return _entry(stat)

    async def written(self, key: uuid.UUID) -> Entry | None:
        require_running(self.sandbox)
        stat = await files.written(self.sandbox, key.hex)
        return None if stat is None else _entry(stat)

    async def _check_unchanged(self, path: str, expected_etag: str) -> None:
        """Raise Conflict unless a file is as it was. Who writes at this very moment is missed."""
        try:
            entry = await self.stat(path)
        except NotFound:
            entry = None
        if entry is None or entry.etag != expected_etag:
            raise Conflict(
                f"the file {entries.name_of(path)} has changed since it was opened", tag="changed"
            )
        if entry.kind == "link":
            raise Unprocessable(
                f"this is a link; open {entry.target} itself to change it", tag="is_a_link"
            )

    async def _free(self, path: str, on_conflict: OnConflict) -> str | None:
        """Return where something may go without replacing anything; None: nowhere."""
        if await self._lstat(path) is None:
            return path
        return None if on_conflict == OnConflict.SKIP else await self.name_beside(path)

    async def mkdir(self, path: str, *, exist_ok: bool = False) -> Entry:
        return await self._mkdir(self._path(path), exist_ok=exist_ok)

    async def _mkdir(self, path: str, *, exist_ok: bool) -> Entry:
        make = partial(files.mkdir, self.sandbox, unspelled(path), exist_ok=exist_ok)
        return _entry(await self.ask(make))

    async def move(self, path: str, to: str, on_conflict: OnConflict | None = None) -> Entry | None:
        return await self._carry(path, to, on_conflict, moves=True)

    async def copy(self, path: str, to: str, on_conflict: OnConflict | None = None) -> Entry | None:
        return await self._carry(path, to, on_conflict, moves=False)

    async def _carry(
        self, path: str, to: str, on_conflict: OnConflict | None, *, moves: bool
    ) -> Entry | None:
        source, target = self._path(path), self._path(to)
        entries.check_apart(source, target)
        what = await self._stat(source)
        there = await self._lstat(target)
        if there is None:
            await self._mkdir(entries.parent_of(target), exist_ok=True)
            return await self._step(what, target, moves=moves)
        if on_conflict == OnConflict.RENAME:
            beside = await self._beside(target, is_folder=what.kind == "folder")
            return await self._step(what, beside, moves=moves)
        if on_conflict is not None and what.kind == there.kind == "folder":
            await self._merge(source, target, on_conflict, moves=moves)
            return await self.stat(target)
        if on_conflict == OnConflict.SKIP:
            return None
        if on_conflict is None or "folder" in (what.kind, there.kind):
            raise entries.taken(target, "a folder" if there.kind == "folder" else "a file")
        return await self._step(what, target, moves=moves, overwrite=True)

    async def _step(
        self, what: Entry, target: str, *, moves: bool, overwrite: bool = False
    ) -> Entry:
        step = files.move if moves else files.copy
        source, to = unspelled(what.path), unspelled(target)

        async def is_there() -> bool:
            there = await self._lstat(target)
            return there is not None and (there.kind, there.etag) == (what.kind, what.etag)

        await self._change(partial(step, self.sandbox, source, to, overwrite=overwrite), is_there)
        return await self.stat(target)

    async def _change(
        self, change: Callable[[], Awaitable[object]], is_done: Callable[[], Awaitable[bool]]
    ) -> None:
        """Ask for a change that cannot be made twice.

        If it is asked for again, a refusal may only mean that it was made the first time.
        """
        is_first = True

        async def step() -> None:
            nonlocal is_first
            was_first, is_first = is_first, False
            try:
                await change()
            except Refused as refusal:
                may_be_done = not was_first and refusal.tag in ("not_found", "exists")
                if not (may_be_done and await is_done()):
                    raise

        await self.ask(step)

    async def _merge(
        self, source: str, target: str, on_conflict: OnConflict, *, moves: bool
    ) -> None:
        """Bring what is in a folder into another one; what is left of the source stays."""
        async for entry in self._entries(source):
            inner = entries.join(target, entries.name_of(entry.path))
            await self._carry(entry.path, inner, on_conflict, moves=moves)
        if moves:
            try:
                await self._remove(source)
            except Conflict:
                # Something was skipped.
                return

    async def remove(self, paths: Sequence[str], by: str) -> str:
        clean = [self._path(path) for path in paths]
        if "/" in clean:
            raise Conflict("the root folder stays", tag="root_folder")
        stay: list[Refused] = []
        for path in clean:
            try:
                await self._remove(path, recursive=True)
            except Refused as refusal:
                if refusal.tag not in OF_A_FOLDER:
                    raise
                stay.append(refusal)
        if stay:
            if len(clean) > 1:
                stay[0].message += f"; {len(clean) - len(stay)} of {len(clean)} are removed"
            raise stay[0]
        return ""

    async def _remove(self, path: str, *, recursive: bool = False) -> None:
        async def is_gone() -> bool:
            return await self._lstat(path) is None

        remove = partial(files.remove, self.sandbox, unspelled(path), recursive=recursive)
        await self._change(remove, is_gone)

    async def note_copied(self, path: str) -> None:
        await database.note(history.note_generated_file, self.sandbox, path)

    async def name_beside(self, path: str) -> str:
        return await self._beside(self._path(path), is_folder=False)

    async def _beside(self, path: str, *, is_folder: bool) -> str:
        parent, name = entries.parent_of(path), entries.name_of(path)
        for number in range(2, entries.NAMES_TRIED):
            candidate = entries.join(parent, entries.numbered(name, number, is_folder=is_folder))
            if await self._lstat(candidate) is None:
                return candidate
        raise Conflict(f"there are too many files named like {name}", tag="exists")


async def _behind(
    first: Entry | None, rest: AsyncGenerator[Entry] | None = None
) -> AsyncGenerator[Entry]:
    if first is not None:
        yield first
    if rest is not None:
        async for entry in rest:
            yield entry


def _looks(like: Entry | None) -> dict[str, Any]:
    """Return what the guest is told, so that a file gets the mode and the time of another.

    Only what was in a box has a mode; the rest is as new files are.
    """
    if like is None or like.mode is None:
        return {}
    modified = like.modified.timestamp() if like.modified else None
    return {"mode": like.mode & PERMISSIONS, "modified": modified}


def _entry(stat: FileStat) -> Entry:
    path = entries.spelled(stat.path.rstrip("/") or "/")
    kind = KINDS.get(stat.kind, "other")
    is_file = kind == "file"
    return Entry(
        path=path,
        name=entries.name_of(path),
        kind=kind,
        size=stat.size if is_file else None,
        modified=_moment(stat.modified),
        mode=stat.mode,
        target=entries.shown(stat.target or ""),
        etag=f"{stat.size:x}-{int(stat.modified * 1e6):x}" if is_file else "",
        mime=entries.guessed_mime(stat.name) if is_file else "",
    )


def _moment(seconds: float) -> datetime | None:
    """The guest may say anything."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _sort(found: list[Entry], sort: str, *, descending: bool) -> None:
    """Sort in place; folders stay first."""

    def key(entry: Entry) -> tuple[float | str, str, str]:
        first: float | str = 0
        if sort == "size":
            first = entry.size or 0
        elif sort == "modified":
            first = entry.modified.timestamp() if entry.modified else 0
        elif sort == "kind":
            first = entry.mime
        return first, entry.name.casefold(), entry.name

    found.sort(key=key, reverse=descending)
    found.sort(key=lambda entry: entry.kind != "folder")
