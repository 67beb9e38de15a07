"""Deleted files wait in the trash of their disk: restored, purged, and never swept before."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from disks import artifacts, lifecycle, sweep, trash, tree
from disks.artifacts import FOLDER
from disks.models import Artifact, Blob, Disk, TrashedArtifact
from disks.places.disk import DiskPlace
from project import database
from project.errors import Failed
from project.models import Project
from tests.disks.test_files_endpoints import Browser, Files, person

pytestmark = pytest.mark.slow


@pytest.fixture
def files(project: Project, disk: Disk) -> Files:
    return Files(person(project, "member"), DiskPlace(disk))


class Can:
    """The endpoints of a trash."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.base = f"{files.base}/trash"

    async def items(self, **query: Any) -> list[Any]:
        answer = await self.files.browser.get(f"{self.base}/list", **query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def act(self, action: str, **data: Any) -> Any:
        return await self.files.browser.post(f"{self.base}/{action}", data)

    async def ids(self) -> list[str]:
        return [item["id"] for item in await self.items()]


@pytest.fixture
def can(files: Files) -> Can:
    return Can(files)


async def delete(files: Files, *paths: str) -> str:
    answer = await files.act("delete", paths=list(paths))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["undo"])


async def content(files: Files, path: str) -> bytes:
    return (await files.get(f"raw{path}")).content


async def test_a_deletion_is_undone_as_a_whole(files: Files, can: Can) -> None:
    await files.put("/d/a", b"a")
    await files.put("/d/sub/b", b"b")
    await files.act("mkdir", path="/d/empty")
    await files.act("meta", path="/d/a", meta={"kept": 1})
    await files.put("/other")
    was = (await files.get("stat", path="/d/a")).json()
    undo = await delete(files, "/d", "/other")
    assert await files.names() == []

    answer = await files.browser.post(undo)

    assert answer.json()["restored"] == 4
    assert await files.names() == ["d", "other"]
    assert await files.names("/d") == ["empty", "sub", "a"]
    assert await content(files, "/d/sub/b") == b"b"
    assert (await files.get("stat", path="/d/a")).json() == was
    assert await can.items() == []
    assert (await files.browser.post(undo)).status_code == 404


async def test_undo_keeps_what_came_since(files: Files) -> None:
    await files.put("/a.txt", b"old")
    undo = await delete(files, "/a.txt")
    await files.put("/a.txt", b"new")

    await files.browser.post(undo)

    assert await content(files, "/a.txt") == b"new"
    assert await content(files, "/a (2).txt") == b"old"


async def test_the_trash_is_listed_newest_first(files: Files, can: Can) -> None:
    for name in ("a", "b", "c"):
        await files.put(f"/{name}", name.encode())
        await delete(files, f"/{name}")

    items = await can.items()

    assert [item["path"] for item in items] == ["/c", "/b", "/a"]
    assert {item["deleted_by"] for item in items} == {"member"}
    assert [item["path"] for item in await can.items(offset=1, limit=1)] == ["/b"]
    kept = datetime.fromisoformat(items[0]["purged_at"]) - timezone.now()
    assert timedelta(days=29) < kept < timedelta(days=30)


async def test_some_are_restored_by_policy(files: Files, can: Can) -> None:
    await files.put("/a", b"old")
    await files.put("/b", b"b")
    await delete(files, "/a", "/b")
    await files.put("/a", b"new")
    ids = await can.ids()

    asked = await can.act("restore", ids=ids)
    assert asked.status_code == 409
    assert [conflict["path"] for conflict in asked.json()["conflicts"]] == ["/a"]
    assert len(await can.items()) == 2

    skipped = await can.act("restore", ids=ids, on_conflict="skip")
    assert (skipped.json()["restored"], skipped.json()["skipped"]) == (1, 1)
    assert await content(files, "/a") == b"new"
    await can.act("restore", ids=await can.ids(), on_conflict="replace")
    assert await content(files, "/a") == b"old"
    assert await can.items() == []


async def test_some_or_all_are_purged(files: Files, can: Can) -> None:
    for name in ("a", "b", "c"):
        await files.put(f"/{name}")
    await delete(files, "/a", "/b", "/c")
    [first, *_] = await can.ids()

    assert (await can.act("purge", ids=[first])).json()["purged"] == 1
    assert len(await can.items()) == 2
    assert (await can.act("empty")).json()["purged"] == 2
    assert await can.items() == []


async def test_what_was_deleted_together_comes_back_or_goes_together(
    files: Files, can: Can
) -> None:
    for name in ("/d/a", "/d/b", "/other"):
        await files.put(name, b"old")
    await delete(files, "/other")
    await delete(files, "/d")
    await files.put("/d/a", b"new")
    together = (await can.items())[0]["deletion"]

    asked = await can.act("restore", deletion=together)
    assert (asked.status_code, asked.json()["count"]) == (409, 1)
    answer = await can.act("restore", deletion=together, on_conflict="rename")
    assert answer.json()["restored"] == 2
    assert await files.names("/d") == ["a", "a (2)", "b"]

    await delete(files, "/d")
    together = (await can.items())[0]["deletion"]
    assert (await can.act("purge", deletion=together)).json()["purged"] == 3
    assert [item["path"] for item in await can.items()] == ["/other"]


