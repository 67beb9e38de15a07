"""One run of a transfer: walks the source, streams each file to the target, and counts.

A file is whole at the target or not there. What is wrong with one file is remembered and the
others are copied; what is wrong with a place ends the run.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from disks.entries import Entry, is_spelled, join, parent_of, shown
from disks.models import OnConflict
from disks.models import Place as PlaceKind
from disks.places.base import Place
from project.errors import (
    Conflict,
    NoSpace,
    NotFound,
    Refused,
    TooLarge,
    Unavailable,
    Unprocessable,
)
from project.words import size as in_words

# So many of the files that were not copied are told by name.
MOST_PROBLEMS = 200
# Refusals with these tags are about a place, not about one of its files.
OF_A_PLACE = ("sandbox_", "disk_", "engine_")
# So long a run waits for a sandbox that is paused.
PAUSED_SECONDS = 3600.0
PAUSED = "Waiting: the sandbox is paused"
# A program in the sandbox may end our connection; it is opened again, and the step taken anew.
ATTEMPTS = 2
NOTICE_SECONDS = 2.0


def _is_set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class Progress:
    """How far a run is. Written by the run, read by whoever tells of it.

    `may_go` is the other way round: it is cleared while a sandbox is paused.
    """

    files_total: int = 0
    files_done: int = 0
    files_skipped: int = 0
    files_failed: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    current: str = ""
    problems: list[dict[str, str]] = field(default_factory=list)
    may_go: asyncio.Event = field(default_factory=_is_set)

    @property
    def handled(self) -> int:
        return self.files_done + self.files_skipped + self.files_failed

    def counts(self) -> dict[str, Any]:
        """Return the fields of a transfer's row that tell this."""
        return {
            "files_total": max(self.files_total, self.handled),
            "files_done": self.files_done,
            "files_skipped": self.files_skipped,
            "files_failed": self.files_failed,
            "bytes_total": self.bytes_total,
            "bytes_done": self.bytes_done,
            "current": self.current if self.may_go.is_set() else PAUSED,
            "problems": list(self.problems),
        }

    async def until_resumed(self) -> None:
        """Wait while a sandbox is paused. Raises Conflict if that takes too long."""
        try:
            async with asyncio.timeout(PAUSED_SECONDS):
                await self.may_go.wait()
        except TimeoutError:
            raise Conflict(
                "the sandbox was paused for too long", tag="sandbox_paused_too_long"
            ) from None

    def problem(self, path: str, why: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append({"path": shown(path), "why": shown(why)})


@dataclass(slots=True)
class Copying:
    """What to copy from where to where, and how far that is."""

    source: Place
    source_folder: str
    names: list[str]
    target: Place
    target_folder: str
    moves: bool
    on_conflict: OnConflict
    progress: Progress
    by: str
    # Files and bytes of each name, as they were counted.
    _counted: dict[str, tuple[int, int]] = field(default_factory=dict)

    async def run(self) -> None:
        """Copy or move everything. Raises the Refused that made it impossible to go on."""
        self.source.ask = self.target.ask = self._patiently
        for name in self.names:
            await self._count(name)
        for name in self.names:
            await self._take(name)
        self.progress.current = ""

    @property
    def within_one_place(self) -> bool:
        return (self.source.kind, self.source.id) == (self.target.kind, self.target.id)

    async def _count(self, name: str) -> None:
        """Learn how much there is, so that progress has an end."""
        files = size = 0
        with _of_one_file():
            async with aclosing(self.source.walk(join(self.source_folder, name))) as entries:
                async for entry in entries:
                    files += entry.kind != "folder" or bool(entry.trouble)
                    size += (entry.size or 0) if entry.kind == "file" else 0
        self._counted[name] = files, size
        self.progress.files_total += files
        self.progress.bytes_total += size

    async def _take(self, name: str) -> None:
        """Copy one of the chosen files and folders."""
        path = join(self.source_folder, name)
        handled = self.progress.handled
        try:
            entry = await self.source.stat(path)
            to = await self._landing(entry, join(self.target_folder, name))
            if entry.kind != "folder":
                await self._take_file(entry, to)
            elif self._not_text(entry):
                raise Unprocessable(self._not_text(entry))
            elif not await self._move_at_once(entry, to):
                await self._take_folder(entry, to)
        except Refused as refusal:
            _raise_if_of_a_place(refusal)
            expected = self._counted[name][0] + handled
            self.progress.files_failed += max(1, expected - self.progress.handled)
            self.progress.problem(path, refusal.message)

    async def _landing(self, entry: Entry, to: str) -> str:
        """Return where an entry goes; a folder that is to be kept beside another gets a new name."""
        if entry.kind != "folder" or self.on_conflict != OnConflict.RENAME:
            return to
        try:
            await self.target.stat(to)
        except NotFound as refusal:
            _raise_if_of_a_place(refusal)
            return to
        return await self.target.name_beside(to)

    async def _move_at_once(self, entry: Entry, to: str) -> bool:
        """Rename a whole folder, if it stays in its place and nothing is in its way."""
        if not (self.moves and self.within_one_place):
            return False
        try:
            await self.source.move(entry.path, to)
        except Conflict as refusal:
            _raise_if_of_a_place(refusal)
            return False
        files, size = self._counted[entry.name]
        self.progress.files_done += files
        self.progress.bytes_done += size
        return True

    async def _take_folder(self, folder: Entry, to: str) -> None:
        made: list[str] = []
        # Folders that did not come to the target. What is in them stays behind too.
        left: set[str] = set()
        async with aclosing(self.source.walk(folder.path)) as entries:
            async for entry in entries:
                landing = f"{to}{entry.path[len(folder.path) :]}"
                if parent_of(entry.path) in left:
                    self._leave(entry, left)
                elif entry.kind != "folder":
                    await self._take_file(entry, landing)
                elif await self._make_folder(entry, landing):
                    made.append(entry.path)
                else:
                    left.add(entry.path)
        if self.moves:
            await self._remove_empty(made)

    async def _make_folder(self, folder: Entry, to: str) -> bool:
        """Make a folder at the target, if it can be read and the target takes it."""
        why_not = folder.trouble or self._not_text(folder)
        try:
            if not why_not:
                await self.target.mkdir(to, exist_ok=True)
        except Refused as refusal:
            _raise_if_of_a_place(refusal)
            why_not = refusal.message
        if why_not:
            self.progress.files_failed += bool(folder.trouble)
            self.progress.problem(folder.path, why_not)
        return not why_not

    def _leave(self, entry: Entry, left: set[str]) -> None:
        """Count what is in a folder that stays behind; the folder itself was told of."""
        if entry.kind == "folder":
            left.add(entry.path)
        if entry.kind != "folder" or entry.trouble:
            self.progress.files_failed += 1
        self.progress.bytes_total -= (entry.size or 0) if entry.kind == "file" else 0

    async def _take_file(self, entry: Entry, to: str) -> None:
        """Copy one file, and remove it where it came from if it is to be moved."""
        progress = self.progress
        progress.current = shown(entry.path)
        before = progress.bytes_done
        size = entry.size or 0 if entry.kind == "file" else 0
        why_not = _why_not(entry) or self._not_text(entry)
        try:
            copied = not why_not and await self._copy(entry, to)
        except Refused as refusal:
            progress.bytes_done = before
            _raise_if_of_a_place(refusal)
            progress.files_failed += 1
            progress.problem(entry.path, refusal.message)
        else:
            if copied:
                progress.files_done += 1
            else:
                progress.files_skipped += 1
                progress.problem(entry.path, why_not or "a file of that name is there")
        # What was left out is not waited for; and a file may have grown since it was counted.
        progress.bytes_total += progress.bytes_done - before - size

    async def _copy(self, entry: Entry, to: str) -> bool:
        """Copy or move a file; False if it was left out because its name is taken."""
        if self.within_one_place:
            act = self.source.move if self.moves else self.source.copy
            done = await act(entry.path, to, self.on_conflict)
            self.progress.bytes_done += (entry.size or 0) if done else 0
            return done is not None
        copied = await self._stream(entry, to)
        if copied is None:
            return False
        if self.target.kind == PlaceKind.DISK:
            await self.source.note_copied(entry.path)
        if self.moves:
            # Only now: the copy is safe.
            await self._let_go(copied)
        return True

    async def _stream(self, entry: Entry, to: str) -> Entry | None:
        """Copy a file to another place. Return what was read, None if its name is taken."""
        before = self.progress.bytes_done
        key = uuid.uuid4()
        read: Entry | None = None

        async def step() -> Entry | None:
            nonlocal read
            self.progress.bytes_done = before
            if read is not None and await self.target.written(key) is not None:
                # All of it had arrived, and only the answer was lost.
                self.progress.bytes_done += read.size or 0
                return read
            read, chunks = await self.source.read(entry.path)
            async with aclosing(self._noted(chunks)) as noted:
                done = await self.target.write(
                    to, noted, size=read.size, on_conflict=self.on_conflict, like=read, key=key
                )
            return None if done is None else read

        return await self._patiently(step)

    async def _patiently[T](self, step: Callable[[], Awaitable[T]]) -> T:
        """Take a step; once more if the link broke, and as often as the sandbox is paused."""
        failures = 0
        while True:
            await self.progress.until_resumed()
            try:
                return await step()
            except Refused as refusal:
                # A paused sandbox lets every link stall; that says nothing about the step.
                failures += self.progress.may_go.is_set()
                if refusal.tag not in ("link_lost", "sandbox_paused") or failures == ATTEMPTS:
                    raise
                if refusal.tag == "sandbox_paused":
                    # Whoever looks after this copying notices the pause a moment later.
                    await asyncio.sleep(NOTICE_SECONDS)

    async def _let_go(self, copied: Entry) -> None:
        """Remove a file that was moved, if it is still what was copied. Raises Conflict."""
        try:
            now = await self.source.stat(copied.path)
            if (now.kind, now.etag) != (copied.kind, copied.etag):
                raise Conflict("it changed while it was copied; both are kept", tag="changed")
            await self.source.remove([copied.path], self.by)
        except NotFound as refusal:
            # Somebody was faster. It is at the target, and no longer here: that is a move.
            _raise_if_of_a_place(refusal)

    def _not_text(self, entry: Entry) -> str:
        """Say why a name cannot be that of something on a disk; empty if it can."""
        from_box_to_disk = (self.source.kind, self.target.kind) == (
            PlaceKind.SANDBOX,
            PlaceKind.DISK,
        )
        if from_box_to_disk and is_spelled(entry.name):
            return "its name is not text in UTF-8; give it another one first"
        return ""

    async def _noted(self, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Pass a file on, counted and up to the limit."""
        size = 0
        async with aclosing(chunks):
            async for chunk in chunks:
                size += len(chunk)
                if size > settings.TRANSFER_MAX_BYTES:
                    raise TooLarge(_too_large())
                self.progress.bytes_done += len(chunk)
                yield chunk

    async def _remove_empty(self, folders: list[str]) -> None:
        """Remove the moved folders, the innermost first. One that still holds something stays."""
        for folder in reversed(folders):
            with _of_one_file():
                below = await self.source.listing(folder, limit=1)
                if not below.entries:
                    await self.source.remove([folder], self.by)


@contextmanager
def _of_one_file() -> Iterator[None]:
    """Pass over what is wrong with a file or folder, but not what is wrong with a place."""
    try:
        yield
    except Refused as refusal:
        _raise_if_of_a_place(refusal)


def _raise_if_of_a_place(refusal: Refused) -> None:
    """Raise what makes every further file useless."""
    is_of_a_place = isinstance(refusal, NoSpace | Unavailable) or refusal.tag.startswith(OF_A_PLACE)
    if is_of_a_place:
        raise refusal


def _why_not(entry: Entry) -> str:
    """Say why a file is left out; empty if it is not."""
    if entry.kind == "link":
        return "it is a symbolic link"
    if entry.kind != "file":
        return "it is not a regular file"
    if (entry.size or 0) > settings.TRANSFER_MAX_BYTES:
        return _too_large()
    return ""


def _too_large() -> str:
    return f"it is larger than {in_words(settings.TRANSFER_MAX_BYTES)}, the most that is copied"
