"""Files through a guest: whole or not at all, under any name, and every refusal has its code."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sandboxes.guest.agent import PART
from sandboxes.guest.link import GuestError, Link
from tests.guest.guests import MIB, Guest, comes_true, run

ODD_NAMES = [
    "a b",
    "-rf",
    "ä\u20ac\U0001f600",
    "new\nline",
    "'\"$`\\",
    "\udcff\udcfe",
    "x" * 255,
    " ",
]


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(link: Link, path: str, **span) -> bytes:
    _, chunks = await link.read(path, **span)
    return b"".join([chunk async for chunk in chunks])


async def refused(request) -> str:
    """Return the code that a request is refused with."""
    with pytest.raises(GuestError) as caught:
        await request
    return caught.value.code


# What a file is


async def test_file_is_described(link: Link, folder: str, place: Path) -> None:
    (place / "file").write_bytes(b"12345")
    (place / "file").chmod(0o640)

    found = await link.stat(f"{folder}/file")

    assert (found.path, found.name) == (f"{folder}/file", "file")
    assert (found.kind, found.size, found.mode, found.target) == ("file", 5, 0o640, None)
    assert found.modified == pytest.approx((place / "file").stat().st_mtime)
    assert found.uid == os.getuid()


async def test_kinds_are_told_apart(link: Link, folder: str, place: Path) -> None:
    (place / "folder").mkdir()
    (place / "link").symlink_to("folder")
    os.mkfifo(place / "pipe")

    assert (await link.stat(f"{folder}/folder")).kind == "directory"
    assert (await link.stat(f"{folder}/pipe")).kind == "other"
    assert (await link.stat(f"{folder}/link")).kind == "directory"
    unfollowed = await link.stat(f"{folder}/link", follow=False)
    assert (unfollowed.kind, unfollowed.target) == ("symlink", "folder")


async def test_link_that_leads_nowhere_is_described_itself(
    link: Link, folder: str, place: Path
) -> None:
    (place / "link").symlink_to("nowhere")

    found = await link.stat(f"{folder}/link")

    assert (found.kind, found.target) == ("symlink", "nowhere")


@pytest.mark.parametrize("call", ["stat", "list", "read", "remove"])
async def test_missing_file_is_not_found(link: Link, folder: str, call: str) -> None:
    assert await refused(getattr(link, call)(f"{folder}/missing")) == "not_found"


@pytest.mark.parametrize("path", ["", "relative", "nul\0inside", "/nul\0inside"])
@pytest.mark.parametrize("call", ["stat", "list", "read", "mkdir", "remove"])
async def test_path_that_is_none_is_invalid(link: Link, path: str, call: str) -> None:
    assert await refused(getattr(link, call)(path)) == "invalid"


@pytest.mark.parametrize("call", ["stat", "list", "read"])
async def test_links_in_a_circle_are_invalid(
    link: Link, folder: str, place: Path, call: str
) -> None:
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")

    assert await refused(getattr(link, call)(f"{folder}/a")) == "invalid"


async def test_name_that_is_too_long_is_invalid(link: Link, folder: str) -> None:
    assert await refused(link.stat(f"{folder}/{'x' * 256}")) == "invalid"


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_pass(link: Link, folder: str, place: Path, name: str) -> None:
    await link.write(f"{folder}/{name}", parts(b"content"))

    entries, _ = await link.list(folder)
    assert [entry.name for entry in entries] == [name]
    assert await read(link, entries[0].path) == b"content"
    assert [path.name for path in place.iterdir()] == [name]


# Lists


async def test_list_is_sorted_and_goes_on_where_it_stopped(
    link: Link, folder: str, place: Path
) -> None:
    for name in "bdaec":
        (place / name).touch()

    first, after = await link.list(folder, limit=2)
    assert after is not None
    rest, end = await link.list(folder, after=after)

    assert [entry.name for entry in first] == ["a", "b"]
    assert [entry.name for entry in rest] == ["c", "d", "e"]
    assert end is None


async def test_list_ends_exactly(link: Link, folder: str, place: Path) -> None:
    (place / "a").touch()

    assert (await link.list(folder, limit=1))[1] is None


async def test_long_list_comes_in_pieces(link: Link, folder: str, place: Path) -> None:
    for number in range(1200):
        (place / f"{number:04}").touch()
    found, after = [], ""

    while True:
        entries, more = await link.list(folder, after=after)
        found += [entry.name for entry in entries]
        if more is None:
            break
        after = more

    assert found == [f"{number:04}" for number in range(1200)]


async def test_list_of_a_file_is_refused(link: Link, folder: str, place: Path) -> None:
    (place / "file").touch()

    assert await refused(link.list(f"{folder}/file")) == "not_a_directory"


# Reading


@pytest.mark.parametrize(
    ("span", "content"),
    [
        ({}, b"0123456789"),
        ({"start": 3}, b"3456789"),
        ({"start": 3, "end": 5}, b"34"),
        ({"end": 4}, b"0123"),
        ({"start": 8, "end": 100}, b"89"),
        ({"start": 100}, b""),
        ({"start": 5, "end": 2}, b""),
    ],
)
async def test_range_is_read(link: Link, folder: str, place: Path, span, content: bytes) -> None:
    (place / "file").write_bytes(b"0123456789")

    assert await read(link, f"{folder}/file", **span) == content


async def test_range_that_starts_below_zero_is_invalid(
    link: Link, folder: str, place: Path
) -> None:
    (place / "file").write_bytes(b"0123456789")

    assert await refused(read(link, f"{folder}/file", start=-3)) == "invalid"


async def test_large_file_arrives_whole(link: Link, folder: str, place: Path) -> None:
    content = os.urandom(20 * MIB)
    (place / "file").write_bytes(content)

    assert await read(link, f"{folder}/file") == content


async def test_many_files_are_read_at_once(link: Link, folder: str, place: Path) -> None:
    for number in range(20):
        (place / str(number)).write_bytes(bytes([number]) * MIB)

    contents = await asyncio.gather(*(read(link, f"{folder}/{n}") for n in range(20)))

    assert contents == [bytes([number]) * MIB for number in range(20)]


async def test_reading_can_be_given_up(guest: Guest, link: Link, folder: str, place: Path) -> None:
    (place / "file").write_bytes(bytes(30 * MIB))
    _, chunks = await link.read(f"{folder}/file")
    await anext(chunks)

    await chunks.aclose()

    assert await comes_true(lambda: str(place / "file") not in open_files(guest))
    assert (await run(link, "echo fine")).stdout == b"fine\n"


async def test_reader_who_waits_holds_nobody_up(link: Link, folder: str, place: Path) -> None:
    (place / "file").write_bytes(bytes(30 * MIB))
    _, chunks = await link.read(f"{folder}/file")
    await anext(chunks)

    assert (await run(link, "echo fine")).stdout == b"fine\n"
    await chunks.aclose()


async def test_file_that_shrinks_while_it_is_read_is_an_error(
    link: Link, folder: str, place: Path
) -> None:
    (place / "file").write_bytes(bytes(30 * MIB))
    _, chunks = await link.read(f"{folder}/file")
    await anext(chunks)
    os.truncate(place / "file", 100)

    with pytest.raises(GuestError) as caught:
        async for _ in chunks:
            pass

    assert caught.value.code == "changed"


@pytest.mark.parametrize(("kind", "code"), [("pipe", "not_a_file"), ("folder", "is_a_directory")])
async def test_what_is_no_file_is_not_read(
    link: Link, folder: str, place: Path, kind: str, code: str
) -> None:
    if kind == "pipe":
        os.mkfifo(place / "it")
    else:
        (place / "it").mkdir()

    assert await refused(link.read(f"{folder}/it")) == code


async def test_reading_from_devices_is_refused(guest: Guest, link: Link, place: Path) -> None:
    (place / "zero").symlink_to("/dev/zero")

    assert await refused(link.read(f"/workspace/{place.name}/zero")) == "not_a_file"


# Writing


async def test_file_is_written(link: Link, folder: str, place: Path) -> None:
    found = await link.write(f"{folder}/file", parts(b"one", b"two"))

    assert (found.size, found.mode) == (6, 0o644)
    assert (place / "file").read_bytes() == b"onetwo"


async def test_empty_file_is_written(link: Link, folder: str, place: Path) -> None:
    await link.write(f"{folder}/file", parts())

    assert (place / "file").read_bytes() == b""


async def test_large_file_is_written_whole(link: Link, folder: str, place: Path) -> None:
    content = os.urandom(20 * MIB)

    await link.write(f"{folder}/file", parts(content), size=len(content))

    assert (place / "file").read_bytes() == content


async def test_file_is_replaced_and_keeps_its_mode(link: Link, folder: str, place: Path) -> None:
    (place / "file").write_bytes(b"longer than what comes")
    (place / "file").chmod(0o755)

    await link.write(f"{folder}/file", parts(b"new"))

    assert (place / "file").read_bytes() == b"new"
    assert (place / "file").stat().st_mode & 0o777 == 0o755


async def test_mode_is_chosen(link: Link, folder: str) -> None:
    assert (await link.write(f"{folder}/file", parts(b"x"), mode=0o600)).mode == 0o600


async def test_time_is_chosen(link: Link, folder: str) -> None:
    assert (
        await link.write(f"{folder}/file", parts(b"x"), modified=1e9 + 0.5)
    ).modified == 1e9 + 0.5


async def test_written_file_is_known_by_its_key(link: Link, folder: str) -> None:
    await link.write(f"{folder}/file", parts(b"123"), key="one")
    await link.move(f"{folder}/file", f"{folder}/gone")
    await link.write(f"{folder}/other", parts(b"12345"), key="two")

    found = await link.written("two")

    assert (found.path, found.size) == (f"{folder}/other", 5)
    assert await refused(link.written("one")) == "not_found"
    assert await refused(link.written("three")) == "not_found"


async def test_old_content_is_seen_until_the_new_is_complete(
    link: Link, folder: str, place: Path
) -> None:
    (place / "file").write_bytes(b"old")
    begun, go = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"n"
        begun.set()
        await go.wait()
        yield b"ew"

    writing = asyncio.create_task(link.write(f"{folder}/file", chunks()))
    await begun.wait()
    assert (place / "file").read_bytes() == b"old"
    go.set()
    await writing

    assert (place / "file").read_bytes() == b"new"


async def test_aborted_write_leaves_nothing(link: Link, folder: str, place: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        raise RuntimeError("the source broke off")

    with pytest.raises(RuntimeError):
        await link.write(f"{folder}/file", chunks())

    assert await comes_true(lambda: not list(place.iterdir()))


async def test_cancelled_write_leaves_nothing_and_the_link_in_order(
    link: Link, folder: str, place: Path
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield bytes(MIB)

    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.write(f"{folder}/file", chunks()), 0.03)

    assert (await run(link, "echo fine")).stdout == b"fine\n"
    assert await comes_true(lambda: not list(place.iterdir()))


async def test_write_of_a_lost_link_leaves_nothing(guest: Guest, folder: str, place: Path) -> None:
    lost, begun = await guest.link(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(lost.write(f"{folder}/file", chunks()))
    await begun.wait()
    assert await comes_true(lambda: [path.name[: len(PART)] for path in place.iterdir()] == [PART])
    await lost.close()
    writing.cancel()

    assert await comes_true(lambda: not list(place.iterdir()))


@pytest.mark.parametrize("size", [2, 4])
async def test_write_of_another_size_than_was_said_is_refused(
    link: Link, folder: str, place: Path, size: int
) -> None:
    assert await refused(link.write(f"{folder}/file", parts(b"123"), size=size)) == "changed"
    assert not list(place.iterdir())


async def test_existing_file_is_kept_if_so_asked(link: Link, folder: str, place: Path) -> None:
    (place / "file").write_bytes(b"old")

    code = await refused(link.write(f"{folder}/file", parts(b"new"), overwrite=False))

    assert code == "exists"
    assert (place / "file").read_bytes() == b"old"


async def test_one_of_two_who_may_not_overwrite_wins(link: Link, folder: str, place: Path) -> None:
    results = await asyncio.gather(
        *(link.write(f"{folder}/file", parts(b"%d" % n), overwrite=False) for n in range(8)),
        return_exceptions=True,
    )

    assert sum(not isinstance(result, GuestError) for result in results) == 1
    assert [path.name for path in place.iterdir()] == ["file"]


async def test_parents_are_made(link: Link, folder: str, place: Path) -> None:
    await link.write(f"{folder}/a/b/file", parts(b"x"))

    assert (place / "a/b/file").read_bytes() == b"x"


async def test_parents_are_not_made_unasked(link: Link, folder: str) -> None:
    writing = link.write(f"{folder}/a/file", parts(b"x"), make_parents=False)

    assert await refused(writing) == "not_found"


async def test_parent_that_is_a_file_is_refused(link: Link, folder: str, place: Path) -> None:
    (place / "file").touch()

    code = await refused(link.write(f"{folder}/file/below", parts(b"x")))

    assert code in ("exists", "not_a_directory")


@pytest.mark.parametrize(("path", "code"), [("folder", "is_a_directory"), ("new/", "invalid")])
async def test_folder_is_not_written_to(
    link: Link, folder: str, place: Path, path: str, code: str
) -> None:
    (place / "folder").mkdir()

    assert await refused(link.write(f"{folder}/{path}", parts(b"x"))) == code
    assert [path.name for path in place.iterdir()] == ["folder"]


async def test_link_is_replaced_and_not_followed(link: Link, folder: str, place: Path) -> None:
    (place / "target").write_bytes(b"old")
    (place / "link").symlink_to("target")

    await link.write(f"{folder}/link", parts(b"new"))

    assert (place / "target").read_bytes() == b"old"
    assert (place / "link").read_bytes() == b"new"


# No space


@pytest.fixture
def small(place: Path) -> Iterator[Path]:
    """A file system of one MiB in the test's folder."""
    path = place / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root, to mount a small file system")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("size", [2 * MIB, None], ids=["announced", "found out"])
