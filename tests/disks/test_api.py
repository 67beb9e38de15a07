"""Disks and artifacts over the API, in process."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any

import httpx
import pytest

from disks.models import Disk
from project import database
from project.asgi import application
from project.models import Activity

MISSING = "00000000-0000-4000-8000-000000000000"


async def upload(
    api: Any,
    disk_id: Any,
    filename: str = "a.txt",
    data: bytes = b"hello",
    *,
    file_path: str = "/",
    **fields: str,
) -> Any:
    form = {"file_path": file_path, **fields}
    files = {"file": (filename, data, "application/x-lie")}
    return await api.request("POST", f"/disk/{disk_id}/artifact", data=form, files=files)


def raw_form(disposition: bytes, data: bytes = b"x") -> dict[str, Any]:
    body = b'--B\r\nContent-Disposition: form-data; name="file"; ' + disposition
    return {
        "content": body + b"\r\n\r\n" + data + b"\r\n--B--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=B"},
    }


async def get(api: Any, disk: Disk, file_path: str, **query: Any) -> Any:
    return await api.get(f"/disk/{disk.id}/artifact", {"file_path": file_path, **query})


# Disks


async def test_a_disk_is_made_with_and_without_a_user(api: Any) -> None:
    plain = (await api.post("/disk", {})).json()["data"]
    assert plain["user_id"] is None
    owned = await api.post("/disk", {"user": "alice@example.org"})
    assert owned.status_code == 201
    again = (await api.post("/disk", {"user": "alice@example.org"})).json()["data"]
    assert again["user_id"] == owned.json()["data"]["user_id"]
    listed = (await api.get("/disk", {"user": "alice@example.org"})).json()["data"]
    assert len(listed["items"]) == 2
    assert (await api.get("/disk", {"user": "nobody"})).json()["data"]["items"] == []


async def test_a_disk_needs_no_body(api: Any) -> None:
    assert (await api.post("/disk")).status_code == 201
    empty = await api.request("POST", "/disk", headers={"Content-Type": "application/json"})
    assert empty.status_code == 201
    form = await api.request("POST", "/disk", data={"user": "form@example.org"})
    assert form.json()["data"]["user_id"]


@pytest.mark.parametrize(
    "body", ['{"user": 7}', "[]", "{", '{"user": "\\ud800"}', '{"user":"\\u0000"}']
)
async def test_a_disk_of_nonsense_is_400(api: Any, body: str) -> None:
    assert (await api.post("/disk", body)).status_code == 400


async def test_a_form_without_a_boundary_is_400(api: Any) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    answer = await api.request("POST", "/disk", content=b"user=x", headers=headers)
    assert answer.status_code == 400


async def test_a_deleted_disk_is_gone_with_its_files(api: Any, disk: Disk) -> None:
    await upload(api, disk.id)
    assert (await api.delete(f"/disk/{disk.id}")).status_code == 200
    assert (await api.delete(f"/disk/{disk.id}")).status_code == 404


async def test_deleting_a_user_deletes_the_users_disks(api: Any) -> None:
    disk = (await api.post("/disk", {"user": "bob"})).json()["data"]
    await upload(api, disk["id"])
    counts = (await api.get("/user/bob/resources")).json()["data"]["counts"]
    assert counts["disks_count"] == 1
    assert (await api.delete("/user/bob")).status_code == 200
    assert (await api.delete(f"/disk/{disk['id']}")).status_code == 404
    database.finish_notes()
    (line,) = await database.read(lambda: list(Activity.objects.filter(verb="disk.delete")))
    assert (line.object_id, line.object_name) == (disk["id"], disk["id"][:8])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "", 404),
        ("POST", "/artifact", 404),
        ("POST", "/artifact/upload_from_sandbox", 404),
        ("GET", "/artifact?file_path=/a", 403),
        ("GET", "/artifact/download?file_path=/a", 403),
        ("PUT", "/artifact", 403),
        ("DELETE", "/artifact?file_path=/a", 403),
        ("GET", "/artifact/ls", 403),
        ("GET", "/artifact/grep?query=a", 403),
        ("GET", "/artifact/glob?query=a", 403),
        ("POST", "/artifact/download_to_sandbox", 403),
    ],
)
async def test_a_strangers_disk_looks_like_a_missing_one(
    stranger_api: Any, disk: Disk, method: str, path: str, status: int
) -> None:
    bodies: dict[str, Any] = {
        "PUT": {"file_path": "/a", "meta": "{}"},
        "POST": {
            "file_path": "/",
            "filename": "a",
            "sandbox_id": MISSING,
            "sandbox_path": "/",
            "sandbox_filename": "a",
        },
    }
    answers = []
    for disk_id in (disk.id, uuid.UUID(MISSING)):
        answer = await stranger_api.request(method, f"/disk/{disk_id}{path}", bodies.get(method))
        assert answer.status_code == status
        answers.append(answer.json()["msg"])
    assert answers[0] == answers[1]


# Upload


async def test_an_upload_is_described(api: Any, disk: Disk) -> None:
    answer = await upload(
        api, disk.id, "data.txt", b"Line 1\n", file_path="/in/", meta='{"k": [1]}'
    )
    assert answer.status_code == 201
    artifact = answer.json()["data"]
    assert artifact["disk_id"] == str(disk.id)
    assert artifact["sha256"] == hashlib.sha256(b"Line 1\n").hexdigest()
    assert artifact["meta"] == {
        "k": [1],
        "__artifact_info__": {
            "path": "/in/",
            "filename": "data.txt",
            "mime": "text/plain; charset=utf-8",
            "size": 7,
        },
    }


async def test_an_upload_in_place_of_a_file_keeps_its_birth(api: Any, disk: Disk) -> None:
    first = (await upload(api, disk.id, data=b"1", meta='{"old": 1}')).json()["data"]
    second = (await upload(api, disk.id, data=b"2")).json()["data"]
    assert second["created_at"] == first["created_at"]
    assert second["updated_at"] > first["updated_at"]
    assert "old" not in second["meta"]
    assert (await get(api, disk, "/a.txt")).json()["data"]["content"]["raw"] == "2"


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'filename="with space.txt"', "with space.txt"),
        ('filename="Grüße 😀.txt"'.encode(), "Grüße 😀.txt"),
        (b'filename="a&amp;b.txt"', "a&amp;b.txt"),
        (b'filename="back\\\\slash.txt"', "back\\slash.txt"),
        (b'filename="quote\\"d.txt"', 'quote"d.txt'),
        (b'filename="it\'s.txt"', "it's.txt"),
        (b'filename="../../etc/passwd"', "passwd"),
        (b'filename="dir/"', "dir"),
        (b'filename="%22.txt"', "%22.txt"),
        (b"filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
        (b'filename="-rf"', "-rf"),
        (b'filename="<script>.html"', "<script>.html"),
    ],
)
async def test_an_odd_filename_is_kept(
    api: Any, disk: Disk, disposition: bytes, filename: str
) -> None:
    answer = await api.request("POST", f"/disk/{disk.id}/artifact", **raw_form(disposition))
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["filename"] == filename
    found = await get(api, disk, f"/{filename}")
    assert found.status_code == 200
    link = found.json()["data"]["public_url"].removeprefix("http://localhost/api/v1")
    assert (await api.get(link)).content == b"x"
    assert (await api.delete(f"/disk/{disk.id}/artifact", {"file_path": f"/{filename}"})).is_success


@pytest.mark.parametrize("name", [b"..", b".", b"a\tb", b"x" * 256])
async def test_a_filename_that_is_none_is_400(api: Any, disk: Disk, name: bytes) -> None:
    form = raw_form(b'filename="' + name + b'"')
    assert (await api.request("POST", f"/disk/{disk.id}/artifact", **form)).status_code == 400


@pytest.mark.parametrize("size", [0, 1000])
async def test_a_file_of_the_limit_fits_and_one_byte_more_does_not(
    api: Any, disk: Disk, settings: Any, size: int
) -> None:
    settings.ARTIFACT_MAX_UPLOAD_BYTES = size
    assert (await upload(api, disk.id, data=b"x" * size)).status_code == 201
    assert (await upload(api, disk.id, data=b"x" * (size + 1))).status_code == 413


async def test_a_form_without_a_file_is_400(api: Any, disk: Disk) -> None:
    path = f"/disk/{disk.id}/artifact"
    for request in (
        {"data": {"file_path": "/"}},
        {"content": b"x", "headers": {"Content-Type": "text/plain"}},
        {"content": b"--B", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"", "headers": {"Content-Type": "multipart/form-data; boundary=B"}},
    ):
        assert (await api.request("POST", path, **request)).status_code == 400


@pytest.mark.parametrize("meta", ["[]", "1", "{", '{"__artifact_info__": {}}'])
async def test_a_meta_that_is_none_is_400(api: Any, disk: Disk, meta: str) -> None:
    assert (await upload(api, disk.id, meta=meta)).status_code == 400


@pytest.mark.parametrize("file_path", ["/../", "/a/./b/", "/a\x01/"])
async def test_a_bad_folder_is_400(api: Any, disk: Disk, file_path: str) -> None:
    assert (await upload(api, disk.id, file_path=file_path)).status_code == 400


# Look


async def test_a_file_is_got_with_link_and_content_unless_told_otherwise(
    api: Any, disk: Disk
) -> None:
    await upload(api, disk.id, "a.json", b'{"a": 1}')
    found = (await get(api, disk, "/a.json")).json()["data"]
    assert found["content"] == {"type": "json", "raw": '{"a": 1}'}
    assert found["public_url"].startswith("http://localhost/api/v1/material/")
    bare = await get(api, disk, "/a.json", with_content="false", with_public_url="false")
    assert bare.json()["data"].keys() == {"artifact"}


async def test_a_missing_file_is_404_everywhere(api: Any, disk: Disk) -> None:
    path = f"/disk/{disk.id}/artifact"
    assert (await get(api, disk, "/nothing")).status_code == 404
    assert (await api.get(f"{path}/download", {"file_path": "/nothing"})).status_code == 404
    assert (await api.delete(path, {"file_path": "/nothing"})).status_code == 404
    change = {"file_path": "/nothing", "meta": "{}"}
    assert (await api.put(path, change)).status_code == 404


async def test_a_folder_is_no_file(api: Any, disk: Disk) -> None:
    assert (await get(api, disk, "/folder/")).status_code == 400
    assert (await api.get(f"/disk/{disk.id}/artifact")).status_code == 400


async def test_a_delete_with_a_content_type_reads_its_query(api: Any, disk: Disk) -> None:
    await upload(api, disk.id)
    answer = await api.delete(
        f"/disk/{disk.id}/artifact",
        {"file_path": "/a.txt"},
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200


async def test_meta_is_replaced_whole(api: Any, disk: Disk) -> None:
    before = (await upload(api, disk.id, meta='{"a": 1}')).json()["data"]
    change = {"file_path": "/a.txt", "meta": json.dumps({"b": {"c": None}})}
    after = (await api.put(f"/disk/{disk.id}/artifact", change)).json()["data"]["artifact"]
    assert after["meta"]["b"] == {"c": None}
    assert "a" not in after["meta"]
    assert after["meta"]["__artifact_info__"] == before["meta"]["__artifact_info__"]
    assert after["created_at"] == before["created_at"]
    for meta in ({"a": 1}, "", "[]", '{"__artifact_info__": 1}'):
        wrong = await api.put(f"/disk/{disk.id}/artifact", {**change, "meta": meta})
        assert wrong.status_code == 400


async def test_a_folder_is_listed_in_order(api: Any, disk: Disk) -> None:
    for path in ("/b/", "/a/deep/er/", "/A/", "/"):
        for name in ("2.txt", "1.txt"):
            await upload(api, disk.id, name, file_path=path)

    async def ls(path: str) -> tuple[list[str], list[str]]:
        answer = await api.get(f"/disk/{disk.id}/artifact/ls", {"path": path})
        found = answer.json()["data"]
        return [a["filename"] for a in found["artifacts"]], found["directories"]

    assert await ls("/") == (["1.txt", "2.txt"], ["A", "a", "b"])
    assert await ls("/a/") == ([], ["deep"])
    assert await ls("a/deep") == ([], ["er"])
    assert await ls("/nowhere/") == ([], [])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"query": "("}, 400),
        ({"query": ""}, 400),
        ({}, 400),
        ({"query": "a", "limit": 201}, 400),
        ({"query": "a", "limit": 0}, 200),
    ],
)
async def test_a_search_says_what_is_wrong(
    api: Any, disk: Disk, query: dict[str, Any], status: int
) -> None:
    assert (await api.get(f"/disk/{disk.id}/artifact/grep", query)).status_code == status


# Download and links


async def test_a_download_understands_ranges(api: Any, disk: Disk) -> None:
    await upload(api, disk.id, "a.txt", b"0123456789")
    path, query = f"/disk/{disk.id}/artifact/download", {"file_path": "/a.txt"}
    whole = await api.get(path, query)
    assert (whole.content, whole.headers["Content-Length"]) == (b"0123456789", "10")
    part = await api.get(path, query, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert part.headers["Content-Range"] == "bytes 2-4/10"
    tail = await api.get(path, query, headers={"Range": "bytes=-3"})
    assert tail.content == b"789"
    beyond = await api.get(path, query, headers={"Range": "bytes=10-"})
    assert beyond.status_code == 416
    known = await api.get(path, query, headers={"If-None-Match": whole.headers["ETag"]})
    assert known.status_code == 304


async def test_a_link_needs_no_key_and_runs_nothing(api: Any, disk: Disk) -> None:
    await upload(api, disk.id, "späm 'x'.html", b"<script>alert(1)</script>")
    found = await get(api, disk, "/späm 'x'.html")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application)) as anyone:
        answer = await anyone.get(found.json()["data"]["public_url"])
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["Content-Disposition"].startswith(
        "attachment; filename*=utf-8''sp%C3%A4m"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("expire", ["0", "-1", "604801", "soon"])
async def test_a_link_has_bounds(api: Any, disk: Disk, expire: str) -> None:
    await upload(api, disk.id)
    assert (await get(api, disk, "/a.txt", expire=expire)).status_code == 400


async def link_of(api: Any, disk: Disk) -> str:
    found = await get(api, disk, "/a.txt", expire=1)
    return str(found.json()["data"]["public_url"]).removeprefix("http://localhost/api/v1")


async def test_a_link_dies_with_its_time(
    api: Any, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upload(api, disk.id)
    link = await link_of(api, disk)
    assert (await api.get(link)).status_code == 200
    later = time.time() + 2
    monkeypatch.setattr(time, "time", lambda: later)
    assert (await api.get(link)).status_code == 404


async def test_a_link_dies_with_its_version_and_its_file(api: Any, disk: Disk) -> None:
    await upload(api, disk.id)
    link = await link_of(api, disk)
    await upload(api, disk.id, data=b"changed")
    assert (await api.get(link)).status_code == 404
    link = await link_of(api, disk)
    await api.delete(f"/disk/{disk.id}/artifact", {"file_path": "/a.txt"})
    assert (await api.get(link)).status_code == 404


async def test_a_forged_link_is_404(api: Any, disk: Disk) -> None:
    await upload(api, disk.id)
    link = await link_of(api, disk)
    assert (await api.get(link[:-1] + ("A" if link[-1] != "A" else "B"))).status_code == 404
    assert (await api.get("/material/" + "0" * 64)).status_code == 404
