"""Search in a place, as people do: by name with a glob, by content with line hits. Time-boxed.

A pattern with a slash is about paths, one without about names; a word without wildcards is a part
of them. One that starts with a slash is about whole paths, and `*` stays within a folder.

What was found until the time was over, or until there was enough, is the answer, and it says so.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

import regex
from django.conf import settings

from disks import entries, media, search
from disks.content import is_readable, text_of
from disks.entries import Entry
from disks.places.base import Place
from project.errors import Refused

MOST_HITS = 1_000
HITS_OF_A_FILE = 100
# Of a long line so much is shown, and so much of it before the hit.
LINE_CHARACTERS = 240
BEFORE = 60
# So many names are matched at once, or what came in so many seconds.
BATCH_NAMES = 200
BATCH_SECONDS = 0.1
# Threads end by themselves when the time is over; for what they have found is waited so long.
GRACE_SECONDS = 0.5
# So many files are read at once, and so many bytes of them.
BATCH_FILES = 16
BATCH_BYTES = 16 * 1024 * 1024
WILDCARDS = re.compile(r"[*?]")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for, and where."""

    query: str
    folder: str
    in_content: bool = False
    with_case: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A line, and where in it the hit is, in the units that JavaScript counts."""

    line: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Result:
    path: str
    name: str
    kind: str
    size: int | None
    modified: datetime | None
    hits: list[Hit] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """What was found. `stopped` says why the search ended before it was through.

    `unreadable`: how many folders could not be looked into.
    """

    results: list[Result] = field(default_factory=list)
    hits: int = 0
    searched: int = 0
    unreadable: int = 0
    stopped: str = ""

    @property
    def is_enough(self) -> bool:
        return self.hits >= MOST_HITS


async def find(place: Place, wish: Wish) -> Found:
    """Search a folder with all below it. Raises Invalid for a bad pattern, and NotFound."""
    found = Found()
    look = _by_content if wish.in_content else _by_name
    try:
        async with asyncio.timeout(settings.GREP_MAX_SECONDS + GRACE_SECONDS):
            await look(place, wish, found)
    except TimeoutError:
        found.stopped = f"{settings.GREP_MAX_SECONDS:g} seconds"
    except Refused as refusal:
        if refusal.tag != "too_many_entries":
            raise
        found.stopped = f"{entries.WALK_MOST:,} files and folders"
    if found.is_enough:
        found.stopped = f"{MOST_HITS:,} hits"
    return found


async def _by_name(place: Place, wish: Wish, found: Found) -> None:
    pattern = wish.query if WILDCARDS.search(wish.query) else f"*{wish.query}*"
    compiled = search.compile_glob(pattern, with_case=wish.with_case)
    deadline = time.monotonic() + settings.GREP_MAX_SECONDS
    async with aclosing(_named(place, wish.folder, found)) as batches:
        async for batch in batches:
            found.searched += len(batch)
            subjects = [_subject(entry, wish) for entry in batch]
            room = MOST_HITS - found.hits
            fitting: list[int] = []
            try:
                in_time = await search.in_thread(
                    _match, compiled, subjects, fitting, room, deadline
                )
            finally:
                # Also what was found before a thread that is not waited for any longer.
                results = [_result(batch[index], []) for index in tuple(fitting)]
                found.results += results
                found.hits += len(results)
            if not in_time:
                raise TimeoutError
            if found.is_enough:
                return


def _subject(entry: Entry, wish: Wish) -> str:
    """Return what of an entry a pattern is about: its whole path, the inner one, or its name."""
    if wish.query.startswith("/"):
        return entry.path
    inner = entry.path[len(wish.folder.rstrip("/")) + 1 :]
    return inner if "/" in wish.query else entry.name


def _match(
    compiled: regex.Pattern[str],
    subjects: list[str],
    fitting: list[int],
    most: int,
    deadline: float,
) -> bool:
    """Add to `fitting` which texts fit, the first of them; False if the time was over before."""
    for index, subject in enumerate(subjects):
        if len(fitting) == most:
            break
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            if compiled.fullmatch(subject, timeout=left, concurrent=True):
                fitting.append(index)
        except TimeoutError:
            return False
    return True


async def _walked(place: Place, folder: str, found: Found) -> AsyncGenerator[Entry]:
    """Walk through a folder, and count what in it could not be looked into."""
    async with aclosing(place.walk(folder)) as walk:
        async for entry in walk:
            found.unreadable += bool(entry.trouble)
            yield entry


async def _named(place: Place, folder: str, found: Found) -> AsyncGenerator[list[Entry]]:
    """Give what is below a folder, some at a time; also what came before a refusal."""
    batch: list[Entry] = []
    began = time.monotonic()
    try:
        async with aclosing(_walked(place, folder, found)) as walk:
            async for entry in walk:
                if entry.path != folder:
                    batch.append(entry)
                if len(batch) >= BATCH_NAMES or time.monotonic() - began > BATCH_SECONDS:
                    yield batch
                    batch, began = [], time.monotonic()
    except Refused:
        yield batch
        raise
    yield batch


def _result(entry: Entry, hits: list[Hit]) -> Result:
    return Result(
        entry.path,
        entry.name,
        entry.kind,
        entry.size,
        entry.modified,
        hits,
    )


async def _by_content(place: Place, wish: Wish, found: Found) -> None:
    flags = regex.MULTILINE if wish.with_case else regex.MULTILINE | regex.IGNORECASE
    compiled = search.compile_pattern(wish.query, flags)
    deadline = time.monotonic() + settings.GREP_MAX_SECONDS
    async with aclosing(_batches(place, wish.folder, found)) as batches:
        async for batch in batches:
            texts = await asyncio.gather(*(_text(place, entry) for entry in batch))
            for entry, text in zip(batch, texts, strict=True):
                if text is None:
                    continue
                found.searched += 1
                room = min(HITS_OF_A_FILE, MOST_HITS - found.hits)
                hits = await search.in_thread(_hits, compiled, text, room, deadline)
                if hits:
                    found.results.append(_result(entry, hits))
                    found.hits += len(hits)
                if found.is_enough:
                    return


async def _batches(place: Place, folder: str, found: Found) -> AsyncGenerator[list[Entry]]:
    """Give the files that may be text, some at a time."""
    batch: list[Entry] = []
    size = 0
    async with aclosing(_walked(place, folder, found)) as walk:
        async for entry in walk:
            if not _may_be_text(place, entry):
                continue
            batch.append(entry)
            size += entry.size or 0
            if len(batch) == BATCH_FILES or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _may_be_text(place: Place, entry: Entry) -> bool:
    if entry.kind != "file" or not 0 < (entry.size or 0) <= settings.CONTENT_MAX_BYTES:
        return False
    if place.kind == "disk":
        return is_readable(entry.name, entry.mime)
    # Only its name is known; what is inside is looked at when it is there.
    return not entry.mime.startswith(("image/", "audio/", "video/", "font/"))


async def _text(place: Place, entry: Entry) -> str | None:
    """Return the text of a file; None if it has none, or cannot be read."""
    data = bytearray()
    try:
        _, chunks = await place.read(entry.path)
        async with aclosing(chunks) as stream:
            async for chunk in stream:
                data += chunk
                if len(data) > settings.CONTENT_MAX_BYTES or _is_binary(data):
                    return None
    except Refused:
        # Files come and go in a running box, and some are not for its user.
        return None
    mime = entry.mime if place.kind == "disk" else media.UNKNOWN
    return text_of(bytes(data), mime)


def _is_binary(data: bytearray) -> bool:
    return data.find(0, 0, 8192) >= 0 and not data.startswith((b"\xff\xfe", b"\xfe\xff"))


def _hits(compiled: regex.Pattern[str], text: str, most: int, deadline: float) -> list[Hit]:
    """Return the first hit of each line that has one. Raises TimeoutError."""
    hits: list[Hit] = []
    position, line, counted = 0, 1, 0
    while position <= len(text) and len(hits) < most:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        match = compiled.search(text, position, timeout=left, concurrent=True)
        if match is None:
            break
        line += text.count("\n", counted, match.start())
        counted = match.start()
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.start())
        end = len(text) if end < 0 else end
        hits.append(_hit(line, text[start:end], match.start() - start, match.end() - start))
        position = end + 1
    return hits


def _hit(line: int, text: str, start: int, end: int) -> Hit:
    """Cut a long line around its hit."""
    text = text.rstrip("\r")
    first = max(0, start - BEFORE) if len(text) > LINE_CHARACTERS else 0
    shown = text[first : first + LINE_CHARACTERS]
    start, end = start - first, min(end - first, len(shown))
    return Hit(line, shown, _units(shown[:start]), _units(shown[: max(start, end)]))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2
