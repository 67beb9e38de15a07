"""Search on a disk: by name with a glob, by content with a regular expression. Time-boxed.

Globs: `**` crosses folders, `?` is one character, everything else stands for itself. A pattern
that starts with a slash is matched against the whole path, and its `*` stays within a folder.
Any other is matched against the path and the name alike, and its `*` crosses folders.

Contents: the `regex` module's dialect, without regard to case; `^` and `$` match at lines, and
`.` matches a line break.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import regex
from django.conf import settings
from django.db.models import Q

from disks import artifacts, blobs
from disks.content import is_readable, text_of
from disks.models import Artifact, Disk
from project import database
from project.errors import Invalid, Unprocessable

# Searches are work for the processor; more of them at once would only slow everything down.
THREADS = 2
BATCH = 200
MAX_PATTERN = 1000
GLOB_TOKEN = re.compile(r"\*\*/|\*+|\?|[^*?]+")

type Matches = Callable[[Artifact, float], bool]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="search")


def in_thread[T](function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """Run a function that searches where it holds nobody up."""
    return asyncio.get_running_loop().run_in_executor(_threads(), function, *arguments)


async def by_name(disk: Disk, pattern: str, limit: int) -> list[Artifact]:
    """Return files whose name or path fits a glob, by path. Raises Invalid, Unprocessable."""
    compiled = compile_glob(pattern)
    anchored = pattern.startswith("/")

    def fits(artifact: Artifact, seconds: float) -> bool:
        whole = f"{artifact.path}{artifact.filename}"
        subjects = (whole,) if anchored else (whole, whole[1:], artifact.filename)
        return any(
            compiled.fullmatch(s, timeout=seconds, concurrent=True) is not None for s in subjects
        )

    return await _search(disk, fits, limit)


async def by_content(disk: Disk, pattern: str, limit: int) -> list[Artifact]:
    """Return text files that a regular expression is found in, by path."""
    compiled = compile_pattern(pattern, regex.IGNORECASE | regex.MULTILINE | regex.DOTALL)

    def fits(artifact: Artifact, seconds: float) -> bool:
        if artifact.blob.size > settings.CONTENT_MAX_BYTES:
            return False
        if not is_readable(artifact.filename, artifact.mime):
            return False
        text = text_of(blobs.read_whole(artifact.blob), artifact.mime)
        return compiled.search(text, timeout=seconds, concurrent=True) is not None

    return await _search(disk, fits, limit)


def compile_glob(pattern: str, *, with_case: bool = True) -> regex.Pattern[str]:
    """Return a glob as a pattern for whole names and paths. Raises Invalid."""
    flags = regex.DOTALL if with_case else regex.DOTALL | regex.IGNORECASE
    return compile_pattern(_glob_to_regex(pattern), flags)


def compile_pattern(pattern: str, flags: int) -> regex.Pattern[str]:
    """Return a regular expression. Raises Invalid."""
    if not 0 < len(pattern) <= MAX_PATTERN:
        raise Invalid(f"query: must have 1 to {MAX_PATTERN} characters")
    try:
        return regex.compile(pattern, flags)
    except (regex.error, RecursionError, OverflowError) as error:
        raise Invalid(f"query: not a good pattern: {error}", tag="invalid_pattern") from error


def _glob_to_regex(pattern: str) -> str:
    crossing = not pattern.startswith("/")
    parts = []
    for piece in GLOB_TOKEN.findall(pattern):
        if piece == "**/":
            parts.append("(?:.*/)?")
        elif piece.startswith("*"):
            parts.append(".*" if crossing or len(piece) > 1 else "[^/]*")
        elif piece == "?":
            parts.append("." if crossing else "[^/]")
        else:
            parts.append(re.escape(piece))
    return "".join(parts)


async def _search(disk: Disk, matches: Matches, limit: int) -> list[Artifact]:
    deadline = time.monotonic() + settings.GREP_MAX_SECONDS
    found: list[Artifact] = []
    async for batch in _batches(disk):
        found += await in_thread(_matching, batch, matches, limit - len(found), deadline)
        if len(found) >= limit:
            break
    return found


def _matching(
    batch: list[Artifact], matches: Matches, limit: int, deadline: float
) -> list[Artifact]:
    found: list[Artifact] = []
    for artifact in batch:
        if len(found) >= limit:
            break
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            if matches(artifact, left):
                found.append(artifact)
        except TimeoutError:
            raise Unprocessable(
                f"the search took more than {settings.GREP_MAX_SECONDS:g} seconds;"
                " use a simpler pattern, or a lower limit",
                tag="search_timeout",
            ) from None
    return found


async def _batches(disk: Disk) -> AsyncGenerator[list[Artifact]]:
    after = ("", "")
    while batch := await database.read(_batch, disk, after):
        yield batch
        after = (batch[-1].path, batch[-1].filename)


def _batch(disk: Disk, after: tuple[str, str]) -> list[Artifact]:
    path, filename = after
    behind = Q(path__gt=path) | Q(path=path, filename__gt=filename)
    return list(artifacts.files(disk).select_related("blob").filter(behind)[:BATCH])