@pytest.mark.parametrize(
    ("action", "data", "status"),
    [
        ("restore", {}, 400),
        ("restore", {"ids": ["x"]}, 400),
        ("restore", {"ids": [str(uuid.UUID(int=0))]}, 404),
        ("restore", {"deletion": "x"}, 400),
        ("restore", {"deletion": str(uuid.UUID(int=0))}, 404),
        ("purge", {"ids": "all"}, 400),
        ("purge", {"deletion": 1}, 400),
        ("burn", {}, 404),
    ],
)
async def test_a_bad_wish_is_a_clear_error(can: Can, action: str, data: Any, status: int) -> None:
    answer = await can.act(action, **data)

    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


async def test_another_disks_trash_is_out_of_reach(
    files: Files, can: Can, project: Project
) -> None:
    await files.put("/a")
    undo = await delete(files, "/a")
    other = await database.write(lambda: Disk.objects.create(project=project))
    elsewhere = Can(Files(files.browser, DiskPlace(other)))

    for action in ("restore", "purge"):
        await elsewhere.act(action, ids=await can.ids(), on_conflict="replace")
        deletion = (await can.items())[0]["deletion"]
        await elsewhere.act(action, deletion=deletion, on_conflict="replace")
    await elsewhere.act("empty")
    wrong = await files.browser.post(undo.replace(str(files.place.id), str(other.pk)))

    assert wrong.status_code == 404
    assert len(await can.items()) == 1


async def test_roles_are_kept(files: Files, can: Can, project: Project, stranger: Any) -> None:
    await files.put("/a")
    undo = await delete(files, "/a")
    viewer: Browser = await database.write(person, project, "viewer")
    outsider: Browser = await database.write(person, stranger, "owner")

    assert (await viewer.get(f"{can.base}/list")).status_code == 200
    assert (await viewer.post(undo)).status_code == 403
    assert (await viewer.post(f"{can.base}/empty")).status_code == 403
    assert (await outsider.get(f"{can.base}/list")).status_code == 404
    assert (await outsider.post(undo)).status_code == 404
    assert len(await can.items()) == 1


async def test_the_api_deletes_at_once(files: Files, can: Can, api: Any) -> None:
    await files.put("/a")

    answer = await api.delete(f"/disk/{files.place.id}/artifact", {"file_path": "/a"})

    assert answer.status_code == 200
    assert await can.items() == []


async def test_the_sweep_leaves_the_trash(
    files: Files, can: Can, store_location: Path, settings: Any
) -> None:
    settings.BLOB_GRACE_SECONDS = -1
    await files.put("/a", b"kept")
    undo = await delete(files, "/a")

    await sweep.sweep()
    assert len([path for path in store_location.rglob("*") if path.is_file()]) == 1
    await files.browser.post(undo)
    assert await content(files, "/a") == b"kept"

    await delete(files, "/a")
    await can.act("empty")
    await sweep.sweep()
    assert not [path for path in store_location.rglob("*") if path.is_file()]


async def test_lost_bytes_in_the_trash_are_found(files: Files, store_location: Path) -> None:
    await files.put("/a", b"bytes")
    await delete(files, "/a")
    for path in store_location.rglob("*"):
        if path.is_file() and path.stat().st_size:
            path.unlink()
    said = StringIO()

    from django.core.management.base import CommandError

    with pytest.raises(CommandError):
        await database.read(lambda: call_command("verify_blobs", stderr=said, stdout=StringIO()))

    assert "/a (in the trash)" in said.getvalue()


async def test_the_trash_is_emptied_after_its_time(files: Files, can: Can, settings: Any) -> None:
    for name in ("old", "new"):
        await files.put(f"/{name}")
        await delete(files, f"/{name}")
    past = timezone.now() - timedelta(seconds=settings.TRASH_SECONDS + 1)
    await database.write(
        lambda: TrashedArtifact.objects.filter(filename="old").update(deleted_at=past)
    )

    while await trash.purge_some():
        pass

    assert [item["path"] for item in await can.items()] == ["/new"]


async def test_the_folder_of_the_last_file_stays(files: Files) -> None:
    await files.put("/d/a")

    await delete(files, "/d/a")

    assert await files.names() == ["d"]
    rows = await database.read(lambda: list(Artifact.objects.values_list("path", "filename")))
    assert rows == [("/d/", FOLDER)]


async def test_a_copy_never_points_to_bytes_that_go(files: Files) -> None:
    await files.put("/a", b"bytes")
    await database.write(lambda: Blob.objects.update(status=Blob.Status.DOOMED))

    with pytest.raises(Failed):
        await files.place.copy("/a", "/b")

    assert await files.names() == ["a"]