async def test_full_file_system_is_told_and_no_half_file_is_left(
    link: Link, folder: str, small: Path, size: int | None
) -> None:
    (small / "file").write_bytes(b"old")

    code = await refused(link.write(f"{folder}/small/file", parts(bytes(2 * MIB)), size=size))

    assert code == "no_space"
    assert [path.name for path in small.iterdir()] == ["file"]
    assert (small / "file").read_bytes() == b"old"


# Folders, moving and removing


async def test_folder_is_made_with_its_parents(link: Link, folder: str, place: Path) -> None:
    await link.mkdir(f"{folder}/a/b")
    await link.mkdir(f"{folder}/a/b")

    assert (place / "a/b").is_dir()


async def test_folder_is_made_once_without_parents(link: Link, folder: str) -> None:
    await link.mkdir(f"{folder}/a", parents=False)

    assert await refused(link.mkdir(f"{folder}/a", parents=False)) == "exists"
    assert await refused(link.mkdir(f"{folder}/b/c", parents=False)) == "not_found"


async def test_folder_in_the_place_of_a_file_is_refused(
    link: Link, folder: str, place: Path
) -> None:
    (place / "file").touch()

    assert await refused(link.mkdir(f"{folder}/file")) == "exists"


@pytest.mark.parametrize("call", ["move", "copy"])
async def test_file_is_moved_or_copied(link: Link, folder: str, place: Path, call: str) -> None:
    (place / "one").write_bytes(b"content")

    await getattr(link, call)(f"{folder}/one", f"{folder}/two")

    assert (place / "two").read_bytes() == b"content"
    assert (place / "one").exists() == (call == "copy")


