"""Many files as one zip: whole, safe to unpack, and made without being held anywhere."""

from __future__ import annotations

import asyncio
import io
import os
import time
import tracemalloc
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disks import archive
from disks.entries import Entry
from disks.models import Disk
from disks.places.base import Place
from disks.places.disk import DiskPlace
from disks.places.sandbox import SandboxPlace
from project.errors import NotFound, Refused
from project.models import Project
from sandboxes import lifecycle
from sandboxes.options import NewSandbox
from tests.disks.test_places import Tree, pieces

pytestmark = pytest.mark.slow


async def zipped(place: Place, folder: str, *names: str) -> zipfile.ZipFile:
    found = await archive.members(place, folder, names)
    data = b"".join([chunk async for chunk in archive.stream(place, found)])
    made = zipfile.ZipFile(io.BytesIO(data))
    assert made.testzip() is None
    return made


async def test_a_folder_is_packed_with_all_in_it(place: Place) -> None:
    tree = Tree(place)
    contents = {"a.txt": b"a" * 100_000, "sub/b.bin": os.urandom(600_000), "sub/empty": b""}
    for path, data in contents.items():
        await tree.put(f"d/{path}", data)
    await place.mkdir(tree.at("d/nothing"))

    made = await zipped(place, tree.at("d"))

    assert {name: made.read(name) for name in contents} == contents
    assert set(made.namelist()) == {*contents, "sub/", "nothing/"}


async def test_some_names_are_packed(place: Place) -> None:
    tree = Tree(place)
    for path in ("one/a", "two/b", "three"):
        await tree.put(path)

    made = await zipped(place, place.start, "one", "three")

    assert sorted(made.namelist()) == ["one/", "one/a", "three"]
    with pytest.raises(NotFound):
        await archive.members(place, place.start, ["nothing"])


async def test_what_is_packed_already_is_stored(disk: Disk) -> None:
    tree = Tree(DiskPlace(disk))
    await tree.put("a.png", b"\x89PNG\r\n\x1a\n".ljust(10_000, b"x"))
    await tree.put("a.txt", b"x" * 10_000)

    made = await zipped(tree.place, "/")

    assert made.getinfo("a.png").compress_size == 10_000
    assert made.getinfo("a.txt").compress_size < 200


