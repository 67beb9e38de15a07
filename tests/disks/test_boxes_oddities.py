"""What only a real box holds: folders that nobody may read, and names that are not UTF-8."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import pytest

from disks import archive, collisions, finding, jobs
from disks.models import Disk, Transfer
from disks.places.disk import DiskPlace
from disks.places.sandbox import SandboxPlace
from project.errors import Forbidden
from project.models import Project
from sandboxes import guests, lifecycle
from sandboxes.options import NewSandbox
from tests.disks.conftest import sandboxes_on
from tests.disks.test_jobs import ended, is_there, read, tree, wish, write
from tests.guest.guests import run

pytestmark = [pytest.mark.slow, pytest.mark.docker]

LOCKED = """
mkdir -p in/locked in/open
echo a > in/a.txt; echo b > in/open/b.txt; echo c > in/locked/c.txt
chmod 000 in/locked
"""
ODD = r"""
mkdir -p in "$(printf 'in/d\351p\364t')"
echo a > in/a.txt; echo b > "$(printf 'in/d\351p\364t/b.txt')"; echo c > "$(printf 'in/caf\351.txt')"
"""


class Box:
    """A sandbox, and what happens in it."""

    def __init__(self, place: SandboxPlace) -> None:
        self.place = place

    async def run(self, script: str) -> str:
        link = await guests.get_link(self.place.sandbox)
        ended = await run(link, f"cd /workspace; {script}")
        return ended.stdout.decode()


@pytest.fixture
async def box(settings: Any, project: Project) -> AsyncIterator[Box]:
    async with sandboxes_on("docker", settings):
        yield Box(SandboxPlace(await lifecycle.create(project, NewSandbox())))


@pytest.fixture
def disk_place(project: Project) -> DiskPlace:
    return DiskPlace(Disk.objects.create(project=project, name="reports"))


@pytest.fixture(autouse=True)
async def no_jobs_left(transactional_db: None) -> AsyncIterator[None]:
    yield
    await jobs.stop()


async def transferred(project: Project, wanted: jobs.Wish) -> Transfer:
    return await ended(await jobs.create(project, wanted, by="mara"))


async def unzipped(place: SandboxPlace, folder: str, *names: str) -> dict[str, bytes]:
    found = await archive.members(place, folder, names)
    data = b"".join([chunk async for chunk in archive.stream(place, found)])
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        return {name: made.read(name) for name in made.namelist()}


# Folders that nobody may read


async def test_a_walk_goes_on_past_a_locked_folder(box: Box) -> None:
    await box.run(LOCKED)

    found = {entry.path: entry.trouble async for entry in box.place.walk("/workspace/in")}

    assert found == {
        "/workspace/in": "",
        "/workspace/in/a.txt": "",
        "/workspace/in/locked": "Permission denied",
        "/workspace/in/open": "",
        "/workspace/in/open/b.txt": "",
    }


async def test_a_transfer_leaves_out_a_locked_folder_and_copies_the_rest(
    project: Project, box: Box, disk_place: DiskPlace
) -> None:
    await box.run(LOCKED)
    await disk_place.mkdir("/in/locked")

    wanted = wish(box.place, disk_place, "in", moves=True)
    assert (await collisions.find(wanted)).more
    moved = await transferred(project, wanted)

    assert moved.status == Transfer.Status.DONE
    assert (moved.files_done, moved.files_failed, moved.files_total) == (2, 1, 3)
    assert moved.problems == [{"path": "/workspace/in/locked", "why": "Permission denied"}]
    assert await tree(disk_place, "/in") == ["/a.txt", "/locked", "/open", "/open/b.txt"]
    assert await box.run("ls in; chmod 700 in/locked; cat in/locked/c.txt") == "locked\nc\n"


async def test_a_search_tells_of_what_it_could_not_read(box: Box) -> None:
    await box.run(LOCKED)

    names = await finding.find(box.place, finding.Wish("*.txt", "/workspace/in"))
    hits = await finding.find(box.place, finding.Wish("b", "/workspace/in", in_content=True))
    none = await finding.find(box.place, finding.Wish("c", "/workspace/in/locked"))

    assert [each.path for each in names.results] == [
        "/workspace/in/a.txt",
        "/workspace/in/open/b.txt",
    ]
    assert [each.path for each in hits.results] == ["/workspace/in/open/b.txt"]
    assert [names.unreadable, hits.unreadable, none.unreadable] == [1, 1, 1]


async def test_a_search_from_the_root_comes_to_the_workspace(box: Box) -> None:
    await box.run("touch needle.txt")

    found = await finding.find(box.place, finding.Wish("needle.txt", "/"))

    assert [each.path for each in found.results] == ["/workspace/needle.txt"]
    assert found.stopped == ""
    assert found.unreadable > 2


async def test_a_zip_names_what_it_leaves_out(box: Box) -> None:
    await box.run(LOCKED + ODD)

    made = await unzipped(box.place, "/workspace/in")
    chosen = await unzipped(box.place, "/workspace/in", "a.txt", "locked")
    nothing = await unzipped(box.place, "/workspace/in/locked")

    assert made["a.txt"] == b"a\n"
    assert made["d\ufffdp\ufffdt/b.txt"] == b"b\n"
    assert made["LEFT OUT.txt"] == b"locked: Permission denied\n"
    assert chosen == {"a.txt": b"a\n", "LEFT OUT.txt": b"locked: Permission denied\n"}
    assert nothing == {"LEFT OUT.txt": b"locked: Permission denied\n"}


async def test_a_removed_folder_keeps_only_what_is_locked_and_says_so(box: Box) -> None:
    await box.run(LOCKED + "touch other")

    with pytest.raises(Forbidden) as refusal:
        await box.place.remove(["/workspace/in", "/workspace/other"], "mara")

    assert refusal.value.message == (
        "/workspace/in/locked: Permission denied; it stays, and the rest was removed; "
        "1 of 2 are removed"
    )
    assert await box.run("find . -mindepth 1 2>/dev/null | sort") == "./in\n./in/locked\n"
    with pytest.raises(Forbidden) as refusal:
        await box.place.remove(["/workspace/in/locked"], "mara")
    assert refusal.value.message == "/workspace/in/locked: Permission denied"


# Names that are not UTF-8


async def test_a_name_that_is_not_utf8_can_be_worked_with(box: Box) -> None:
    await box.run(ODD)
    listed = {e.name: e async for e in box.place.walk("/workspace/in")}
    names = [entry.name for entry in (await box.place.listing("/workspace/in")).entries]
    file, folder = names[2], names[0]
    assert set(names) == set(listed) - {"in", "b.txt"}
    "".join(names).encode()

    assert await read(box.place, f"/workspace/in/{file}") == b"c\n"
    await box.place.move(f"/workspace/in/{file}", "/workspace/in/café.txt")
    await box.place.move(f"/workspace/in/{folder}/b.txt", f"/workspace/in/{folder}/{file}")
    assert await box.run(r"""cat in/café.txt "$(printf 'in/d\351p\364t/caf\351.txt')" """) == (
        "c\nb\n"
    )
    await box.place.remove([f"/workspace/in/{folder}"], "mara")
    assert await box.run("ls in") == "a.txt\ncafé.txt\n"


async def test_a_transfer_to_a_disk_leaves_out_only_such_names(
    project: Project, box: Box, disk_place: DiskPlace
) -> None:
    await box.run(ODD)

    copied = await transferred(project, wish(box.place, disk_place, "in"))

    assert (copied.status, copied.files_done, copied.files_total) == (Transfer.Status.DONE, 1, 3)
    assert {problem["path"] for problem in copied.problems} == {
        "/workspace/in/d�p�t",
        "/workspace/in/caf�.txt",
    }
    assert all("not text in UTF-8" in problem["why"] for problem in copied.problems)
    assert await tree(disk_place, "/in") == ["/a.txt"]


async def test_a_selection_with_such_a_name_is_copied_without_it(
    project: Project, box: Box, disk_place: DiskPlace
) -> None:
    await box.run(ODD)
    names = [entry.name for entry in (await box.place.listing("/workspace/in")).entries]

    wanted = jobs.Wish(box.place, "/workspace/in", names, disk_place, "/")
    copied = await transferred(project, wanted)

    assert (copied.files_done, len(copied.problems)) == (1, 2)
    assert await is_there(disk_place, "/a.txt")


async def test_such_names_go_from_sandbox_to_sandbox(project: Project, box: Box) -> None:
    await box.run(ODD)
    other = Box(SandboxPlace(await lifecycle.create(project, NewSandbox())))

    copied = await transferred(project, wish(box.place, other.place, "in"))

    assert (copied.files_done, copied.problems) == (3, [])
    ours, theirs = [await each.run("find . | sort | od -c") for each in (box, other)]
    assert ours == theirs


async def test_a_copy_in_another_sandbox_runs_as_the_file_did(project: Project, box: Box) -> None:
    await box.run(
        "mkdir in; echo 'echo ran' > in/run.sh; chmod 4755 in/run.sh; touch -d 2001-02-03 in/run.sh"
    )
    other = Box(SandboxPlace(await lifecycle.create(project, NewSandbox())))

    await transferred(project, wish(box.place, other.place, "in"))

    assert (
        await other.run("./in/run.sh; stat -c '%a %y' in/run.sh | cut -c1-14")
        == "ran\n755 2001-02-03\n"
    )


# A pause


async def test_a_transfer_goes_on_when_its_sandbox_is_resumed(
    project: Project, box: Box, disk_place: DiskPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STALL_SECONDS", "CALL_SECONDS", "GIVE_UP_SECONDS"):
        monkeypatch.setattr(f"sandboxes.guest.link.{name}", 1.0)
    for name in ("a", "b"):
        await write(disk_place, f"/in/{name}", b"x" * 60_000_000)
    transfer = await jobs.create(project, wish(disk_place, box.place, "in"), by="mara")
    progress = jobs._jobs[transfer.pk].progress
    async with asyncio.timeout(20):
        while not progress.bytes_done:  # noqa: ASYNC110
            await asyncio.sleep(0)

    await lifecycle.pause(box.place.sandbox)
    await jobs.tell()
    assert progress.counts()["current"] == "Waiting: the sandbox is paused"
    # Longer than it takes to find a link dead, and as often as files are tried.
    await asyncio.sleep(4)
    await lifecycle.resume(box.place.sandbox)
    await ended(transfer)

    assert (transfer.status, transfer.files_done, transfer.problems) == ("done", 2, [])
    assert await box.run("cat in/a in/b | wc -c; ls -A in") == "120000000\na\nb\n"