@pytest.mark.parametrize("call", ["move", "copy"])
async def test_folder_is_moved_or_copied(link: Link, folder: str, place: Path, call: str) -> None:
    (place / "one/deep").mkdir(parents=True)
    (place / "one/deep/link").symlink_to("/nowhere")

    await getattr(link, call)(f"{folder}/one", f"{folder}/two")

    assert (place / "two/deep/link").readlink() == Path("/nowhere")
    assert (place / "one").exists() == (call == "copy")


@pytest.mark.parametrize("call", ["move", "copy"])
async def test_what_is_there_is_replaced_only_if_asked(
    link: Link, folder: str, place: Path, call: str
) -> None:
    (place / "one").write_bytes(b"new")
    (place / "two").write_bytes(b"old")
    ask = getattr(link, call)

    assert await refused(ask(f"{folder}/one", f"{folder}/two")) == "exists"
    assert (place / "two").read_bytes() == b"old"
    await ask(f"{folder}/one", f"{folder}/two", overwrite=True)

    assert (place / "two").read_bytes() == b"new"


@pytest.mark.parametrize("call", ["move", "copy"])
async def test_missing_file_is_neither_moved_nor_copied(link: Link, folder: str, call: str) -> None:
    asking = getattr(link, call)(f"{folder}/missing", f"{folder}/two")

    assert await refused(asking) == "not_found"