async def test_too_many_files_are_refused_before_anything_is_sent(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST", 2)
    tree = Tree(DiskPlace(disk))
    for name in "abc":
        await tree.put(name)

    with pytest.raises(Refused) as refusal:
        await archive.members(tree.place, "/", [])
    assert refusal.value.tag == "too_many_entries"


async def test_links_and_secrets_are_left_out_and_said(
    local_engine: None, project: Project
) -> None:
    sandbox = await lifecycle.create(project, NewSandbox())
    place = SandboxPlace(sandbox)
    await Tree(place).put("d/a", b"a")
    await _run(sandbox, "cd d && ln -s a link && ln -s /etc/passwd out && mkfifo pipe")

    made = await zipped(place, "/workspace/d")

    assert sorted(made.namelist()) == ["LEFT OUT.txt", "a"]
    said = made.read("LEFT OUT.txt").decode()
    assert "link: a link to a" in said
    assert "out: a link to /etc/passwd" in said
    assert "pipe: no regular file" in said


async def _run(sandbox: Any, script: str) -> None:
    from sandboxes import guests
    from sandboxes.guest.link import StartSpec

    async with guests.linked(sandbox) as link:
        started = await link.start(StartSpec(id=os.urandom(4).hex(), script=script))
        ended = await started.exit()
    assert ended.exit_code == 0


async def test_names_that_become_one_are_kept_apart(local_engine: None, project: Project) -> None:
    place = SandboxPlace(await lifecycle.create(project, NewSandbox()))
    for name in ("a:b", "a|b", "A_B"):
        await place.write(f"/workspace/{name}", pieces(name.encode()), size=3)

    made = await zipped(place, "/workspace")

    assert len({name.casefold() for name in made.namelist()}) == 3
    assert {made.read(name) for name in made.namelist()} == {b"a:b", b"a|b", b"A_B"}


class Named(DiskPlace):
    """A disk with files of given names."""

    names: list[str]

    async def walk(self, path: str) -> AsyncGenerator[Entry]:
        for name in self.names:
            yield Entry(f"/{name}", name, "file")


@pytest.mark.parametrize("length", [1, 245])
async def test_thousands_of_names_that_become_one_are_numbered_at_once(
    disk: Disk, length: int
) -> None:
    place = Named(disk)
    marks = ':<>"|?*'
    place.names = [
        "".join(marks[number // 7**place % 7] for place in range(6)) + "x" * length
        for number in range(5_000)
    ]
    began = time.monotonic()

    found = await archive.members(place, "/", [])

    assert len({member.name.casefold() for member in found}) == 5_000
    assert max(len(member.name) for member in found) <= 255
    assert time.monotonic() - began < 2


async def test_long_names_that_meet_when_they_are_cut_are_numbered_at_once(disk: Disk) -> None:
    place = Named(disk)
    ends = [f"{number:04}" for number in range(2_500)]
    place.names = [f"{'x' * 250}{end}{mark}" for end in ends for mark in ":|"]
    began = time.monotonic()

    found = await archive.members(place, "/", [])

    assert len({member.name.casefold() for member in found}) == 5_000
    assert time.monotonic() - began < 2


@given(st.text(max_size=60))
def test_no_name_leads_out_of_a_folder(path: str) -> None:
    name = archive.safe_name(path.encode(errors="surrogatepass").decode(errors="surrogateescape"))

    parts = name.split("/")
    assert name
    assert not name.startswith("/")
    assert all(part.strip(" .") or set(part) <= {"_"} for part in parts)
    assert not set(name) & set('\\:<>"|?*\x00')
    name.encode()


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "C:\\x", "a/../../b", "./a", "a/./b"]
)
def test_wicked_names_are_made_harmless(path: str) -> None:
    parts = archive.safe_name(path).split("/")

    assert ".." not in parts
    assert "." not in parts
    assert "" not in parts


class Endless(DiskPlace):
    """A disk whose files are larger than memory."""

    async def read(self, path: str, start: int = 0, end: int | None = None) -> Any:
        entry, chunks = await super().read(path, start, end)
        await chunks.aclose()
        return entry, self._zeros()

    async def _zeros(self) -> AsyncIterator[bytes]:
        for _ in range(400):
            yield os.urandom(512 * 1024)


async def test_memory_does_not_grow_with_the_files(disk: Disk) -> None:
    place = Endless(disk)
    await Tree(place).put("large.bin", b"x")
    found = await archive.members(place, "/", [])
    tracemalloc.start()
    size = 0
    async with aclosing(archive.stream(place, found)) as chunks:
        async for chunk in chunks:
            size += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size > 400 * 512 * 1024
    assert peak < 16 * 2**20


class Stalling(DiskPlace):
    """A disk whose files stop after their first piece."""

    async def read(self, path: str, start: int = 0, end: int | None = None) -> Any:
        entry, chunks = await super().read(path, start, end)
        await chunks.aclose()
        return entry, self._stuck()

    async def _stuck(self) -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()


async def test_sources_that_stall_hold_up_nobody_elses_archive(disk: Disk) -> None:
    place, slow = DiskPlace(disk), Stalling(disk)
    await Tree(place).put("a.txt", b"x" * 100_000)
    found = await archive.members(place, "/", [])

    async def read_all() -> None:
        async with aclosing(archive.stream(slow, found)) as chunks:
            async for _ in chunks:
                pass

    stuck = [asyncio.create_task(read_all()) for _ in range(archive.THREADS)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        assert (await zipped(place, "/")).namelist() == ["a.txt"]
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)


async def test_who_leaves_in_the_middle_leaves_nothing_open(disk: Disk) -> None:
    place = DiskPlace(disk)
    await Tree(place).put("a.bin", os.urandom(3_000_000))
    found = await archive.members(place, "/", [])

    async with aclosing(archive.stream(place, found)) as chunks:
        await anext(chunks)

    async def read_on() -> None:
        async with aclosing(archive.stream(place, found)) as others:
            async for _ in others:
                pass

    reading = asyncio.create_task(read_on())
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert (await zipped(place, "/")).namelist() == ["a.bin"]
