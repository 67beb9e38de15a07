"""What is in the way of a transfer before it begins: names that are taken at the target."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from disks.entries import Entry, join
from disks.jobs import Wish
from disks.places.base import Place
from project.errors import Forbidden, NotFound

# How many examples are told, and where the search for more ends.
EXAMPLES = 5
MOST_FOLDERS = 200
MOST_SECONDS = 5.0
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Example:
    """A name that is taken: what would come, and what is there."""

    path: str
    new: Entry
    old: Entry


@dataclass(slots=True)
class Collisions:
    """Names that are taken. `more`: not everything was looked at.

    `mixed`: how many are a file on one side and a folder on the other, which replace no other.
    """

    files: int = 0
    folders: int = 0
    mixed: int = 0
    more: bool = False
    examples: list[Example] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.files or self.folders)

    @property
    def may_replace(self) -> bool:
        """Is there anything that can be replaced?"""
        return self.more or self.files + self.folders > self.mixed

    def add(self, path: str, new: Entry, old: Entry) -> None:
        self.mixed += (new.kind == "folder") != (old.kind == "folder")
        if new.kind == old.kind == "folder":
            self.folders += 1
            return
        self.files += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(path, new, old))


async def find(wish: Wish) -> Collisions:
    """Return what a transfer would meet: folders of the same name, and files in them.

    Only folders that are on both sides are looked into.
    """
    found = Collisions()
    shared: list[str] = []
    until = time.monotonic() + MOST_SECONDS
    for name in wish.names:
        here = await _stat(wish.source, join(wish.source_folder, name))
        there = await _stat(wish.target, join(wish.target_folder, name))
        if here is not None and there is not None:
            _meet(found, shared, name, here, there)
    for number, folder in enumerate(shared):
        if number >= MOST_FOLDERS or time.monotonic() > until:
            found.more = True
            break
        await _look_into(wish, folder, found, shared)
    return found


async def _stat(place: Place, path: str) -> Entry | None:
    try:
        return await place.stat(path)
    except NotFound as refusal:
        if refusal.tag.startswith("sandbox_"):
            raise
        return None


def _meet(found: Collisions, shared: list[str], path: str, here: Entry, there: Entry) -> None:
    both_folders = here.kind == there.kind == "folder"
    found.add(path, here, there)
    if both_folders:
        shared.append(path)


async def _look_into(wish: Wish, folder: str, found: Collisions, shared: list[str]) -> None:
    """Compare a folder that is on both sides. What it finds to look into goes to `shared`."""
    try:
        source = await wish.source.listing(join(wish.source_folder, folder), limit=PAGE)
        target = await wish.target.listing(join(wish.target_folder, folder), limit=PAGE)
    except (Forbidden, NotFound) as refusal:
        if refusal.tag.startswith("sandbox_"):
            raise
        # The transfer tells of a folder that cannot be read.
        found.more = True
        return
    found.more = found.more or source.more or target.more
    there = {entry.name: entry for entry in target.entries}
    for entry in source.entries:
        if entry.name in there:
            _meet(found, shared, f"{folder}/{entry.name}", entry, there[entry.name])
