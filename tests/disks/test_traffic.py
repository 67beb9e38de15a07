"""What the page of a sandbox tells of its files: which changed last, and what was copied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from django.test import AsyncClient, Client
from django.urls import reverse

from disks.entries import Entry, join
from disks.models import Disk, Transfer
from disks.places.base import Place
from disks.places.disk import DiskPlace
from disks.places.sandbox import SandboxPlace
from disks.views import traffic
from project.errors import NotFound
from project.models import Project
from sandboxes import lifecycle
from sandboxes.options import NewSandbox
from tests.project.people import make_person

pytestmark = pytest.mark.slow


async def text() -> AsyncIterator[bytes]:
    yield b"text"


async def put(place: Place, *paths: str) -> None:
    """Write files one after the other, so far apart that their times differ."""
    for path in paths:
        await place.write(join(place.start, path), text(), size=4)
        await asyncio.sleep(0.02)


async def test_the_newest_come_first(place: Place) -> None:
    await put(place, *(f"old/{number}.txt" for number in range(traffic.SHOWN)), "deep/er/new.txt")
    names = [entry.name for entry in await traffic.newest(place)]
    assert names[0] == "new.txt"
    assert len(names) == traffic.SHOWN
    assert "0.txt" not in names


async def test_a_tree_without_end_is_not_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(place, "a.txt")
    walk = place.walk

    async def endless(path: str):
        async for entry in walk(path):
            yield entry
        await asyncio.sleep(1000)

    monkeypatch.setattr(traffic, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(place, "walk", endless)
    assert [entry.name for entry in await traffic.newest(place)] == ["a.txt"]


class Counted(DiskPlace):
    """A disk that counts how often it is walked through, as slowly as is wanted."""

    walks = 0
    entries = 3
    may_end: asyncio.Event

    async def walk(self, path: str) -> AsyncGenerator[Entry]:
        self.walks += 1
        await self.may_end.wait()
        for number in range(self.entries):
            yield Entry(f"/{number}", str(number), "file")


@pytest.fixture
def counted(disk: Disk) -> Counted:
    place = Counted(disk)
    place.may_end = asyncio.Event()
    return place


async def test_all_who_watch_share_one_look(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "KEPT_TIMES", 1e9)
    watching = [asyncio.ensure_future(traffic.newest(counted)) for _ in range(5)]
    await asyncio.sleep(0)
    watching[0].cancel()
    counted.may_end.set()

    found = await asyncio.gather(*watching[1:])
    assert [len(entries) for entries in found] == [3] * 4
    await traffic.newest(counted)
    assert counted.walks == 1

    monkeypatch.setattr(traffic, "KEPT_TIMES", 0)
    traffic._looks.clear()
    for _ in range(2):
        await traffic.newest(counted)
    assert counted.walks == 3
    assert len(traffic._looks) == 1


async def test_a_refusal_is_not_kept(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "KEPT_TIMES", 1e9)
    counted.may_end.set()
    walk = counted.walk

    async def refused(path: str) -> AsyncGenerator[Entry]:
        if path:
            raise NotFound("it is gone")
        yield Entry(path, path, "file")

    monkeypatch.setattr(counted, "walk", refused)
    with pytest.raises(NotFound):
        await traffic.newest(counted)
    monkeypatch.setattr(counted, "walk", walk)
    assert len(await traffic.newest(counted)) == 3


async def test_of_a_large_tree_a_part_is_seen(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "MOST_SEEN", 2)
    counted.may_end.set()
    assert [entry.name for entry in await traffic.newest(counted)] == ["0", "1"]


@pytest.mark.usefixtures("local_engine")
async def test_the_part_shows_both(project: Project, stranger: Project) -> None:
    owner: Client = await asyncio.to_thread(make_person, "owner", project, stranger)
    sandbox = await lifecycle.create(project, NewSandbox())
    await put(SandboxPlace(sandbox), "out/<b>.txt")
    await Transfer.objects.acreate(
        project=project, source="sandbox", source_id=sandbox.pk, source_folder="/workspace",
        names=["out"], target="disk", target_id=sandbox.pk, target_name="reports",
        target_folder="/", status="failed", error="the disk is full",
    )  # fmt: skip
    page = AsyncClient()
    page.cookies = owner.cookies
    answer = await page.get(reverse("disks:sandbox_traffic", args=[sandbox.pk]))
    shown = answer.content.decode()
    assert "&lt;b&gt;.txt</a>" in shown
    assert "to reports" in shown
    assert "The disk is full; nothing copied" in shown
    await lifecycle.kill(sandbox)
    answer = await page.get(reverse("disks:sandbox_traffic", args=[sandbox.pk]))
    shown = answer.content.decode()
    assert "Recently changed" not in shown
    assert "to reports" in shown
