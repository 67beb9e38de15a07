"""One contract for every place that holds files: a disk, and a sandbox on each engine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from disks import entries
from disks.models import OnConflict
from disks.places.base import Place
from project.errors import Conflict, Invalid, NotFound, Refused

pytestmark = pytest.mark.slow


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 50_000):
        yield data[start : start + 50_000]


class Tree:
    """Files below the folder where a place starts."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def at(self, path: str) -> str:
        return entries.join(self.place.start, path) if path else self.place.start

    async def put(self, path: str, data: bytes = b"text\n", **how: Any) -> Any:
        return await self.place.write(self.at(path), pieces(data), size=len(data), **how)

    async def get(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        _, chunks = await self.place.read(self.at(path), start, end)
        async with aclosing(chunks) as stream:
            return b"".join([chunk async for chunk in stream])

    async def names(self, path: str = "", **how: Any) -> list[str]:
        listing = await self.place.listing(self.at(path), **how)
        return [f"{e.name}/" if e.kind == "folder" else e.name for e in listing.entries]

    async def everything(self, path: str = "") -> list[str]:
        top = self.at(path)
        async with aclosing(self.place.walk(top)) as found:
            return [
                e.path.removeprefix(top).strip("/") + ("/" if e.kind == "folder" else "")
                async for e in found
                if e.path != top
            ]


@pytest.fixture
def tree(place: Place) -> Tree:
    return Tree(place)


@pytest.mark.parametrize("size", [0, 1, 300_000])
async def test_bytes_make_the_round_trip(tree: Tree, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    entry = await tree.put("deep/er/file.bin", data)

    assert (entry.path, entry.name, entry.kind) == (tree.at("deep/er/file.bin"), "file.bin", "file")
    assert entry.size == size
    assert await tree.get("deep/er/file.bin") == data
    assert await tree.get("deep/er/file.bin", 2, 10) == data[2:10]


async def test_a_folder_is_listed_folders_first(tree: Tree) -> None:
    for path, size in (("b.txt", 3), ("A.txt", 2), ("sub/c", 1), (".hidden", 1)):
        await tree.put(f"d/{path}", b"x" * size)

    assert await tree.names("d") == ["sub/", ".hidden", "A.txt", "b.txt"]
    assert await tree.names("d", sort="name", descending=True) == [
        "sub/",
        "b.txt",
        "A.txt",
        ".hidden",
    ]
    assert await tree.names("d", sort="size", descending=True, hidden=False) == [
        "sub/",
        "b.txt",
        "A.txt",
    ]
    assert await tree.names("d", match="TXT") == ["A.txt", "b.txt"]


async def test_a_folder_is_listed_in_pages(tree: Tree) -> None:
    for name in ("s1/x", "s2/x", "a", "b", "c"):
        await tree.put(f"d/{name}")
    folder = tree.at("d")

    pages = [await tree.place.listing(folder, offset=n, limit=2) for n in (0, 2, 4)]

    assert [[e.name for e in page.entries] for page in pages] == [["s1", "s2"], ["a", "b"], ["c"]]
    assert [page.more for page in pages] == [True, True, False]
    assert {page.total for page in pages} == {5}


async def test_a_missing_folder_is_not_found(tree: Tree) -> None:
    with pytest.raises(NotFound):
        await tree.place.listing(tree.at("nothing"))
    with pytest.raises(NotFound):
        await tree.place.stat(tree.at("nothing"))
    with pytest.raises(NotFound):
        await tree.get("nothing")


async def test_a_folder_is_made_once(tree: Tree) -> None:
    entry = await tree.place.mkdir(tree.at("new/inner"))

    assert (entry.kind, entry.name) == ("folder", "inner")
    assert await tree.names("new") == ["inner/"]
    assert await tree.names("new/inner") == []
    with pytest.raises(Conflict) as refusal:
        await tree.place.mkdir(tree.at("new/inner"))
    assert refusal.value.tag == "exists"
    assert (await tree.place.mkdir(tree.at("new/inner"), exist_ok=True)).kind == "folder"


async def test_no_folder_is_made_where_a_file_is(tree: Tree) -> None:
    await tree.put("a")

    for path in ("a", "a/b"):
        with pytest.raises(Conflict):
            await tree.place.mkdir(tree.at(path))
    with pytest.raises(Refused):
        await tree.put("a/b")
    await tree.put("folder/x")
    with pytest.raises(Conflict):
        await tree.put("folder")


async def test_a_taken_name_is_a_matter_of_policy(tree: Tree) -> None:
    await tree.put("r.txt", b"old")

    assert await tree.put("r.txt", b"new", on_conflict=OnConflict.SKIP) is None
    with pytest.raises(Conflict) as refusal:
        await tree.put("r.txt", b"new", on_conflict=None)
    assert refusal.value.tag == "exists"
    assert await tree.get("r.txt") == b"old"

    beside = await tree.put("r.txt", b"new", on_conflict=OnConflict.RENAME)
    assert beside.name == "r (2).txt"
    assert (await tree.get("r.txt"), await tree.get("r (2).txt")) == (b"old", b"new")
    assert await tree.place.name_beside(tree.at("r.txt")) == tree.at("r (3).txt")

    await tree.put("r.txt", b"third", on_conflict=OnConflict.REPLACE)
    assert await tree.get("r.txt") == b"third"


async def test_a_file_is_saved_only_as_it_was_opened(tree: Tree) -> None:
    opened = await tree.put("a", b"first")
    saved = await tree.put("a", b"second", expected_etag=opened.etag)
    assert saved.etag != opened.etag

    with pytest.raises(Conflict) as refusal:
        await tree.put("a", b"third", expected_etag=opened.etag)
    assert refusal.value.tag == "changed"
    with pytest.raises(Conflict) as refusal:
        await tree.put("a", b"third", expected_etag="")
    assert refusal.value.tag == "exists"

    assert await tree.get("a") == b"second"
    assert (await tree.place.stat(tree.at("a"))).etag == saved.etag


async def test_a_file_that_is_gone_has_changed(tree: Tree) -> None:
    opened = await tree.put("a")
    await tree.place.remove([tree.at("a")], "alice")

    with pytest.raises(Conflict) as refusal:
        await tree.put("a", b"again", expected_etag=opened.etag)
    assert refusal.value.tag == "changed"


async def test_fewer_bytes_than_announced_leave_nothing(tree: Tree) -> None:
    await tree.put("a", b"old")

    with pytest.raises(Refused):
        await tree.place.write(tree.at("a"), pieces(b"half"), size=8)

    assert await tree.get("a") == b"old"
    assert await tree.names() == ["a"]


async def test_a_file_moves(tree: Tree) -> None:
    await tree.put("from/a", b"content")

    moved = await tree.place.move(tree.at("from/a"), tree.at("to/b"))

    assert moved is not None
    assert moved.path == tree.at("to/b")
    assert await tree.get("to/b") == b"content"
    # The folder it was in is still there, though empty.
    assert await tree.everything() == ["from/", "to/", "to/b"]


async def test_a_folder_moves_with_all_that_is_in_it(tree: Tree) -> None:
    await tree.put("d/sub/a", b"a")
    await tree.place.mkdir(tree.at("d/empty"))

    await tree.place.move(tree.at("d"), tree.at("else/e"))

    assert sorted(await tree.everything()) == [
        "else/",
        "else/e/",
        "else/e/empty/",
        "else/e/sub/",
        "else/e/sub/a",
    ]
    assert await tree.get("else/e/sub/a") == b"a"


async def test_a_file_and_a_folder_are_copied(tree: Tree) -> None:
    await tree.put("d/sub/a", b"a")
    await tree.place.mkdir(tree.at("d/empty"))

    await tree.place.copy(tree.at("d"), tree.at("e"))
    await tree.place.copy(tree.at("d/sub/a"), tree.at("alone"))

    assert sorted(await tree.everything("e")) == ["empty/", "sub/", "sub/a"]
    assert await tree.get("e/sub/a") == await tree.get("d/sub/a") == await tree.get("alone")


@pytest.mark.parametrize("verb", ["move", "copy"])
async def test_what_goes_onto_a_taken_name_is_a_matter_of_policy(tree: Tree, verb: str) -> None:
    await tree.put("a", b"a")
    await tree.put("b", b"b")
    step = getattr(tree.place, verb)

    with pytest.raises(Conflict):
        await step(tree.at("a"), tree.at("b"))
    assert await step(tree.at("a"), tree.at("b"), OnConflict.SKIP) is None
    assert await tree.get("b") == b"b"
    beside = await step(tree.at("a"), tree.at("b"), OnConflict.RENAME)
    assert beside.name == "b (2)"
    await tree.put("a", b"new")
    await step(tree.at("a"), tree.at("b"), OnConflict.REPLACE)
    assert await tree.get("b") == b"new"
    assert ("a" in await tree.names()) == (verb == "copy")


@pytest.mark.parametrize("verb", ["move", "copy"])
async def test_folders_merge(tree: Tree, verb: str) -> None:
    for path in ("s/same", "s/sub/only", "t/same", "t/sub/other"):
        await tree.put(path, path.encode())
    step = getattr(tree.place, verb)

    await step(tree.at("s"), tree.at("t"), OnConflict.SKIP)
    assert await tree.get("t/same") == b"t/same"
    assert await tree.get("t/sub/only") == b"s/sub/only"
    assert await tree.get("s/same") == b"s/same"

    await step(tree.at("s"), tree.at("t"), OnConflict.REPLACE)
    assert await tree.get("t/same") == b"s/same"
    assert await tree.get("t/sub/other") == b"t/sub/other"
    assert ("s/" in await tree.names()) == (verb == "copy")


@pytest.mark.parametrize("verb", ["move", "copy"])
async def test_a_folder_on_a_folder_can_keep_both(tree: Tree, verb: str) -> None:
    await tree.put("s.d/a", b"s")
    await tree.put("t.d/a", b"t")

    await getattr(tree.place, verb)(tree.at("s.d"), tree.at("t.d"), OnConflict.RENAME)

    assert await tree.get("t.d (2)/a") == b"s"
    assert await tree.get("t.d/a") == b"t"


@pytest.mark.parametrize("verb", ["move", "copy"])
@pytest.mark.parametrize("policy", [None, OnConflict.REPLACE])
async def test_a_file_and_a_folder_do_not_mix(tree: Tree, verb: str, policy: Any) -> None:
    await tree.put("file", b"file")
    await tree.put("folder/a", b"a")
    step = getattr(tree.place, verb)

    with pytest.raises(Conflict):
        await step(tree.at("file"), tree.at("folder"), policy)
    with pytest.raises(Conflict):
        await step(tree.at("folder"), tree.at("file"), policy)

    assert await tree.everything() == [
        "folder/",
        "folder/a",
        "file",
    ] or await tree.everything() == [
        "file",
        "folder/",
        "folder/a",
    ]


@pytest.mark.parametrize("verb", ["move", "copy"])
async def test_a_folder_does_not_go_into_itself(tree: Tree, verb: str) -> None:
    await tree.put("d/a")
    step = getattr(tree.place, verb)

    for source, target in (("d", "d/e"), ("d", "d")):
        with pytest.raises(Invalid):
            await step(tree.at(source), tree.at(target))
    with pytest.raises(Invalid):
        await step("/", tree.at("x"))
    with pytest.raises(NotFound):
        await step(tree.at("nothing"), tree.at("x"))


async def test_what_is_removed_is_gone(tree: Tree) -> None:
    for path in ("d/a", "d/sub/b", "c"):
        await tree.put(path)

    token = await tree.place.remove([tree.at("d/sub"), tree.at("d/a")], "alice")

    assert bool(token) == tree.place.keeps_trash
    assert await tree.everything() in (["d/", "c"], ["c", "d/"])
    with pytest.raises(NotFound):
        await tree.place.remove([tree.at("d/a")], "alice")
    with pytest.raises(Conflict):
        await tree.place.remove(["/"], "alice")


async def test_a_walk_gives_a_folder_before_its_contents(tree: Tree) -> None:
    for path in ("d/z", "d/sub/deep/a", "d/sub.x", "d/sub-/b"):
        await tree.put(path)

    found = await tree.everything("d")

    assert sorted(found) == ["sub-/", "sub-/b", "sub.x", "sub/", "sub/deep/", "sub/deep/a", "z"]
    for path in found:
        parent = path.rstrip("/").rpartition("/")[0]
        assert not parent or found.index(f"{parent}/") < found.index(path)


async def test_a_walk_of_a_file_is_the_file(tree: Tree) -> None:
    await tree.put("a")

    async with aclosing(tree.place.walk(tree.at("a"))) as found:
        assert [(e.path, e.kind) async for e in found] == [(tree.at("a"), "file")]


async def test_a_walk_has_an_end(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "WALK_MOST", 3)
    for name in "abcd":
        await tree.put(name)

    with pytest.raises(Refused) as refusal:
        await tree.everything()
    assert refusal.value.tag == "too_many_entries"


NAMES = ["with space", "Grüße 😀", "a&amp;b", "-rf", "back\\slash", "'\"", "%2e%2e", "(2)", "~"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_taken_literally(tree: Tree, name: str) -> None:
    await tree.put(f"{name}/{name}", b"x")

    assert await tree.names() == [f"{name}/"]
    assert await tree.names(name) == [name]
    await tree.place.move(tree.at(f"{name}/{name}"), tree.at("plain"))
    assert await tree.get("plain") == b"x"


@pytest.mark.parametrize(
    "path",
    ["", "relative", "/a/../b", "/a/./b", "/nul\x00", "/half\ud800", f"/workspace/{'x' * 300}"],
)
async def test_a_bad_path_is_refused(place: Place, path: str) -> None:
    with pytest.raises(Refused) as refusal:
        await place.write(path, pieces(b"x"), size=1)
    assert refusal.value.status in (400, 404, 422)
    with pytest.raises(Refused):
        await place.stat(path)
    with pytest.raises(Refused):
        await place.mkdir(path)


@given(st.binary(min_size=1, max_size=60))
@example("\uef80 \uefff é".encode())
@example(b"caf\xe9 \xee\xbe\x80")
def test_a_name_that_is_not_utf8_is_spelled_as_text_and_back(raw: bytes) -> None:
    name = os.fsdecode(raw)

    spelled = entries.spelled(name)

    spelled.encode()
    assert os.fsencode(entries.unspelled(spelled)) == raw
    assert entries.shown(spelled) == raw.decode(errors="replace")
