"""Many files as one zip, made while it is being sent.

The bytes of one file at a time are on their way; memory grows with the number of files only. What
cannot be read is left out, and a text at the end of the archive says so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from zipfile import ZIP_DEFLATED, ZIP_STORED

from zipstream import ZipStream

from disks import entries
from disks.entries import Entry
from disks.places.base import Place
from project.errors import NotFound, Refused

# What one archive holds at the most.
MOST = 20_000
THREADS = 4
# A quick compression: the network is seldom slower.
LEVEL = 1
# What is worth the time; most other files are compressed already.
PACKED = ("text/", "application/json", "application/x-ndjson", "application/xml", "image/svg")
LEFT_OUT = "LEFT OUT.txt"
# Names with this many characters in common may be the same once they are cut for a number.
ALIKE = 50
# What Windows takes for a drive, a folder, or nothing at all.
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')


@dataclass(frozen=True, slots=True)
class Member:
    """A file or folder, and its name in the archive."""

    entry: Entry
    name: str


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="zip")


async def members(place: Place, folder: str, names: Sequence[str]) -> list[Member]:
    """Return what an archive of a folder, or of some names in it, will hold.

    Raises NotFound, and Unprocessable for too many files.
    """
    tops = [entries.join(folder, name) for name in names] or [folder]
    # Several files stand at the top of the archive; the whole folder as its contents.
    root = folder
    found: list[Member] = []
    used = Names()
    for top in tops:
        async with aclosing(place.walk(top)) as walk:
            async for entry in walk:
                if entry.path == root and not entry.trouble:
                    continue
                if len(found) == MOST:
                    raise entries.too_many(MOST)
                inner = entry.path[len(root.rstrip("/")) :] or entry.name
                name = used.free(safe_name(inner))
                found.append(Member(entry, name))
    if not found and names:
        raise NotFound("there is nothing of that name")
    return found


def safe_name(path: str) -> str:
    """Return the name of a member: relative, with no part that leads out of a folder."""
    parts = []
    for part in entries.shown(path).split("/"):
        clean = UNSAFE.sub("_", part).rstrip(" .") if part.strip(" .") else "_" * len(part)
        if clean:
            parts.append(clean)
    return "/".join(parts) or "_"


class Names:
    """The names in an archive. Two may have become one, also where case does not count."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        # The last number given, for names that start alike: a long one is cut for its number,
        # so these may meet. Each number is tried once, however many names there are.
        self.numbers: dict[str, int] = {}

    def free(self, name: str) -> str:
        """Return a name, or one like it, that is from now on used."""
        parent, _, last = name.rpartition("/")
        alike = f"{parent}/{last[:ALIKE]}".casefold()
        free, number = name, self.numbers.get(alike, 1)
        while free.casefold() in self.used:
            number += 1
            numbered = entries.numbered(last, number)
            free = f"{parent}/{numbered}" if parent else numbered
            self.numbers[alike] = number
        self.used.add(free.casefold())
        return free


async def stream(place: Place, found: Sequence[Member]) -> AsyncGenerator[bytes]:
    """Give the bytes of the archive. A file that breaks off breaks the archive off."""
    archive = ZipStream(compress_type=ZIP_DEFLATED, compress_level=LEVEL)
    left_out: list[str] = []
    for member in found:
        async with aclosing(_packed(archive, place, member, left_out)) as chunks:
            async for chunk in chunks:
                yield chunk
    if left_out:
        used = Names()
        used.used.update(member.name.casefold() for member in found)
        archive.add("".join(left_out), used.free(LEFT_OUT))
    async with aclosing(_drawn(iter(archive))) as chunks:
        async for chunk in chunks:
            yield chunk


async def _packed(
    archive: ZipStream, place: Place, member: Member, left_out: list[str]
) -> AsyncGenerator[bytes]:
    entry = member.entry
    if entry.trouble:
        left_out.append(f"{member.name}: {entry.trouble}\n")
        return
    if entry.kind == "folder":
        archive.mkdir(member.name)
        async for chunk in _drawn(iter(archive.file())):
            yield chunk
        return
    if entry.kind != "file":
        left_out.append(f"{member.name}: {_why(entry)}\n")
        return
    try:
        now, content = await place.read(entry.path)
    except Refused as refusal:
        left_out.append(f"{member.name}: {refusal.message}\n")
        return
    async with aclosing(content) as source:
        pieces = _Pieces(source)
        archive.add(pieces, member.name, size=now.size, compress_type=_compression(entry))
        async for chunk in _drawn(iter(archive.file()), pieces):
            yield chunk


def _why(entry: Entry) -> str:
    return f"a link to {entries.shown(entry.target)}" if entry.kind == "link" else "no regular file"


def _compression(entry: Entry) -> int:
    mime = entry.mime or entries.guessed_mime(entry.name)
    return ZIP_DEFLATED if mime.startswith(PACKED) else ZIP_STORED


async def _drawn(chunks: Iterator[bytes], pieces: _Pieces | None = None) -> AsyncGenerator[bytes]:
    """Draw from the archive in a thread: compressing takes time.

    What it is made of is fetched before. A source that is slow holds no thread, which others need.
    """
    loop = asyncio.get_running_loop()
    while True:
        if pieces is not None:
            await pieces.fetch()
        drawing = loop.run_in_executor(_threads(), next, chunks, None)
        try:
            chunk = await asyncio.shield(drawing)
        finally:
            # Who leaves must not close what a thread is still reading.
            if not drawing.done():
                await asyncio.wait([drawing])
        if chunk is None:
            return
        if chunk:
            yield chunk


class _Pieces:
    """The bytes of a file for the archive, which takes one piece at most for each it gives."""

    def __init__(self, source: AsyncGenerator[bytes]) -> None:
        self._source = source
        # The next piece, once it is there; None: there is no more.
        self._at_hand: list[bytes | None] = []

    async def fetch(self) -> None:
        """Have the next piece at hand."""
        if not self._at_hand:
            self._at_hand.append(await anext(self._source, None))

    def __iter__(self) -> Iterator[bytes]:
        # A piece that is not there is an IndexError, and never taken for the end.
        while (piece := self._at_hand.pop()) is not None:
            yield piece