async def test_file_moves_to_another_file_system(link: Link, folder: str, small: Path) -> None:
    await link.write(f"{folder}/file", parts(b"content"))

    await link.move(f"{folder}/file", f"{folder}/small/file")

    assert (small / "file").read_bytes() == b"content"
    assert await refused(link.stat(f"{folder}/file")) == "not_found"


@pytest.mark.parametrize("call", ["move", "copy"])
async def test_folder_does_not_go_into_itself(
    link: Link, folder: str, place: Path, call: str
) -> None:
    (place / "one/deep").mkdir(parents=True)

    code = await refused(getattr(link, call)(f"{folder}/one", f"{folder}/one/deep/two"))

    assert code == "invalid"
    assert not list((place / "one/deep").iterdir())


async def test_removing(link: Link, folder: str, place: Path) -> None:
    (place / "file").touch()
    (place / "empty").mkdir()
    (place / "full/deep").mkdir(parents=True)

    await link.remove(f"{folder}/file")
    await link.remove(f"{folder}/empty")
    assert await refused(link.remove(f"{folder}/full")) == "not_empty"
    await link.remove(f"{folder}/full", recursive=True)

    assert not list(place.iterdir())


async def test_removing_a_link_leaves_what_it_leads_to(
    link: Link, folder: str, place: Path
) -> None:
    (place / "target").mkdir()
    (place / "target/file").touch()
    (place / "link").symlink_to("target")

    await link.remove(f"{folder}/link", recursive=True)

    assert (place / "target/file").exists()
    assert not (place / "link").is_symlink()


async def test_usage_counts_the_workspace(link: Link) -> None:
    usage = await link.usage()

    assert 0 < usage.workspace_bytes <= usage.workspace_limit_bytes


def open_files(guest: Guest) -> set[str]:
    found = set()
    for path in Path(f"/proc/{guest.pid}/fd").iterdir():
        with suppress(OSError):
            found.add(str(path.readlink()))
    return found