async def test_a_deleted_disk_takes_its_trash_along(files: Files, disk: Disk) -> None:
    await files.put("/a")
    await delete(files, "/a")

    await database.write(disk.delete)

    assert await database.read(TrashedArtifact.objects.count) == 0


async def test_an_undo_that_is_cut_loses_nothing(
    files: Files, can: Can, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "BATCH", 2)
    names = [f"/d/{number}" for number in range(7)]
    for name in names:
        await files.put(name, name.encode())
    undo = await delete(files, "/d")
    restore_some, calls = trash._restore_some, []

    def cut(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise Failed("the server stops here")
        return restore_some(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trash, "_restore_some", cut)
        assert (await files.browser.post(undo)).status_code == 502

    there = [f"/d/{name}" for name in await files.names("/d")]
    assert len(there) == 4
    assert sorted(there + [item["path"] for item in await can.items()]) == names
    assert (await files.browser.post(undo)).json()["restored"] == 3
    assert await content(files, names[-1]) == names[-1].encode()


async def test_others_write_while_many_files_come_back(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "BATCH", 1)
    for number in range(20):
        await files.put(f"/d/{number}")
    undo = await delete(files, "/d")

    undoing = asyncio.ensure_future(files.browser.post(undo))
    await files.put("/new")
    assert not undoing.done()

    assert (await undoing).json()["restored"] == 20


async def test_many_files_go_and_come_back_with_few_questions(files: Files, disk: Disk) -> None:
    for number in range(60):
        await files.put(f"/d/{number}/a")
    place = DiskPlace(disk)

    def asked(step: Any, *arguments: Any) -> int:
        with CaptureQueriesContext(connection) as queries:
            step(*arguments)
        return len(queries)

    def restore() -> int:
        keys = list(TrashedArtifact.objects.values_list("pk", flat=True))
        return asked(trash._restore_some, disk.pk, keys, None)

    assert await database.read(asked, trash._wanted, disk.pk, ["/d/1/a", "/d/2/a", "/d/3"]) < 6
    await place.remove(["/d"], by="us")
    assert await database.write(restore) < 20
    assert len(await files.names("/d")) == 60


async def test_there_is_one_limit_for_all_that_is_deleted(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MOST", 3)
    for name in ("/a/1", "/a/2", "/b/1", "/b/2"):
        await files.put(name)

    answer = await files.act("delete", paths=["/a", "/b"])

    assert answer.status_code == 422
    assert await files.names() == ["a", "b"]
    await delete(files, "/a", "/b/1")


async def test_a_path_within_another_is_deleted_with_it(files: Files, can: Can) -> None:
    await files.put("/d/a")
    await files.put("/d/b")

    undo = await delete(files, "/d/a", "/d")

    assert await files.names() == []
    assert (await files.browser.post(undo)).json()["restored"] == 2


async def test_a_file_and_a_folder_of_one_name_are_told_apart(files: Files, put: Any) -> None:
    # The API makes such.
    await put("/x")
    await put("/x/y")

    await delete(files, "/x/")
    assert await files.names() == ["x"]
    await delete(files, "/x")
    assert await files.names() == []


async def test_what_cannot_come_back_stays_and_the_rest_comes(files: Files, can: Can) -> None:
    await files.put("/d/a", b"a")
    await files.put("/b")
    undo = await delete(files, "/d", "/b")
    await files.put("/d")

    answer = (await files.browser.post(undo)).json()

    assert (answer["restored"], answer["skipped"]) == (1, 1)
    assert [item["path"] for item in await can.items()] == ["/d/a"]
    assert (await files.browser.post(undo)).status_code == 409


async def test_of_two_files_of_one_name_both_come_back(files: Files, can: Can) -> None:
    for text in (b"first", b"second"):
        await files.put("/a.txt", text)
        await delete(files, "/a.txt")

    await can.act("restore", ids=await can.ids(), on_conflict="rename")

    assert await content(files, "/a.txt") == b"first"
    assert await content(files, "/a (2).txt") == b"second"


async def test_a_disk_goes_with_its_trash_a_little_at_a_time(
    files: Files, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[int] = []
    purged: list[int] = []
    drop, purge = artifacts.drop, trash._purge_batch

    def counted_drop(disk_id: uuid.UUID, rows: Any) -> None:
        dropped.append(rows.count())
        drop(disk_id, rows)

    def counted_purge(wanted: Any) -> int:
        purged.append(purge(wanted))
        return purged[-1]

    monkeypatch.setattr(lifecycle, "drop", counted_drop)
    monkeypatch.setattr(trash, "_purge_batch", counted_purge)
    for module in (lifecycle, trash):
        monkeypatch.setattr(module, "BATCH", 2)
    for number in range(5):
        await files.put(f"/old/{number}")
        await files.put(f"/new/{number}")
    await files.act("delete", paths=[f"{files.root}/old"])
    await files.put("/kept")
    await lifecycle.delete(disk)
    assert dropped == [2, 2, 2]
    assert purged == [2, 2, 1, 0]
    assert not await database.read(Disk.objects.exists)
