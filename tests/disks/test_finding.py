"""A search by name holds nobody up, whatever the pattern and the names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from disks import entries, finding
from disks.entries import Entry
from disks.models import Disk
from disks.places.disk import DiskPlace
from project.errors import Refused

WISH = finding.Wish("/*a*a*a*a*a*b", "/")


class Many(DiskPlace):
    """A disk with paths that are given to it."""

    def __init__(self, disk: Disk, paths: list[str], refusal: Refused | None = None) -> None:
        super().__init__(disk)
        self.paths = paths
        self.refusal = refusal

    async def walk(self, path: str) -> AsyncGenerator[Entry]:
        yield Entry(path, entries.name_of(path), "folder")
        for each in self.paths:
            yield Entry(each, entries.name_of(each), "file")
        if self.refusal is not None:
            raise self.refusal


async def longest_pause(work: Any) -> float:
    """Return the longest time for which the event loop did nothing else."""
    longest, last = 0.0, time.monotonic()
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0.005)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    await task
    return longest


@pytest.mark.slow
async def test_a_slow_pattern_ends_in_time_and_blocks_nothing(disk: Disk, settings: Any) -> None:
    settings.GREP_MAX_SECONDS = 1.0
    place = Many(disk, [f"/{'a' * 2_500}{number}" for number in range(200)])
    began = time.monotonic()
    searching = asyncio.ensure_future(finding.find(place, WISH))

    pause = await longest_pause(searching)

    assert searching.result().stopped == "1 seconds"
    assert time.monotonic() - began < 3
    assert pause < 0.5


@pytest.mark.slow
async def test_what_was_found_until_then_is_the_answer(disk: Disk, settings: Any) -> None:
    settings.GREP_MAX_SECONDS = 1.0
    place = Many(disk, ["/aaaaab", *(f"/{'a' * 2_500}{number}" for number in range(200))])

    found = await finding.find(place, WISH)

    assert [result.path for result in found.results] == ["/aaaaab"]


async def test_what_came_before_too_many_is_searched(disk: Disk) -> None:
    refusal = entries.too_many(entries.WALK_MOST)
    found = await finding.find(Many(disk, ["/x"], refusal), finding.Wish("x", "/"))

    assert [result.path for result in found.results] == ["/x"]
    assert found.stopped == "100,000 files and folders"


def test_a_name_with_a_long_ending_gets_a_number() -> None:
    name = f"a.{'b' * 253}"

    assert len(entries.numbered(name, 2)) == entries.NAME_BYTES
    assert entries.numbered("report.txt", 2) == "report (2).txt"
    assert entries.numbered("a.tar.gz", 10) == "a (10).tar.gz"
