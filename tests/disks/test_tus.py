"""Uploads by tus, in process: they survive, they end once, and nonsense is refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote

import httpx
import pytest
from django.utils import timezone

from disks import tus
from disks.models import Artifact, Disk, Upload
from disks.places.base import Place
from disks.places.disk import DiskPlace
from disks.places.sandbox import SandboxPlace
from project import database
from project.asgi import application
from project.models import Activity, Project
from sandboxes import lifecycle
from sandboxes.options import NewSandbox
from tests.disks.test_files_endpoints import Browser, Files, person
from tests.disks.test_places import pieces
from tests.server import Server

pytestmark = pytest.mark.slow

PIECE = {"Content-Type": "application/offset+octet-stream"}


def encoded(**metadata: str) -> str:
    pairs = ((key, base64.b64encode(value.encode()).decode()) for key, value in metadata.items())
    return ",".join(f"{key} {value}" for key, value in pairs)


class Tus:
    """A tus client of one person, for one place."""

    def __init__(self, browser: Browser, place: Place) -> None:
        self.place = place
        self.client = browser.client
        self.browser = browser

    async def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        headers = {"Tus-Resumable": "1.0.0", **options.pop("headers", {})}
        return await self.client.request(method, url, headers=headers, **options)

    async def begin(self, size: Any, headers: Any = None, **metadata: str) -> httpx.Response:
        told = {
            "place": self.place.kind,
            "place_id": str(self.place.id),
            "folder": self.place.start,
            "filename": "a.bin",
            **metadata,
        }
        every = {"Upload-Length": str(size), "Upload-Metadata": encoded(**told), **(headers or {})}
        return await self.request("POST", "/uploads/", headers=every)

    async def url(self, size: int, **metadata: str) -> str:
        answer = await self.begin(size, **metadata)
        assert answer.status_code == 201, answer.text
        assert answer.headers["Location"].startswith("/uploads/")
        return str(answer.headers["Location"])

    async def send(self, url: str, offset: int, data: Any, **headers: str) -> httpx.Response:
        every = {**PIECE, "Upload-Offset": str(offset), **headers}
        return await self.request("PATCH", url, headers=every, content=data)

    async def offset(self, url: str) -> int:
        answer = await self.request("HEAD", url)
        assert answer.status_code == 200, answer.headers
        return int(answer.headers["Upload-Offset"])


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    tus._hashes.clear()
    yield
    assert not tus._writers


@pytest.fixture
def member(project: Project) -> Browser:
    return person(project, "member")


@pytest.fixture
def client(member: Browser, place: Place) -> Tus:
    return Tus(member, place)


@pytest.fixture
def on_disk(member: Browser, disk: Disk) -> Tus:
    return Tus(member, DiskPlace(disk))


async def content(tus_client: Tus, path: str) -> bytes:
    files = Files(tus_client.browser, tus_client.place)
    answer = await files.get(f"raw{files.root}{path}")
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_a_file_arrives_in_pieces(client: Tus) -> None:
    data = os.urandom(3_000_000)
    url = await client.url(len(data), filename="Grüße.bin", relativePath="dir/sub/Grüße.bin")

    first = await client.send(url, 0, data[:2_000_000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "2000000")
    assert await client.offset(url) == 2_000_000
    last = await client.send(url, 2_000_000, data[2_000_000:])

    assert last.headers["Upload-Offset"] == "3000000"
    assert last.headers["Upload-Outcome"] == "written"
    assert last.headers["Upload-Path"].endswith("/dir/sub/Gr%C3%BC%C3%9Fe.bin")
    assert await content(client, "/dir/sub/Grüße.bin") == data
    assert not list(tus._folder().iterdir())


async def test_an_empty_file_is_there_at_once(client: Tus) -> None:
    answer = await client.begin(0)

    assert (answer.status_code, answer.headers["Upload-Outcome"]) == (201, "written")
    assert await content(client, "/a.bin") == b""
    assert await client.offset(answer.headers["Location"]) == 0


async def test_an_upload_survives_what_this_process_remembers(client: Tus) -> None:
    data = os.urandom(500_000)
    url = await client.url(len(data))
    await client.send(url, 0, data[:200_000])
    tus._hashes.clear()
    await database.write(lambda: Upload.objects.update(offset=0))

    assert await client.offset(url) == 200_000
    await client.send(url, 200_000, data[200_000:])

    assert await content(client, "/a.bin") == data


async def test_a_piece_that_breaks_off_is_gone_on_with(on_disk: Tus) -> None:
    data = os.urandom(400_000)
    url = await on_disk.url(len(data))

    async def half() -> AsyncIterator[bytes]:
        yield data[:150_000]
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError):
        await cut_off(on_disk, url, half())
    offset = await on_disk.offset(url)

    assert offset == 150_000
    answer = await on_disk.send(url, offset, data[offset:])
    assert answer.status_code == 204
    assert await content(on_disk, "/a.bin") == data


async def cut_off(client: Tus, url: str, pieces: AsyncIterator[bytes]) -> None:
    """Send a piece whose connection is cut, as the server sees that."""
    request = client.client.build_request(
        "PATCH", url, headers={"Tus-Resumable": "1.0.0", "Upload-Offset": "0", **PIECE}
    )
    scope = {
        "type": "http",
        "method": "PATCH",
        "path": url,
        "raw_path": url.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    cut = None

    async def receive() -> Any:
        nonlocal cut
        try:
            return {"type": "http.request", "body": await anext(pieces), "more_body": True}
        except ConnectionError as error:
            cut = error
            return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        return None

    await application(scope, receive, send)
    if cut is not None:
        raise cut


async def test_the_wrong_offset_is_told_the_right_one(on_disk: Tus) -> None:
    url = await on_disk.url(10)
    await on_disk.send(url, 0, b"12345")

    for offset in (0, 3, 9):
        answer = await on_disk.send(url, offset, b"x")
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "5")
        assert answer.json()["tag"] == "wrong_offset"
    assert await on_disk.offset(url) == 5


async def test_more_than_announced_is_refused(on_disk: Tus) -> None:
    url = await on_disk.url(10)
    await on_disk.send(url, 0, b"12345")

    answer = await on_disk.send(url, 5, b"x" * 6)

    assert answer.status_code == 400
    assert await on_disk.offset(url) == 5
    await on_disk.send(url, 5, b"67890")
    assert await content(on_disk, "/a.bin") == b"1234567890"


async def test_the_last_piece_may_come_twice(on_disk: Tus) -> None:
    url = await on_disk.url(5)
    await on_disk.send(url, 0, b"12345")
    before = await database.read(lambda: Artifact.objects.get().updated_at)

    assert await on_disk.offset(url) == 5
    again = await on_disk.send(url, 5, b"")
    late = await on_disk.send(url, 0, b"12345")

    assert (again.status_code, late.status_code) == (204, 409)
    assert await database.read(lambda: Artifact.objects.get().updated_at) == before
    assert await database.read(lambda: Activity.objects.count()) == 1


async def test_a_second_writer_is_refused_while_one_writes(on_disk: Tus) -> None:
    url = await on_disk.url(10)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"12345"
        begun.set()
        await go_on.wait()
        yield b"67890"

    writing = asyncio.create_task(on_disk.send(url, 0, slowly()))
    await begun.wait()
    refused = await on_disk.send(url, 0, b"12345")
    assert (refused.status_code, refused.json()["tag"]) == (423, "locked")
    go_on.set()
    assert (await writing).status_code == 204
    assert await content(on_disk, "/a.bin") == b"1234567890"


async def test_a_writer_that_stands_still_gives_way(on_disk: Tus) -> None:
    url = await on_disk.url(10)
    upload = await database.read(lambda: Upload.objects.get())
    begun = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"12345"
        begun.set()
        await asyncio.sleep(60)

    async def write() -> int:
        async with tus.writing(upload) as writing:
            return await writing.append(0, stuck())

    standing = asyncio.create_task(write())
    await begun.wait()
    tus._writers[upload.pk].active_at = time.monotonic() - 10

    answer = await on_disk.send(url, 5, b"67890")

    assert await standing == 5
    assert answer.status_code in (204, 409)
    if answer.status_code == 409:
        answer = await on_disk.send(url, 5, b"67890")
    assert await content(on_disk, "/a.bin") == b"1234567890"


async def test_a_checksum_is_kept(on_disk: Tus) -> None:
    url = await on_disk.url(10)
    right = base64.b64encode(hashlib.sha1(b"12345", usedforsecurity=False).digest()).decode()

    wrong = await on_disk.send(url, 0, b"12346", **{"Upload-Checksum": f"sha1 {right}"})
    assert (wrong.status_code, await on_disk.offset(url)) == (460, 0)
    assert (await on_disk.send(url, 0, b"12345", **{"Upload-Checksum": f"sha1 {right}"})).is_success
    odd = await on_disk.send(url, 5, b"67890", **{"Upload-Checksum": "md5 xx"})
    assert odd.status_code == 400
    assert await on_disk.offset(url) == 5


@pytest.mark.parametrize(
    ("policy", "kept", "outcome"),
    [("replace", {"a.bin": b"new"}, "written"), ("skip", {"a.bin": b"old"}, "skipped")],
)
async def test_a_taken_name_is_a_matter_of_policy(
    client: Tus, policy: str, kept: Any, outcome: str
) -> None:
    await Files(client.browser, client.place).put("/a.bin", b"old")
    asked = await client.begin(3)
    assert (asked.status_code, asked.json()["tag"]) == (409, "exists")
    assert asked.json()["conflict"]["old"]["size"] == 3

    url = await client.url(3, on_conflict=policy)
    answer = await client.send(url, 0, b"new")

    assert answer.headers["Upload-Outcome"] == outcome
    for name, data in kept.items():
        assert await content(client, f"/{name}") == data


async def test_both_can_be_kept(client: Tus) -> None:
    await Files(client.browser, client.place).put("/a.bin", b"old")

    url = await client.url(3, on_conflict="rename")
    answer = await client.send(url, 0, b"new")

    assert answer.headers["Upload-Path"].endswith("/a%20%282%29.bin")
    assert await content(client, "/a (2).bin") == b"new"
    assert await content(client, "/a.bin") == b"old"


@pytest.mark.usefixtures("local_engine")
@pytest.mark.parametrize("policy", ["replace", "skip", "rename"])
async def test_what_was_written_and_not_noted_is_not_written_again(
    member: Browser, project: Project, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    client = Tus(member, SandboxPlace(await lifecycle.create(project, NewSandbox())))
    files = Files(member, client.place)
    if policy == "rename":
        await files.put("/a.bin", b"old")
    url = await client.url(3, on_conflict=policy)

    with monkeypatch.context() as patch:
        patch.setattr(tus, "_finished", Mock(side_effect=RuntimeError("the server died")))
        assert (await client.send(url, 0, b"new")).status_code == 500
    answer = await client.request("HEAD", url)

    assert answer.headers["Upload-Outcome"] == "written"
    name = "a (2).bin" if policy == "rename" else "a.bin"
    assert answer.headers["Upload-Path"] == quote(f"/workspace/{name}")
    assert len(await files.names()) == (2 if policy == "rename" else 1)
    assert await content(client, f"/{name}") == b"new"


async def test_a_place_that_is_gone_says_so_and_the_bytes_stay(
    member: Browser, local_engine: None, project: Project
) -> None:
    sandbox = await lifecycle.create(project, NewSandbox())
    client = Tus(member, SandboxPlace(sandbox))
    url = await client.url(5)
    await client.send(url, 0, b"123")
    await lifecycle.kill(sandbox)

    answer = await client.send(url, 3, b"45")

    assert answer.status_code == 404
    assert "sandbox" in answer.json()["error"]
    assert (await client.request("HEAD", url)).status_code == 404
    refused = await client.begin(5)
    assert refused.status_code == 404


async def test_40_gigabytes_are_refused_at_once(on_disk: Tus) -> None:
    answer = await on_disk.begin(40 * 2**30)

    assert (answer.status_code, answer.json()["tag"]) == (413, "too_large")
    assert "40.0 GiB" in answer.json()["error"]
    assert "8.0 GiB" in answer.json()["error"]
    assert await database.read(Upload.objects.count) == 0


async def test_what_has_no_room_is_refused_at_once(on_disk: Tus, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 10**14

    answer = await on_disk.begin(10**14)

    assert (answer.status_code, answer.json()["tag"]) == (507, "no_space")


async def test_announced_bytes_take_no_room_from_other_projects(
    on_disk: Tus, stranger: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=tus.KEPT_FREE + 1000)
    monkeypatch.setattr("disks.tus.shutil", Mock(disk_usage=lambda _: free))
    place = DiskPlace(await database.write(lambda: Disk.objects.create(project=stranger)))
    other = Tus(await database.write(person, stranger, "owner"), place)

    theirs = await other.url(900)
    await on_disk.url(600)
    too_much = await on_disk.begin(401)
    await other.send(theirs, 0, b"x" * 401)
    too_late = await on_disk.begin(1)

    # The own project's announcements count in full, others' by what came of them.
    assert (too_much.status_code, too_much.json()["tag"]) == (507, "no_space")
    assert too_late.status_code == 507


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ({"filename": ""}, 400),
        ({"filename": ".."}, 400),
        ({"filename": "a/b"}, 400),
        ({"filename": "x" * 300}, 400),
        ({"filename": "a\x00b"}, 400),
        ({"filename": "a\nb"}, 400),
        ({"relativePath": "../../etc/a.bin"}, 400),
        ({"relativePath": "/etc/a.bin"}, 400),
        ({"folder": "relative"}, 400),
        ({"folder": "/a/../.."}, 400),
        ({"place": "moon"}, 404),
        ({"place_id": "7"}, 400),
        ({"place_id": str(uuid.UUID(int=0))}, 404),
        ({"on_conflict": "eat"}, 400),
    ],
)
async def test_a_bad_beginning_is_a_clear_error(
    on_disk: Tus, metadata: dict[str, str], status: int
) -> None:
    answer = await on_disk.begin(5, **metadata)

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert answer.headers["Tus-Resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "five"}, 400),
        ({"Upload-Length": "9" * 40}, 400),
        ({"Upload-Metadata": "filename !!!"}, 400),
        ({"Upload-Metadata": f"filename {'A' * 20_000}"}, 400),
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"X-CSRFToken": "y" * 32}, 403),
    ],
)
async def test_bad_headers_are_a_clear_error(on_disk: Tus, headers: Any, status: int) -> None:
    assert (await on_disk.begin(5, headers=headers)).status_code == status


async def test_a_piece_with_bad_headers_is_refused(on_disk: Tus) -> None:
    url = await on_disk.url(5)

    assert (await on_disk.send(url, 0, b"x", **{"Content-Type": "text/plain"})).status_code == 415
    assert (await on_disk.send(url, 0, b"x", **{"Upload-Offset": "x"})).status_code == 400
    assert (await on_disk.send(url, 0, b"x", **{"X-CSRFToken": "y" * 32})).status_code == 403
    missing = await on_disk.send(f"/uploads/{uuid.uuid4()}", 0, b"x")
    assert (missing.status_code, missing.json()["tag"]) == (404, "upload_not_found")
    assert await on_disk.offset(url) == 0


async def test_others_cannot_touch_an_upload(on_disk: Tus, project: Project) -> None:
    url = await on_disk.url(5)
    other = await database.write(person, project, "owner")
    theirs = Tus(other, on_disk.place)

    assert (await theirs.request("HEAD", url)).status_code == 404
    assert (await theirs.send(url, 0, b"12345")).status_code == 404
    assert (await theirs.request("DELETE", url)).status_code == 404
    viewer = Tus(await database.write(person, project, "viewer"), on_disk.place)
    assert (await viewer.begin(5)).status_code == 403


async def test_an_upload_is_ended(on_disk: Tus) -> None:
    url = await on_disk.url(5)
    await on_disk.send(url, 0, b"123")

    assert (await on_disk.request("DELETE", url)).status_code == 204

    assert (await on_disk.request("HEAD", url)).status_code == 404
    assert not list(tus._folder().iterdir())


async def test_expired_uploads_go(on_disk: Tus) -> None:
    url = await on_disk.url(5)
    kept = await on_disk.url(5, filename="b")
    for each in (url, kept):
        await on_disk.send(each, 0, b"123")
    old = timezone.now() - timedelta(seconds=1)
    await database.write(lambda: Upload.objects.filter(filename="a.bin").update(expires_at=old))
    stray = tus._folder() / "stray"
    stray.touch()
    os.utime(stray, (1, 1))

    assert (await on_disk.request("HEAD", url)).status_code == 404
    await tus.purge_expired()

    assert [path.name for path in tus._folder().iterdir()] == [uuid.UUID(kept[-36:]).hex]
    assert await on_disk.offset(kept) == 3


async def test_unfinished_uploads_are_told(on_disk: Tus) -> None:
    url = await on_disk.url(5)
    await on_disk.send(url, 0, b"123")
    done = await on_disk.url(1, filename="done")
    await on_disk.send(done, 0, b"x")

    answer = (await on_disk.client.get("/uploads/")).json()

    assert [(each["url"], each["offset"], each["size"]) for each in answer["uploads"]] == [
        (url, 3, 5)
    ]


async def test_a_network_that_lets_only_post_through_is_served(on_disk: Tus) -> None:
    url = await on_disk.url(5)
    headers = {**PIECE, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}

    answer = await on_disk.request("POST", url, headers=headers, content=b"12345")

    assert answer.status_code == 204
    assert await content(on_disk, "/a.bin") == b"12345"


async def test_the_server_says_what_it_can(on_disk: Tus) -> None:
    answer = await on_disk.client.options("/uploads/")

    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation",
        "termination",
        "expiration",
        "checksum",
    }
    assert answer.headers["Tus-Max-Size"] == str(8 * 2**30)


@pytest.mark.docker
@pytest.mark.timeout(180)
def test_an_upload_survives_the_death_of_its_server(tmp_path: Path) -> None:
    data = os.urandom(20_000_000)
    server = Server(tmp_path)
    try:
        server.start()
        disk = server.request("POST", "/disk", json={}).json()["data"]["id"]
        with signed_in(server) as client:
            told = encoded(place="disk", place_id=disk, folder="/", filename="a.bin")
            begun = client.post(
                "/uploads/", headers={"Upload-Length": str(len(data)), "Upload-Metadata": told}
            )
            url = begun.headers["Location"]
            patch(client, url, 0, data[:8_000_000])

            def breaks_off() -> Iterator[bytes]:
                yield data[8_000_000:12_000_000]
                # Until the server has written it out; it is told nothing more.
                wait_for(lambda: uploaded(tmp_path) >= 11_000_000)
                server.kill()
                yield b"never"

            with pytest.raises(httpx.TransportError):
                patch(client, url, 8_000_000, breaks_off())
            server.start()
            told_offset = int(client.head(url).headers["Upload-Offset"])
            assert 11_000_000 <= told_offset <= 12_000_000
            last = patch(client, url, told_offset, data[told_offset:])
            assert last.headers["Upload-Path"] == "/a.bin"
            assert client.get(f"/disks/{disk}/file-raw/a.bin").content == data
    finally:
        server.stop()


def patch(client: httpx.Client, url: str, offset: int, data: Any) -> httpx.Response:
    return client.patch(url, headers={**PIECE, "Upload-Offset": str(offset)}, content=data)


async def test_a_folder_in_the_way_is_asked_about_and_never_replaced(
    client: Tus,
) -> None:
    await client.place.mkdir(client.place.start.rstrip("/") + "/photos")
    asked = await client.begin(1, filename="photos")
    assert asked.status_code == 409
    assert asked.json()["tag"] == "exists"
    assert asked.json()["conflict"]["old"]["kind"] == "folder"
    replaced = await client.begin(1, filename="photos", on_conflict="replace")
    assert replaced.status_code == 409
    assert replaced.json()["tag"] == "is_a_directory"
    assert replaced.json()["conflict"]["old"]["kind"] == "folder"
    assert (await client.begin(1, filename="photos", on_conflict="rename")).status_code == 201


async def test_a_file_where_a_folder_should_be_is_told_before_anything_is_sent(
    client: Tus,
) -> None:
    path = client.place.start.rstrip("/") + "/photos"
    await client.place.write(path, pieces(b"x"), size=1)
    for relative in ("photos/a.bin", "photos/deep/er/a.bin"):
        refused = await client.begin(1, relativePath=relative)
        assert refused.status_code == 409, refused.text
        assert refused.json()["tag"] == "not_a_directory"
        assert "a file named photos is" in refused.json()["error"]
    assert (await client.begin(1, relativePath="other/deep/a.bin")).status_code == 201


def uploaded(data_folder: Path) -> int:
    return sum(path.stat().st_size for path in (data_folder / "spool" / "uploads").iterdir())


def wait_for(true: Any) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def signed_in(server: Server) -> Iterator[httpx.Client]:
    headers = {"Tus-Resumable": "1.0.0", "Accept": "application/json"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        form = client.get("/login/", headers={"Accept": "text/html"}).text
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert found
        said = {
            "csrfmiddlewaretoken": found.group(1),
            "username": "admin",
            "password": "correct horse battery staple",
        }
        assert client.post("/login/", data=said).status_code == 302
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        shown = re.search(r'data-project="([^"]+)"', client.get("/").text)
        assert shown
        client.headers["X-Project"] = shown.group(1)
        yield client
