"""Files of a running sandbox."""

from __future__ import annotations

import hashlib
import os

import pytest

from tests.sandboxes.conftest import Box

pytestmark = pytest.mark.docker


def put(box: Box, path: str, content: bytes, **query: str) -> int:
    answer = box.request("PUT", "/files", params={"path": path, **query}, content=content)
    return answer.status_code


def read(box: Box, path: str) -> bytes:
    answer = box.request("GET", "/files", params={"path": path})
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_bytes_make_the_round_trip(box: Box, size: int) -> None:
    content = os.urandom(size)
    assert put(box, "/workspace/deep/er/file.bin", content) == 200
    assert read(box, "/workspace/deep/er/file.bin") == content
    said = box.run("sha256sum < deep/er/file.bin; stat -c %U deep/er/file.bin")["stdout"]
    assert said == f"{hashlib.sha256(content).hexdigest()}  -\nsandbox\n"


@pytest.mark.parametrize("name", ["with space", "Grüße 😀", "a&amp;b", "-rf", "back\\slash", "'\""])
def test_odd_names_are_names(box: Box, name: str) -> None:
    assert put(box, f"/workspace/{name}", b"x") == 200
    listed = box.data("GET", "/files/list", params={"path": "/workspace"})
    assert [item["name"] for item in listed["items"]] == [name]
    assert read(box, f"/workspace/{name}") == b"x"
    assert box.request("DELETE", "/files", params={"path": f"/workspace/{name}"}).is_success


def test_a_part_of_a_file_is_read(box: Box) -> None:
    put(box, "/workspace/a", b"0123456789")
    query = {"path": "/workspace/a"}
    part = box.request("GET", "/files", params=query, headers={"Range": "bytes=3-5"})
    assert (part.status_code, part.content) == (206, b"345")
    assert part.headers["Content-Range"] == "bytes 3-5/10"
    beyond = box.request("GET", "/files", params=query, headers={"Range": "bytes=50-"})
    assert beyond.status_code == 416


def test_a_folder_is_listed_in_pages(box: Box) -> None:
    box.run("mkdir d && cd d && touch c a b && ln -s a link && mkdir sub")
    query = {"path": "/workspace/d", "limit": "3"}
    first = box.data("GET", "/files/list", params=query)
    rest = box.data("GET", "/files/list", params={**query, "after": first["next_after"]})
    named = [(item["name"], item["kind"]) for item in first["items"] + rest["items"]]
    assert named == [
        ("a", "file"),
        ("b", "file"),
        ("c", "file"),
        ("link", "symlink"),
        ("sub", "directory"),
    ]
    assert not rest["has_more"]
    assert rest["items"][0]["target"] == "a"


def test_folders_are_made_moved_and_removed(box: Box) -> None:
    assert box.data("POST", "/files/mkdir", json={"path": "/workspace/a/b"})["kind"] == "directory"
    put(box, "/workspace/a/b/file", b"x")
    put(box, "/workspace/taken", b"kept")
    move = {"path": "/workspace/a", "to": "/workspace/moved"}
    assert box.data("POST", "/files/move", json=move)["name"] == "moved"
    onto = {"path": "/workspace/moved/b/file", "to": "/workspace/taken"}
    assert box.request("POST", "/files/move", json=onto).status_code == 409
    assert read(box, "/workspace/taken") == b"kept"
    assert box.request("POST", "/files/move", json={**onto, "overwrite": True}).is_success
    folder = {"path": "/workspace/moved"}
    assert box.request("DELETE", "/files", params=folder).status_code in (409, 422)
    assert box.request("DELETE", "/files", params={**folder, "recursive": "true"}).is_success
    assert box.request("GET", "/files/stat", params=folder).status_code == 404


def test_an_existing_file_can_be_spared(box: Box) -> None:
    put(box, "/workspace/a", b"old")
    assert put(box, "/workspace/a", b"new", overwrite="false") == 409
    assert read(box, "/workspace/a") == b"old"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("relative", 400),
        ("", 400),
        ("/workspace/\x00", 400),
        ("/workspace/nothing", 404),
        ("/workspace", 409),
        ("/dev/null", 422),
        ("/etc/shadow", 403),
        ("/" + "x" * 5000, 400),
    ],
)
def test_what_cannot_be_read_is_a_clear_error(box: Box, path: str, status: int) -> None:
    answer = box.request("GET", "/files", params={"path": path})
    assert answer.status_code == status, answer.text
    assert answer.json()["msg"]


def test_nothing_is_written_outside_what_the_user_may(box: Box) -> None:
    assert put(box, "/etc/passwd", b"root::0:0") in (403, 422)
    assert put(box, "/workspace/file/below", b"x") == 200
    assert put(box, "/workspace/file", b"x") in (409, 422)


def test_a_file_over_the_workspace_leaves_nothing(box: Box) -> None:
    box.run("head -c 380M /dev/zero > filler")
    assert put(box, "/workspace/large", b"x" * 20_000_000) == 507
    assert box.run("ls -A")["stdout"] == "filler\n"


def test_a_page_of_names_that_are_no_text_can_be_gone_on_from(box: Box) -> None:
    box.run(r"mkdir d; cd d; touch a b $'c\xff' d $'e\xff' f")
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        query = {"path": "/workspace/d", "limit": 3, "after": after}
        page = box.data("GET", "/files/list", params=query)
        seen += [item["name"] for item in page["items"]]
        after = page["next_after"]
    assert seen == ["a", "b", "c\ufffd", "d", "e\ufffd", "f"]
