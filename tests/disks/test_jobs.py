"""Transfers as jobs: what they copy and move, what they leave out, and how they end."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from disks import collisions, jobs
from disks.copying import Copying, Progress
from disks.jobs import Wish
from disks.models import Disk, OnConflict, Transfer
from disks.places.base import Place
from disks.places.disk import DiskPlace
from disks.places.sandbox import SandboxPlace
from disks.views.job_rows import JobRow
from project import database
from project.errors import Conflict, Failed, Invalid, NotFound
from project.models import Activity, Project
from sandboxes import files, lifecycle
from sandboxes.models import GeneratedFile, Reason, Sandbox
from sandboxes.options import NewSandbox

pytestmark = pytest.mark.slow

Status = Transfer.Status
END_SECONDS = 20.0


@pytest.fixture(autouse=True)
async def no_jobs_left(transactional_db: None) -> AsyncIterator[None]:
    yield
    await jobs.stop()


@pytest.fixture
def disk_place(project: Project) -> DiskPlace:
    return DiskPlace(Disk.objects.create(project=project, name="reports"))


async def chunks_of(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


async def write(place: Place, path: str, data: bytes = b"text\n") -> None:
    await place.write(path, chunks_of(data), size=len(data))


async def read(place: Place, path: str) -> bytes:
    _, chunks = await place.read(path)
    async with aclosing(chunks):
        return b"".join([chunk async for chunk in chunks])


async def tree(place: Place, folder: str) -> list[str]:
    found = [entry.path async for entry in place.walk(folder)]
    return sorted(path[len(folder.rstrip("/")) :] for path in found[1:])


async def is_there(place: Place, path: str) -> bool:
    try:
        await place.stat(path)
    except NotFound:
        return False
    return True


async def ended(transfer: Transfer) -> Transfer:
    async with asyncio.timeout(END_SECONDS):
        while transfer.status in jobs.UNFINISHED:
            await asyncio.sleep(0.02)
            await database.read(transfer.refresh_from_db)
    return transfer


async def run(project: Project, wish: Wish) -> Transfer:
    return await ended(await jobs.create(project, wish, by="mara"))


def wish(source: Place, target: Place, *names: str, **more: Any) -> Wish:
    return Wish(source, source.start, list(names), target, target.start, **more)


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
async def test_a_file_goes_there_and_back(
    project: Project, disk_place: DiskPlace, place: Place, size: int
) -> None:
    data = os.urandom(size)
    await write(disk_place, "/a b ü.bin", data)

    there = await run(project, wish(disk_place, place, "a b ü.bin"))
    await disk_place.remove(["/a b ü.bin"], "mara")
    back = await run(project, wish(place, disk_place, "a b ü.bin"))

    assert (there.status, there.error, back.status) == (Status.DONE, "", Status.DONE)
    assert (there.files_done, there.bytes_done, there.bytes_total) == (1, size, size)
    assert await read(disk_place, "/a b ü.bin") == data


async def test_a_folder_goes_with_all_below_it(
    project: Project, disk_place: DiskPlace, place: Place
) -> None:
    for path in ("/in/a.txt", "/in/deep/er/b.txt", "/c.txt", "/other.txt"):
        await write(disk_place, path)
    await disk_place.mkdir("/in/empty")

    copied = await run(project, wish(disk_place, place, "in", "c.txt"))

    assert (copied.files_done, copied.files_total) == (3, 3)
    assert await tree(place, f"{place.start.rstrip('/')}/in") == [
        "/a.txt",
        "/deep",
        "/deep/er",
        "/deep/er/b.txt",
        "/empty",
    ]
    assert not await is_there(place, f"{place.start.rstrip('/')}/other.txt")


async def test_a_folder_without_a_file_is_told_as_such(
    project: Project, disk_place: DiskPlace, place: Place
) -> None:
    for path in ("/one/in", "/two"):
        await disk_place.mkdir(path)

    copied = await run(project, wish(disk_place, place, "one", "two"))
    moved = await run(
        project, wish(disk_place, place, "one", moves=True, on_conflict=OnConflict.RENAME)
    )

    assert jobs.result_of(copied) == "2 folders copied, without a file"
    assert jobs.result_of(moved) == "1 folder moved, without a file"
    assert JobRow(copied).has_brought


async def test_what_is_moved_is_gone_from_where_it_was(
    project: Project, disk_place: DiskPlace, place: Place
) -> None:
    top = place.start.rstrip("/")
    await write(place, f"{top}/in/deep/a.txt", b"moved")
    await write(place, f"{top}/stays.txt")

    moved = await run(project, wish(place, disk_place, "in", moves=True))

    assert (moved.status, moved.files_done) == (Status.DONE, 1)
    assert await read(disk_place, "/in/deep/a.txt") == b"moved"
    assert not await is_there(place, f"{top}/in")
    assert await is_there(place, f"{top}/stays.txt")


@pytest.mark.parametrize(
    ("policy", "there", "beside", "skipped"),
    [
        (OnConflict.REPLACE, b"new", None, 0),
        (OnConflict.SKIP, b"old", None, 1),
        (OnConflict.RENAME, b"old", b"new", 0),
    ],
)
async def test_a_taken_name_is_dealt_with_as_asked(
    project: Project,
    disk_place: DiskPlace,
    place: Place,
    policy: OnConflict,
    there: bytes,
    beside: bytes | None,
    skipped: int,
) -> None:
    top = place.start.rstrip("/")
    await write(disk_place, "/a.txt", b"new")
    await write(place, f"{top}/a.txt", b"old")

    copied = await run(project, wish(disk_place, place, "a.txt", on_conflict=policy))

    assert (copied.status, copied.files_skipped) == (Status.DONE, skipped)
    assert await read(place, f"{top}/a.txt") == there
    assert await is_there(place, f"{top}/a (2).txt") == (beside is not None)
    if beside is not None:
        assert await read(place, f"{top}/a (2).txt") == beside


async def test_a_skipped_file_is_not_removed_by_a_move(
    project: Project, disk_place: DiskPlace, place: Place
) -> None:
    top = place.start.rstrip("/")
    await write(disk_place, "/in/a.txt", b"new")
    await write(disk_place, "/in/b.txt", b"new")
    await write(place, f"{top}/in/a.txt", b"old")

    moved = await run(
        project, wish(disk_place, place, "in", moves=True, on_conflict=OnConflict.SKIP)
    )

    assert (moved.files_done, moved.files_skipped) == (1, 1)
    assert await tree(disk_place, "/in") == ["/a.txt"]
    assert await read(place, f"{top}/in/a.txt") == b"old"


async def test_keep_both_gives_a_folder_another_name(
    project: Project, disk_place: DiskPlace, place: Place
) -> None:
    top = place.start.rstrip("/")
    await write(disk_place, "/in/a.txt", b"new")
    await write(place, f"{top}/in/a.txt", b"old")

    await run(project, wish(disk_place, place, "in", on_conflict=OnConflict.RENAME))

    assert await read(place, f"{top}/in/a.txt") == b"old"
    assert await read(place, f"{top}/in (2)/a.txt") == b"new"


@pytest.mark.usefixtures("local_engine")
async def test_what_a_sandbox_made_is_remembered(project: Project, disk_place: DiskPlace) -> None:
    box = SandboxPlace(await lifecycle.create(project, NewSandbox()))
    await write(box, "/workspace/out/a.txt")
    await write(box, "/workspace/out/b.txt")
    await write(disk_place, "/c.txt")
    await run(project, wish(box, disk_place, "out", moves=True))
    await run(project, wish(disk_place, box, "c.txt"))
    made = await database.read(lambda: list(GeneratedFile.objects.order_by("path")))
    assert [(file.sandbox_id, file.path) for file in made] == [
        (box.id, "/workspace/out/a.txt"),
        (box.id, "/workspace/out/b.txt"),
    ]


async def test_links_and_special_files_are_left_out_with_a_reason(
    project: Project, disk_place: DiskPlace, local_engine: None
) -> None:
    place = await sandbox_place(project)
    await write(place, "/workspace/in/a.txt")
    box = await folder_of(place)
    (box / "workspace/in/link").symlink_to("a.txt")
    os.mkfifo(box / "workspace/in/pipe")

    copied = await run(project, wish(place, disk_place, "in"))

    assert (copied.status, copied.files_done, copied.files_skipped) == (Status.DONE, 1, 2)
    assert copied.problems == [
        {"path": "/workspace/in/link", "why": "it is a symbolic link"},
        {"path": "/workspace/in/pipe", "why": "it is not a regular file"},
    ]
    assert await tree(disk_place, "/in") == ["/a.txt"]


async def test_a_file_over_the_limit_is_left_out(
    project: Project, disk_place: DiskPlace, place: Place, settings: Any
) -> None:
    await write(disk_place, "/in/large", b"x" * 1001)
    await write(disk_place, "/in/small", b"x" * 1000)
    settings.TRANSFER_MAX_BYTES = 1000

    copied = await run(project, wish(disk_place, place, "in"))

    assert (copied.files_done, copied.files_skipped) == (1, 1)
    assert "larger than" in copied.problems[0]["why"]
    assert (copied.bytes_done, copied.bytes_total) == (1000, 1000)


async def test_a_file_in_the_place_of_a_folder_fails_alone(
    project: Project, disk_place: DiskPlace, place: Place
) -> None:
    top = place.start.rstrip("/")
    await write(disk_place, "/taken")
    await write(disk_place, "/free")
    await write(place, f"{top}/taken/inside")

    copied = await run(project, wish(disk_place, place, "taken", "free"))

    assert await is_there(place, f"{top}/free")
    assert await is_there(place, f"{top}/taken/inside")
    if place.kind == "sandbox":
        assert (copied.files_done, copied.files_failed) == (1, 1)
        assert copied.problems[0]["path"] == "/taken"


async def test_a_folder_in_the_place_of_a_file_fails_alone(
    project: Project, disk_place: DiskPlace, place: Place
) -> None:
    top = place.start.rstrip("/")
    for path in ("a", "sub/b", "sub/deep/c", "z"):
        await write(disk_place, f"/in/{path}")
    await write(place, f"{top}/in/sub", b"a file")

    moved = await run(project, wish(disk_place, place, "in", moves=True))

    assert (moved.status, moved.files_done, moved.files_failed) == (Status.DONE, 2, 2)
    assert [problem["path"] for problem in moved.problems] == ["/in/sub"]
    assert JobRow(moved).word == "Done with problems"
    assert moved.bytes_done == moved.bytes_total
    assert await tree(place, f"{top}/in") == ["/a", "/sub", "/z"]
    assert await tree(disk_place, "/in") == ["/sub", "/sub/b", "/sub/deep", "/sub/deep/c"]


@pytest.mark.usefixtures("local_engine")
async def test_a_file_that_changes_while_it_is_moved_is_kept(
    project: Project, disk_place: DiskPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = WatchedPlace((await sandbox_place(project)).sandbox)
    monkeypatch.setattr("disks.places.find", finder(source, disk_place))
    await write(source, "/workspace/app.log", b"one\n")
    await write(source, "/workspace/still.txt")
    log = await folder_of(source) / "workspace/app.log"
    source.after_read["/workspace/app.log"] = lambda: log.write_bytes(b"one\ntwo\n")

    moved = await run(project, wish(source, disk_place, "app.log", "still.txt", moves=True))

    assert (moved.status, moved.files_done, moved.files_failed) == (Status.DONE, 1, 1)
    why = "it changed while it was copied; both are kept"
    assert moved.problems == [{"path": "/workspace/app.log", "why": why}]
    assert log.read_bytes() == b"one\ntwo\n"
    assert await read(disk_place, "/app.log") == b"one\n"


@pytest.mark.usefixtures("local_engine")
@pytest.mark.parametrize("policy", list(OnConflict))
@pytest.mark.parametrize("is_there_before", [False, True])
async def test_a_file_whose_answer_was_lost_is_written_once(
    project: Project,
    disk_place: DiskPlace,
    monkeypatch: pytest.MonkeyPatch,
    policy: OnConflict,
    is_there_before: bool,
) -> None:
    target = LosingPlace((await sandbox_place(project)).sandbox)
    monkeypatch.setattr("disks.places.find", finder(disk_place, target))
    await write(disk_place, "/a.txt", b"new")
    if is_there_before:
        await SandboxPlace.write(target, "/workspace/a.txt", chunks_of(b"old"), size=3)

    moved = await run(project, wish(disk_place, target, "a.txt", moves=True, on_conflict=policy))

    skipped = is_there_before and policy == OnConflict.SKIP
    assert (moved.status, moved.files_done, moved.files_skipped) == (
        Status.DONE,
        not skipped,
        skipped,
    )
    assert moved.bytes_done == (0 if skipped else 3)
    assert await is_there(disk_place, "/a.txt") == skipped
    both = is_there_before and policy == OnConflict.RENAME
    assert await tree(target, "/workspace") == (["/a (2).txt"] if both else []) + ["/a.txt"]
    assert await read(target, "/workspace/a.txt") == (b"old" if both or skipped else b"new")


async def test_a_source_that_is_removed_meanwhile_is_counted_truly(
    project: Project, disk_place: DiskPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = WatchedDisk(disk_place.disk)
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    monkeypatch.setattr("disks.places.find", finder(source, target))
    for number in range(4):
        await write(source, f"/in/{number}")
    source.after_read["/in/0"] = lambda: async_to_sync(source.remove)(["/in"], "nils")

    moved = await run(project, wish(source, target, "in", moves=True))

    assert (moved.files_done, moved.files_failed, moved.files_total) == (1, 3, 4)
    assert jobs.result_of(moved) == "1 moved, 3 failed"
    assert await tree(target, "/in") == ["/0"]


async def test_what_is_gone_meanwhile_is_told(project: Project, disk_place: DiskPlace) -> None:
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    await write(disk_place, "/a")

    copied = await run(project, wish(disk_place, target, "a", "missing"))
    nothing = await run(project, wish(disk_place, target, "missing"))

    assert (copied.status, copied.files_done, copied.files_failed) == (Status.DONE, 1, 1)
    assert nothing.status == Status.FAILED
    assert nothing.error


async def test_a_disk_copies_to_itself_and_moves_within(
    project: Project, disk_place: DiskPlace
) -> None:
    await write(disk_place, "/in/a.txt", b"a")
    await disk_place.mkdir("/to")

    await run(project, Wish(disk_place, "/", ["in"], disk_place, "/to"))
    moved = await run(project, Wish(disk_place, "/", ["in"], disk_place, "/to/deep", moves=True))

    assert (moved.status, moved.files_done, moved.bytes_done) == (Status.DONE, 1, 1)
    assert await tree(disk_place, "/") == [
        "/to",
        "/to/deep",
        "/to/deep/in",
        "/to/deep/in/a.txt",
        "/to/in",
        "/to/in/a.txt",
    ]


@pytest.mark.parametrize(
    ("names", "folder", "to", "error"),
    [
        ([], "/", "/b", Invalid),
        ([".."], "/", "/b", Invalid),
        (["a/b"], "/", "/b", Invalid),
        (["a"], "/", "/", Conflict),
        (["a"], "/", "/a/b", Conflict),
        (["a"], "/", "/a", Conflict),
    ],
)
def test_what_leads_nowhere_is_refused(
    disk_place: DiskPlace, names: list[str], folder: str, to: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        jobs.check(Wish(disk_place, folder, names, disk_place, to))


async def test_a_file_and_a_folder_of_one_name_replace_no_other(
    disk_place: DiskPlace, place: Place
) -> None:
    await write(disk_place, "/a", b"a file here")
    await write(disk_place, "/b", b"a file on both sides")
    await place.mkdir(f"{place.start.rstrip('/')}/a")
    await write(place, f"{place.start.rstrip('/')}/b", b"b")

    only = await collisions.find(wish(disk_place, place, "a"))
    both = await collisions.find(wish(disk_place, place, "a", "b"))

    assert (only.mixed, only.may_replace) == (1, False)
    assert (both.mixed, both.may_replace) == (1, True)


async def test_collisions_are_found_before_the_start(disk_place: DiskPlace, place: Place) -> None:
    top = place.start.rstrip("/")
    for path in ("/in/a", "/in/deep/b", "/in/free", "/c", "/d"):
        await write(disk_place, path)
    for path in ("/in/a", "/in/deep/b", "/c", "/elsewhere"):
        await write(place, top + path)

    found = await collisions.find(wish(disk_place, place, "in", "c", "d"))
    none = await collisions.find(wish(disk_place, place, "d"))

    assert (found.files, found.folders, found.more) == (3, 2, False)
    assert sorted(one.path for one in found.examples) == ["c", "in/a", "in/deep/b"]
    assert all(one.new.size is not None and one.old.size is not None for one in found.examples)
    assert not none


# How they end


async def test_a_cancelled_one_leaves_no_part_of_a_file(
    project: Project, disk_place: DiskPlace, place: Place
) -> None:
    for number in range(3):
        await write(disk_place, f"/in/{number}", os.urandom(30_000_000))
    transfer = await jobs.create(project, wish(disk_place, place, "in"), by="mara")
    job = jobs._jobs[transfer.pk]
    async with asyncio.timeout(END_SECONDS):
        while job.progress.bytes_done < 1_000_000:  # noqa: ASYNC110
            await asyncio.sleep(0)

    assert await jobs.cancel(transfer)
    transfer = await ended(transfer)

    assert transfer.status == Status.CANCELLED
    assert transfer.files_done < 3
    top = place.start.rstrip("/")
    for path in await tree(place, f"{top}/in"):
        assert (await place.stat(f"{top}/in{path}")).size == 30_000_000
    assert not await jobs.cancel(transfer)


async def test_another_server_is_told_to_cancel(
    project: Project, disk_place: DiskPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.05)
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    stuck = StuckPlace(disk_place.disk)
    monkeypatch.setattr("disks.places.find", finder(stuck, target))
    await write(disk_place, "/a")
    transfer = await jobs.create(project, wish(stuck, target, "a"), by="mara")
    await stuck.was_asked.wait()

    rows = Transfer.objects.filter(pk=transfer.pk)
    await database.write(lambda: rows.update(cancel_requested=True))

    assert (await ended(transfer)).status == Status.CANCELLED


async def test_only_so_many_run_at_once(
    project: Project, disk_place: DiskPlace, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRANSFER_PARALLEL = 1
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    stuck = StuckPlace(disk_place.disk)
    monkeypatch.setattr("disks.places.find", finder(stuck, target))
    await write(disk_place, "/a")
    first = await jobs.create(project, wish(stuck, target, "a"), by="mara")
    second = await jobs.create(project, wish(stuck, target, "a"), by="mara")
    third = await jobs.create(project, wish(stuck, target, "a"), by="mara")
    await stuck.was_asked.wait()
    await database.read(second.refresh_from_db)
    assert second.status == Status.WAITING

    await jobs.cancel(third)
    assert (await ended(third)).status == Status.CANCELLED
    stuck.may_go.set()

    assert (await ended(first)).status == Status.DONE
    assert (await ended(second)).status == Status.DONE


async def test_projects_take_turns(
    project: Project,
    stranger: Project,
    disk_place: DiskPlace,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.TRANSFER_PARALLEL = 3
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    their_disk = await database.write(lambda: Disk.objects.create(project=stranger))
    their_target = DiskPlace(await database.write(lambda: Disk.objects.create(project=stranger)))
    stuck, theirs = StuckPlace(disk_place.disk), StuckPlace(their_disk)
    monkeypatch.setattr("disks.places.find", finder(stuck, theirs, target, their_target))
    await write(disk_place, "/a")
    await write(theirs, "/a")
    ours = [await jobs.create(project, wish(stuck, target, "a"), by="mara") for _ in range(4)]

    def running() -> list[uuid.UUID]:
        return [job.id for job in jobs._jobs.values() if job.task is not None]

    # One place is kept for others.
    assert running() == [job.pk for job in ours[:2]]
    first, second = [
        await jobs.create(stranger, wish(theirs, their_target, "a"), by="nils") for _ in range(2)
    ]
    assert running() == [ours[0].pk, ours[1].pk, first.pk]
    await jobs.cancel(ours[0])
    await ended(ours[0])
    async with asyncio.timeout(END_SECONDS):
        while ours[0].pk in jobs._jobs:  # noqa: ASYNC110
            await asyncio.sleep(0)
    # The other project has one running as well, and ours waits longer.
    assert running() == [ours[1].pk, first.pk]
    await jobs.cancel(ours[1])
    await ended(ours[1])
    async with asyncio.timeout(END_SECONDS):
        while len(running()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert running() == [ours[2].pk, first.pk]
    assert second.pk in jobs._jobs


@pytest.mark.usefixtures("local_engine")
async def test_one_whose_sandbox_is_paused_waits_and_says_so(
    project: Project, disk_place: DiskPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = StallingPlace((await sandbox_place(project)).sandbox)
    monkeypatch.setattr("disks.places.find", finder(disk_place, target))
    await write(disk_place, "/a.txt", b"content")
    transfer = await jobs.create(project, wish(disk_place, target, "a.txt"), by="mara")
    await target.was_asked.wait()

    await lifecycle.pause(target.sandbox)
    await jobs.tell()
    await jobs.tell()
    await database.read(transfer.refresh_from_db)
    transfer.bytes_done = 5
    row = JobRow(transfer)
    assert (row.word, row.pace) == ("Waiting", "")
    assert transfer.current == "Waiting: the sandbox is paused"

    # However often its links are found dead meanwhile.
    target.may_fail.set()
    await lifecycle.resume(target.sandbox)
    await jobs.tell()
    assert (await ended(transfer)).status == Status.DONE
    assert await read(target, "/workspace/a.txt") == b"content"


@pytest.mark.usefixtures("local_engine")
async def test_one_whose_sandbox_is_paused_before_its_turn_waits_too(
    project: Project, disk_place: DiskPlace, settings: Any
) -> None:
    target = await sandbox_place(project)
    await write(disk_place, "/a.txt", b"content")
    settings.TRANSFER_PARALLEL = 0
    transfer = await jobs.create(project, wish(disk_place, target, "a.txt"), by="mara")
    await lifecycle.pause(target.sandbox)
    await jobs.tell()
    settings.TRANSFER_PARALLEL = 1
    jobs._start_some()
    await asyncio.sleep(0.1)
    await jobs.tell()
    await database.read(transfer.refresh_from_db)
    assert (transfer.status, JobRow(transfer).word) == (Status.RUNNING, "Waiting")

    await lifecycle.resume(target.sandbox)
    await jobs.tell()
    assert (await ended(transfer)).status == Status.DONE
    assert await read(target, "/workspace/a.txt") == b"content"


async def test_one_that_is_paused_for_too_long_fails(
    project: Project, disk_place: DiskPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("disks.copying.PAUSED_SECONDS", 0)
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    await write(disk_place, "/a.txt")
    progress = Progress()
    progress.may_go.clear()
    copying = Copying(
        disk_place, "/", ["a.txt"], target, "/", False, OnConflict.REPLACE, progress, "mara"
    )

    with pytest.raises(Conflict) as refusal:
        await copying.run()

    assert refusal.value.tag == "sandbox_paused_too_long"


async def test_a_pause_that_a_copying_meets_before_it_is_told_ends_nothing(
    disk_place: DiskPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("disks.copying.NOTICE_SECONDS", 0.01)
    progress = Progress()
    copying = Copying(
        disk_place, "/", [], disk_place, "/", False, OnConflict.REPLACE, progress, "mara"
    )
    steps = 0

    async def step() -> str:
        nonlocal steps
        steps += 1
        if steps == 1:
            raise Conflict("the sandbox is paused; resume it first", tag="sandbox_paused")
        return "taken"

    assert await copying._patiently(step) == "taken"


@pytest.mark.usefixtures("local_engine")
@pytest.mark.parametrize("policy", list(OnConflict))
@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("way", ["to the box", "from the box", "within the box"])
async def test_a_tree_waits_for_a_paused_sandbox_at_every_step(
    project: Project,
    disk_place: DiskPlace,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    moves: bool,
    policy: OnConflict,
) -> None:
    box = await sandbox_place(project)
    source: Place = disk_place if way == "to the box" else box
    target: Place = disk_place if way == "from the box" else box
    names = {"a.txt", "deep/b.txt", "deep/er/c.txt"}
    for name in names:
        await write(source, f"/workspace/in/{name}", name.encode())
    # Something is in the way, so that a folder is not moved as a whole.
    await write(target, "/workspace/out/in/deep/other.txt")
    progress = Progress()
    for step in ("stat", "listing", "read", "write", "mkdir", "move", "copy", "remove"):
        lost = losing_answers(getattr(files, step), progress)
        monkeypatch.setattr(f"disks.places.sandbox.files.{step}", lost)

    await Copying(
        source, "/workspace", ["in"], target, "/workspace/out", moves, policy, progress, "mara"
    ).run()

    monkeypatch.undo()
    assert (progress.files_done, progress.problems) == (3, [])
    arrived = "/workspace/out/in" + (" (2)" if policy == OnConflict.RENAME else "")
    for name in names:
        assert await read(target, f"{arrived}/{name}") == name.encode()
    found = await tree(target, "/workspace/out")
    assert len([path for path in found if path.endswith(".txt")]) == 4
    assert await is_there(source, "/workspace/in") != moves


async def test_a_sandbox_that_ends_midway_says_why(
    project: Project, disk_place: DiskPlace, local_engine: None
) -> None:
    place = await sandbox_place(project)
    for number in range(5):
        await write(disk_place, f"/in/{number}", os.urandom(30_000_000))
    transfer = await jobs.create(project, wish(disk_place, place, "in"), by="mara")
    job = jobs._jobs[transfer.pk]
    async with asyncio.timeout(END_SECONDS):
        while not job.progress.files_done:  # noqa: ASYNC110
            await asyncio.sleep(0)

    await lifecycle.kill(place.sandbox, reason=Reason.KILLED, by="nils")
    transfer = await ended(transfer)

    assert transfer.status == Status.FAILED
    assert "it was killed by nils" in transfer.error
    assert jobs.result_of(transfer).endswith(f"{transfer.files_done} of 5 files copied")


async def test_a_target_that_is_gone_fails_it(project: Project, disk_place: DiskPlace) -> None:
    gone = await database.write(lambda: Disk.objects.create(project=project))
    target = DiskPlace(gone)
    await write(disk_place, "/a")
    await database.write(gone.delete)
    target.id = uuid.uuid4()

    transfer = await run(project, wish(disk_place, target, "a"))

    assert transfer.status == Status.FAILED


async def test_a_stopping_server_says_so_and_leaves_what_waits(
    project: Project, disk_place: DiskPlace, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRANSFER_PARALLEL = 1
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    stuck = StuckPlace(disk_place.disk)
    monkeypatch.setattr("disks.places.find", finder(stuck, target))
    await write(disk_place, "/a")
    running = await jobs.create(project, wish(stuck, target, "a"), by="mara")
    waiting = await jobs.create(project, wish(stuck, target, "a"), by="mara")
    await stuck.was_asked.wait()

    await jobs.stop()

    await database.read(running.refresh_from_db)
    await database.read(waiting.refresh_from_db)
    assert (running.status, running.error) == (Status.FAILED, "its server was stopped")
    assert (waiting.status, waiting.seen_at) == (Status.WAITING, None)
    stuck.may_go.set()
    await jobs.look_after()
    assert (await ended(waiting)).status == Status.DONE


async def test_one_whose_server_died_is_given_up(project: Project, disk_place: DiskPlace) -> None:
    long_ago = timezone.now() - 2 * jobs.STALE
    row = {
        "project": project,
        "source": "disk",
        "source_id": disk_place.id,
        "source_folder": "/",
        "names": ["a"],
        "target": "disk",
        "target_id": disk_place.id,
        "target_folder": "/b",
        "status": Status.RUNNING,
    }
    counted = {"files_total": 40, "files_done": 3}
    dead, at_once, cancelled, alive = await database.write(
        lambda: (
            Transfer.objects.create(**row, **counted, seen_at=long_ago),
            Transfer.objects.create(**row, seen_at=long_ago),
            Transfer.objects.create(**row, **counted, seen_at=long_ago, cancel_requested=True),
            Transfer.objects.create(**row, **counted, seen_at=timezone.now()),
        )
    )

    await jobs.look_after()
    for each in (at_once, cancelled):
        await database.read(each.refresh_from_db)

    await database.read(dead.refresh_from_db)
    await database.read(alive.refresh_from_db)
    assert (dead.status, alive.status) == (Status.FAILED, Status.RUNNING)
    assert jobs.result_of(dead) == "its server stopped; at least 3 of 40 files copied"
    assert jobs.result_of(at_once) == "its server stopped; it is not known how much was copied"
    assert jobs.result_of(cancelled) == "Cancelled: at least 3 of 40 files copied"


async def test_one_that_was_given_up_is_stopped(
    project: Project, disk_place: DiskPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    stuck = StuckPlace(disk_place.disk)
    monkeypatch.setattr("disks.places.find", finder(stuck, target))
    await write(disk_place, "/a")
    transfer = await jobs.create(project, wish(stuck, target, "a"), by="mara")
    await stuck.was_asked.wait()
    await database.write(jobs.finish, transfer, Status.FAILED, "its server stopped")

    await jobs.tell()
    task = jobs._jobs[transfer.pk].task
    assert task is not None
    await asyncio.wait([task], timeout=END_SECONDS)

    await database.read(transfer.refresh_from_db)
    assert (transfer.status, transfer.error) == (Status.FAILED, "its server stopped")
    assert not await is_there(target, "/a")


async def test_the_end_is_noted(project: Project, disk_place: DiskPlace) -> None:
    target = DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
    await write(disk_place, "/a")

    transfer = await run(project, wish(disk_place, target, "a"))

    line = await database.read(Activity.objects.get, verb="transfer.finish")
    assert (line.actor, line.object_id) == ("mara", str(transfer.pk))
    assert (line.outcome, line.detail) == (Activity.Outcome.DONE, "1 copied")


# Helpers


class StuckPlace(DiskPlace):
    """A disk whose files wait until they may go."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.was_asked, self.may_go = asyncio.Event(), asyncio.Event()

    async def read(self, path: str, start: int = 0, end: int | None = None) -> Any:
        self.was_asked.set()
        await self.may_go.wait()
        return await super().read(path, start, end)


