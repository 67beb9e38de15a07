"""A disk knows what is on it: its counts stay true, and folders are found without their files."""

from __future__ import annotations

import asyncio
import random
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from disks import artifacts, folders, trash, tree
from disks.artifacts import FOLDER
from disks.models import Artifact, Disk, OnConflict, TrashedArtifact
from disks.places.disk import DiskPlace
from project import database
from project.errors import Refused
from tests.disks.conftest import Put
from tests.disks.test_places import pieces

NAMES = ("a", "b", "c/a", "c/b", "c/d/a", "d/a", "d/c/a")


async def counts(disk: Disk) -> tuple[int, int]:
    await database.read(disk.refresh_from_db)
    return disk.files, disk.bytes


async def are_true(disk: Disk) -> bool:
    return not await database.write(artifacts.recount, disk.pk)


async def test_files_that_come_and_go_are_counted(disk: Disk, put: Put) -> None:
    place = DiskPlace(disk)
    await put("/a", b"12345")
    await place.mkdir("/empty")
    assert await counts(disk) == (1, 5)

    await put("/a", b"123")
    await place.copy("/a", "/d/b")
    assert await counts(disk) == (2, 6)

    deletion = await place.remove(["/d", "/a"], by="us")
    assert await counts(disk) == (0, 0)
    await trash.undo(disk, deletion)  # type: ignore[arg-type]
    await database.write(artifacts.remove, disk, "/a")
    assert await counts(disk) == (1, 3)
    assert await are_true(disk)


@pytest.mark.slow
async def test_no_change_makes_the_counts_untrue(disk: Disk) -> None:
    place = DiskPlace(disk)
    chosen = random.Random(7)  # noqa: S311 (the same each time)
    for _ in range(150):
        await _something(place, chosen)
    assert await are_true(disk)
    rows = await database.read(Artifact.objects.exclude(filename=FOLDER).count)
    assert (await counts(disk))[0] == rows > 0


async def _something(place: DiskPlace, chosen: random.Random) -> None:
    path, to = (f"/{chosen.choice(NAMES)}" for _ in range(2))
    policy = chosen.choice(list(OnConflict))
    data = b"x" * chosen.randrange(9)
    try:
        match chosen.randrange(8):
            case 0 | 1 | 2:
                await place.write(path, pieces(data), size=len(data), on_conflict=policy)
            case 3:
                await place.copy(path, to, policy)
            case 4:
                await place.move(path[:2], to, policy)
            case 5:
                await place.remove([path, to[:2]], by="us")
            case 6:
                rows = await database.read(lambda: list(TrashedArtifact.objects.all()[:5]))
                await trash.restore(place.disk, trash.chosen(row.pk for row in rows), policy)
            case _:
                await place.copy("/c", "/d", policy)
    except Refused:
        pass


async def test_counts_are_true_whoever_writes_at_the_same_time(disk: Disk, put: Put) -> None:
    for number in range(10):
        await put(f"/{number}", b"old")

    await asyncio.gather(
        *(put(f"/{number}", b"newer") for number in range(5, 15)),
        *(database.write(artifacts.remove, disk, f"/{number}") for number in range(5)),
    )

    assert await counts(disk) == (10, 50)


async def test_wrong_counts_are_put_right(disk: Disk, put: Put) -> None:
    await put("/a", b"12345")
    await database.write(Disk.objects.filter(pk=disk.pk).update, files=7, bytes=-1)
    said = StringIO()

    await database.write(lambda: call_command("verify_blobs", stderr=said, stdout=StringIO()))

    assert str(disk.pk) in said.getvalue()
    assert await counts(disk) == (1, 5)


ODD = (
    "a",
    "a!",
    "a.",
    "a0",
    "a/b",
    "a/b/c",
    "ab",
    "A",
    "ä",
    "%",
    "_",
    "'",
    "x y",
    "z" * 200,
    "🙂/a",
)


async def test_folders_are_found_by_jumps(disk: Disk, put: Put) -> None:
    for name in ODD:
        await put(f"/{name}/f1")
        await put(f"/{name}/f2")
    await put("/top")

    found = await database.read(folders.names_in, disk.pk, ["/", "/a/", "/a/b/", "/none/"])

    assert found["/"] == sorted({name.partition("/")[0] for name in ODD})
    assert found["/a/"] == ["b"]
    assert found["/a/b/"] == ["c"]
    assert "/none/" not in found


@pytest.mark.slow
async def test_a_listing_asks_as_much_of_many_folders_as_of_few(disk: Disk, put: Put) -> None:
    wish: Any = {
        "sort": "name", "descending": False, "offset": 0, "limit": 50, "hidden": True, "match": "",
    }  # fmt: skip

    def asked() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = tree.listing(disk.pk, "/", **wish)
        assert [entry.items for entry in found.entries] == [2] * len(found.entries)
        return len(queries)

    for number in range(40):
        await put(f"/{number}/a")
        await put(f"/{number}/deep/er/b")
        if number == 1:
            few = await database.read(asked)
    assert await database.read(asked) == few


async def test_the_time_of_a_folder_is_that_of_what_is_in_it(disk: Disk, put: Put) -> None:
    await put("/old/a")
    newer = await put("/new/a")
    place = DiskPlace(disk)

    listed = await place.listing("/", sort="modified", descending=True)

    assert [entry.name for entry in listed.entries] == ["new", "old"]
    assert listed.entries[0].modified == newer.updated_at
    assert (await place.stat("/new")).modified == newer.updated_at
