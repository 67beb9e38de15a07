"""Search by name and by content."""

from __future__ import annotations

import time
from typing import Any

import pytest

from disks import search
from disks.models import Disk
from project.errors import Invalid, Unprocessable
from tests.disks.conftest import Put

FILES = ("/main.py", "/src/b_c.py", "/src/bxc.py", "/s/d/deep.py", "/100%.txt", "/a[1].txt")


@pytest.fixture
async def tree(put: Put, disk: Disk) -> Disk:
    for path in FILES:
        await put(path, f"file {path}\n".encode())
    return disk


async def names(disk: Disk, pattern: str) -> list[str]:
    return [str(found) for found in await search.by_name(disk, pattern, 100)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", ["/main.py", "/s/d/deep.py", "/src/b_c.py", "/src/bxc.py"]),
        ("**/*.py", ["/main.py", "/s/d/deep.py", "/src/b_c.py", "/src/bxc.py"]),
        ("/src/*.py", ["/src/b_c.py", "/src/bxc.py"]),
        ("src/*.py", ["/src/b_c.py", "/src/bxc.py"]),
        ("/s/*.py", []),
        ("/s/**/*.py", ["/s/d/deep.py"]),
        ("/**/*.py", ["/main.py", "/s/d/deep.py", "/src/b_c.py", "/src/bxc.py"]),
        ("/s/**", ["/s/d/deep.py"]),
        ("/src/b_c.py", ["/src/b_c.py"]),
        ("/?ain.py", ["/main.py"]),
        ("?ain.py", ["/main.py"]),
        ("100%.txt", ["/100%.txt"]),
        ("a[1].txt", ["/a[1].txt"]),
        ("MAIN.PY", []),
        ("main.py\\", []),
    ],
)
async def test_a_glob_finds_names(tree: Disk, pattern: str, found: list[str]) -> None:
    assert await names(tree, pattern) == found


async def contents(disk: Disk, pattern: str) -> list[str]:
    return [str(found) for found in await search.by_content(disk, pattern, 100)]


async def test_contents_are_searched_without_regard_to_case(put: Put, disk: Disk) -> None:
    await put("/b.txt", b"one\nTWO words\nthree")
    await put("/a.py", b"two = 2")
    await put("/c.png", b"\x89PNG\r\n\x1a\n\x00two")
    assert await contents(disk, "two") == ["/a.py", "/b.txt"]
    assert await contents(disk, "^two words$") == ["/b.txt"]
    assert await contents(disk, "one.two") == ["/b.txt"]
    assert await contents(disk, r"\btwo\b\s=") == ["/a.py"]


async def test_a_search_ends_at_its_limit(tree: Disk) -> None:
    assert len(await search.by_content(tree, "file", 2)) == 2
    assert len(await search.by_name(tree, "*", 3)) == 3


@pytest.mark.parametrize("pattern", ["(", "[", "a{2,1}", "(?P<n", "x" * 1001])
async def test_a_bad_pattern_is_refused(disk: Disk, pattern: str) -> None:
    with pytest.raises(Invalid, match="query"):
        await search.by_content(disk, pattern, 100)


async def test_a_pattern_that_would_take_for_ever_is_stopped(
    put: Put, disk: Disk, settings: Any
) -> None:
    settings.GREP_MAX_SECONDS = 0.3
    await put("/a.txt", b"a" * 5000)
    began = time.monotonic()
    with pytest.raises(Unprocessable, match="seconds"):
        await search.by_content(disk, r"(a|a|b?)+\d(a|aa)+$", 100)
    assert time.monotonic() - began < 5


async def test_a_file_over_the_limit_is_not_read(put: Put, disk: Disk, settings: Any) -> None:
    settings.CONTENT_MAX_BYTES = 10
    await put("/large.txt", b"needle in a haystack")
    await put("/small.txt", b"needle")
    assert await contents(disk, "needle") == ["/small.txt"]


async def test_more_files_than_a_batch_are_all_searched(
    put: Put, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BATCH", 2)
    for number in range(5):
        await put(f"/{number}/x.txt", b"x")
    assert len(await names(disk, "x.txt")) == 5