class _Watched(Place):
    """Does something when a file was read to its end."""

    after_read: dict[str, Any]

    async def read(self, path: str, start: int = 0, end: int | None = None) -> Any:
        entry, chunks = await super().read(path, start, end)  # type: ignore[safe-super]

        async def watched() -> AsyncIterator[bytes]:
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
            if path in self.after_read:
                await asyncio.to_thread(self.after_read.pop(path))

        return entry, watched()


class WatchedPlace(_Watched, SandboxPlace):
    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.after_read: dict[str, Any] = {}


class WatchedDisk(_Watched, DiskPlace):
    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.after_read: dict[str, Any] = {}


class StallingPlace(SandboxPlace):
    """A sandbox whose link is found dead again and again, as while it is paused."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.was_asked, self.may_fail = asyncio.Event(), asyncio.Event()

    async def write(self, *path: Any, **how: Any) -> Any:
        if self.may_fail.is_set():
            return await super().write(*path, **how)
        self.was_asked.set()
        await self.may_fail.wait()
        raise Failed("the connection broke off", tag="link_lost")


class LosingPlace(SandboxPlace):
    """A sandbox whose first answer to a write is lost."""

    lost = False

    async def write(self, *path: Any, **how: Any) -> Any:
        entry = await super().write(*path, **how)
        if entry is not None and not self.lost:
            self.lost = True
            raise Failed("the connection broke off", tag="link_lost")
        return entry


def losing_answers(step: Any, progress: Progress) -> Any:
    """Return a step whose first answers come too late, as the sandbox is paused for a moment."""
    lost = 0

    async def losing(*told: Any, **how: Any) -> Any:
        nonlocal lost
        answer = await step(*told, **how)
        if lost < 4:
            lost += 1
            progress.may_go.clear()
            asyncio.get_running_loop().call_later(0.01, progress.may_go.set)
            raise Failed("the connection broke off", tag="link_lost")
        return answer

    return losing


def finder(*known: Place) -> Any:
    async def find(kind: str, place_id: uuid.UUID) -> Place:
        return next(place for place in known if place.id == place_id)

    return find


async def sandbox_place(project: Project) -> Any:
    from disks.places.sandbox import SandboxPlace
    from sandboxes.options import NewSandbox

    return SandboxPlace(await lifecycle.create(project, NewSandbox()))


async def folder_of(place: Any) -> Any:
    from sandboxes.engine import get_engine

    engine: Any = get_engine()
    sandbox: Sandbox = place.sandbox
    return engine._boxes[sandbox.box_name].folder
