"""The endpoints of the file browser, in process: the same for a disk and a sandbox."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client

from disks.models import Artifact, Disk
from disks.places.base import Place
from project import database
from project.asgi import application
from project.models import Activity, Project, Role
from project.policy import add_member
from project.sessions import SessionStore
from tests.disks.test_places import pieces

pytestmark = pytest.mark.slow

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 40


class Browser:
    """Speaks to the whole application as a page's script does, in process."""

    def __init__(self, user: User) -> None:
        client = Client()
        client.force_login(user)
        token = "x" * 32
        cookies = {"sessionid": client.cookies["sessionid"].value, "csrftoken": token}
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(application, raise_app_exceptions=False),
            base_url="http://localhost",
            cookies=cookies,
            headers={"Accept": "application/json", "X-CSRFToken": token},
        )

    async def get(self, url: str, **query: Any) -> httpx.Response:
        return await self.client.get(url, params=query)

    async def post(self, url: str, data: Any = None, **options: Any) -> httpx.Response:
        return await self.client.post(url, json=data or {}, **options)


class Files:
    """The endpoints of one place."""

    def __init__(self, browser: Browser, place: Place) -> None:
        self.browser, self.place = browser, place
        words = "disks" if place.kind == "disk" else "sandboxes"
        self.base = f"/{words}/{place.id}"
        self.root = place.start.rstrip("/")

    async def put(self, path: str, data: bytes = b"text\n") -> Any:
        return await self.place.write(self.root + path, pieces(data), size=len(data))

    async def act(self, action: str, **data: Any) -> httpx.Response:
        return await self.browser.post(f"{self.base}/file-actions/{action}", data)

    async def get(self, what: str, **query: Any) -> httpx.Response:
        return await self.browser.get(f"{self.base}/file-{what}", **query)

    async def names(self, folder: str = "", **query: Any) -> list[str]:
        answer = await self.get("list", path=(self.root + folder) or "/", **query)
        assert answer.status_code == 200, answer.text
        return [entry["name"] for entry in answer.json()["entries"]]


def person(project: Project, role: str) -> Browser:
    user = User.objects.create_user(role, password="correct horse battery staple")
    add_member(project, user, Role(role))
    browser = Browser(user)
    browser.client.headers["X-Project"] = str(project.pk)
    return browser


@pytest.fixture
def member(project: Project) -> Browser:
    return person(project, "member")


@pytest.fixture
def viewer(project: Project) -> Browser:
    return person(project, "viewer")


@pytest.fixture
def outsider(stranger: Project) -> Browser:
    return person(stranger, "owner")


@pytest.fixture
def files(member: Browser, place: Place) -> Files:
    return Files(member, place)


@pytest.fixture
def on_disk(member: Browser, disk: Disk) -> Files:
    from disks.places.disk import DiskPlace

    return Files(member, DiskPlace(disk))


async def test_a_folder_is_listed(files: Files) -> None:
    await files.put("/d/a.txt", b"12345")
    await files.put("/d/sub/b")

    answer = (await files.get("list", path=f"{files.root}/d", sort="-size")).json()

    assert [entry["name"] for entry in answer["entries"]] == ["sub", "a.txt"]
    assert (answer["total"], answer["more"], answer["cut"]) == (2, False, False)
    entry = answer["entries"][1]
    assert (entry["path"], entry["size"], entry["kind"]) == (f"{files.root}/d/a.txt", 5, "file")
    assert entry["etag"]
    assert entry["modified"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"path": "relative"}, 400),
        ({"path": "/../etc"}, 400),
        ({"path": "/\x00"}, 400),
        ({"path": "/nothing/there"}, 404),
        ({"path": "/", "sort": "colour"}, 400),
        ({"path": "/", "offset": "-1"}, 400),
        ({"path": "/", "offset": "x"}, 400),
        ({"path": "/", "limit": "9" * 30}, 400),
        ({"path": "/", "match": "x" * 10_000}, 400),
        ({"path": "/", "match": "a\x00"}, 400),
    ],
)
async def test_a_bad_question_is_a_clear_error(
    on_disk: Files, query: dict[str, str], status: int
) -> None:
    answer = await on_disk.get("list", **query)

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert answer.json()["tag"]


async def test_files_and_folders_are_made_moved_and_deleted(files: Files) -> None:
    root = files.root
    made = await files.act("mkdir", path=f"{root}/new")
    assert (made.status_code, made.json()["entry"]["kind"]) == (200, "folder")
    assert (await files.act("mkdir", path=f"{root}/new")).json()["tag"] == "exists"
    created = await files.act("create", path=f"{root}/new/a.txt", content="Grüße\n")
    assert created.json()["entry"]["size"] == 8
    assert (await files.act("create", path=f"{root}/new/a.txt")).status_code == 409

    renamed = await files.act("rename", path=f"{root}/new/a.txt", name="b.txt")
    assert renamed.json()["entry"]["path"] == f"{root}/new/b.txt"
    copied = await files.act("copy", paths=[f"{root}/new/b.txt"], to=f"{root}/new")
    assert copied.json()["entries"][0]["name"] == "b (2).txt"
    moved = await files.act("move", paths=[f"{root}/new/b.txt"], to=f"{root}/else")
    assert moved.status_code == 200, moved.text
    assert await files.names("/new") == ["b (2).txt"]
    assert await files.names("/else") == ["b.txt"]

    gone = await files.act("delete", paths=[f"{root}/new", f"{root}/else"])
    assert bool(gone.json()["undo"]) == files.place.keeps_trash
    assert await files.names() == []


async def test_a_conflict_is_told_before_anything_moves(files: Files) -> None:
    for path in ("/s/a", "/s/b", "/t/a"):
        await files.put(path, path.encode())
    wish = {"paths": [f"{files.root}/s/a", f"{files.root}/s/b"], "to": f"{files.root}/t"}

    asked = await files.act("move", **wish)

    assert asked.status_code == 409
    assert asked.json()["tag"] == "exists"
    [conflict] = asked.json()["conflicts"]
    assert conflict["old"]["path"] == conflict["to"] == f"{files.root}/t/a"
    assert await files.names("/s") == ["a", "b"]

    answer = await files.act("move", **wish, on_conflict="rename")
    assert [entry["name"] for entry in answer.json()["entries"]] == ["a (2)", "b"]
    skipped = await files.act(
        "copy", paths=[f"{files.root}/t/a"], to=f"{files.root}/t", on_conflict="skip"
    )
    assert skipped.status_code == 200


async def test_two_editors_do_not_overwrite_each_other(files: Files) -> None:
    opened = await files.put("/a.txt", b"first")
    path = f"{files.root}/a.txt"

    saved = await files.act("save", path=path, content="second", etag=opened.etag)
    assert saved.status_code == 200, saved.text
    late = await files.act("save", path=path, content="third", etag=opened.etag)

    assert (late.status_code, late.json()["tag"]) == (409, "changed")
    assert late.json()["entry"]["etag"] == saved.json()["entry"]["etag"]
    again = await files.act("save", path=path, content="third", etag=late.json()["entry"]["etag"])
    assert again.status_code == 200
    assert (await files.act("save", path=path, content="fourth", etag=None)).status_code == 200
    raw = await files.get(f"raw{path}")
    assert raw.text == "fourth"


@pytest.mark.parametrize(
    ("action", "data", "status"),
    [
        ("mkdir", {}, 400),
        ("mkdir", {"path": 7}, 400),
        ("mkdir", {"path": "/a/.."}, 400),
        ("mkdir", {"path": "/"}, 400),
        ("create", {"path": "/a", "content": 7}, 400),
        ("create", {"path": "/a", "content": "\ud800"}, 400),
        ("create", {"path": "/a", "content": "x" * (8 * 2**20 + 1)}, 413),
        ("create", {"path": "/a", "content": "x" * (21 * 2**20)}, 413),
        ("rename", {"path": "/a", "name": "b/c"}, 400),
        ("rename", {"path": "/a", "name": ".."}, 400),
        ("rename", {"path": "/nothing", "name": "b"}, 404),
        ("move", {"paths": [], "to": "/"}, 400),
        ("move", {"paths": "/a", "to": "/"}, 400),
        ("move", {"paths": ["/a"], "to": "/", "on_conflict": "eat"}, 400),
        ("copy", {"paths": ["/nothing"], "to": "/x"}, 404),
        ("delete", {"paths": [f"/{n}" for n in range(2000)]}, 400),
        ("delete", {"paths": ["/nothing"]}, 404),
        ("save", {"path": "/a", "content": "x", "etag": 7}, 400),
        ("meta", {"path": "/a", "meta": "["}, 400),
        ("meta", {"path": "/a", "meta": [1]}, 400),
        ("meta", {"path": "/nothing", "meta": {}}, 404),
        ("burn", {}, 404),
    ],
)
async def test_a_bad_wish_is_a_clear_error(
    on_disk: Files, action: str, data: Any, status: int
) -> None:
    url = f"{on_disk.base}/file-actions/{action}"
    headers = {"Content-Type": "application/json"}
    answer = await on_disk.browser.client.post(url, content=json.dumps(data), headers=headers)

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


async def test_a_body_that_is_no_json_is_400(on_disk: Files) -> None:
    url = f"{on_disk.base}/file-actions/mkdir"
    headers = {"Content-Type": "application/json"}
    for body in (b"{", b"[]", b"\xff"):
        answer = await on_disk.browser.client.post(url, content=body, headers=headers)
        assert answer.status_code == 400


async def test_metadata_is_kept_with_a_file(on_disk: Files) -> None:
    await on_disk.put("/a.txt")

    answer = await on_disk.act("meta", path="/a.txt", meta='{"tags": ["x"]}')

    assert answer.json()["meta"] == {"tags": ["x"]}
    stat = (await on_disk.get("stat", path="/a.txt")).json()
    assert stat["meta"] == {"tags": ["x"]}
    await on_disk.act("save", path="/a.txt", content="new", etag=stat["entry"]["etag"])
    assert (await on_disk.get("stat", path="/a.txt")).json()["meta"] == {"tags": ["x"]}


async def test_a_form_without_scripts_works(on_disk: Files) -> None:
    await on_disk.put("/a.txt")
    client = on_disk.browser.client
    form = {"path": "/b.txt", "content": "one\r\ntwo\r\n", "back": f"{on_disk.base}/files/"}
    headers = {"Accept": "text/html"}

    made = await client.post(f"{on_disk.base}/file-actions/create", data=form, headers=headers)

    assert (made.status_code, made.headers["Location"]) == (303, form["back"])
    assert (await on_disk.get("raw/b.txt")).text == "one\ntwo\n"
    gone = await client.post(
        f"{on_disk.base}/file-actions/delete",
        data={"paths": ["/a.txt", "/b.txt"], "back": "https://elsewhere.example/"},
        headers=headers,
    )
    assert gone.headers["Location"].startswith(f"{on_disk.base}/files")
    assert await on_disk.names() == []


async def test_a_change_needs_the_token_of_the_page(on_disk: Files) -> None:
    url = f"{on_disk.base}/file-actions/mkdir"

    answer = await on_disk.browser.post(url, {"path": "/x"}, headers={"X-CSRFToken": "y" * 32})

    assert answer.status_code == 403
    assert await on_disk.names() == []


async def test_roles_are_kept(files: Files, viewer: Browser, outsider: Browser) -> None:
    await files.put("/a.txt")
    looks = Files(viewer, files.place)
    assert await looks.names() == ["a.txt"]
    assert (await looks.get(f"raw{files.root}/a.txt")).status_code == 200
    assert (await looks.act("delete", paths=[f"{files.root}/a.txt"])).status_code == 403

    strange = Files(outsider, files.place)
    for what in ("list", "stat", "zip", "search", f"raw{files.root}/a.txt"):
        assert (await strange.get(what, path="/", q="a")).status_code == 404
    answer = await strange.act("delete", paths=[f"{files.root}/a.txt"])
    missing = await outsider.post("/disks/00000000-0000-4000-8000-000000000000/file-actions/mkdir")
    assert answer.status_code == missing.status_code == 404
    assert answer.json()["error"] == missing.json()["error"]
    assert await files.names() == ["a.txt"]


async def test_a_change_is_written_down(on_disk: Files) -> None:
    await on_disk.act("mkdir", path="/new")

    line = await database.read(lambda: Activity.objects.get())

    assert (line.verb, line.actor, line.object_id) == (
        "folder.create",
        "member",
        str(on_disk.place.id),
    )


async def test_nobody_sends_much_without_a_session(on_disk: Files) -> None:
    await database.write(lambda: SessionStore().clear_expired())
    on_disk.browser.client.cookies.set("sessionid", "nonsense", domain="")
    anonymous = httpx.AsyncClient(
        transport=httpx.ASGITransport(application),
        base_url="http://localhost",
        headers={"Accept": "application/json"},
    )

    answer = await anonymous.post(f"{on_disk.base}/file-actions/save", content=b"x" * (2 * 2**20))

    assert answer.status_code == 401


# Bytes


@pytest.mark.parametrize(
    ("name", "data", "shown"),
    [
        ("a.png", PNG, "image/png"),
        ("a.bmp", b"BM" + bytes(60), "image/x-ms-bmp"),
        ("a.txt", b"hello", "text/plain"),
        ("a.py", b"print(1)\n", "text/plain"),
        ("a.json", b'{"a": 1}', "text/plain"),
        ("a.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        ("a.html", b"<!doctype html><script>alert(1)</script>", None),
        ("a.txt", b"<html><script>alert(1)</script>", None),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', None),
        ("a.xml", b'<?xml version="1.0"?><a/>', None),
        ("a.bin", bytes(range(256)), None),
    ],
)
async def test_only_what_is_harmless_is_shown(
    files: Files, name: str, data: bytes, shown: str | None
) -> None:
    await files.put(f"/{name}", data)

    answer = await files.get(f"raw{files.root}/{name}")

    assert answer.content == data
    kind = answer.headers["Content-Type"].partition(";")[0]
    disposition = answer.headers["Content-Disposition"]
    saved_as = "image/svg+xml" if name == "a.svg" else "application/octet-stream"
    assert kind == (shown or saved_as)
    assert disposition.startswith("inline" if shown else "attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert ("sandbox" in policy) == (shown != "application/pdf")
    saved = await files.get(f"raw{files.root}/{name}", download="1")
    assert saved.headers["Content-Disposition"].startswith("attachment")


async def test_a_part_of_a_file_is_answered(files: Files) -> None:
    await files.put("/a.bin", b"0123456789")
    url = f"{files.base}/file-raw{files.root}/a.bin"
    client = files.browser.client

    part = await client.get(url, headers={"Range": "bytes=3-5"})
    assert (part.status_code, part.content) == (206, b"345")
    beyond = await client.get(url, headers={"Range": "bytes=50-"})
    assert beyond.status_code == 416
    known = await client.get(url, headers={"If-None-Match": part.headers["ETag"]})
    assert known.status_code == 304
    head = await client.head(url)
    assert (head.headers["Content-Length"], head.content) == ("10", b"")


async def test_what_is_no_file_is_not_sent(files: Files) -> None:
    await files.put("/d/a")

    assert (await files.get(f"raw{files.root}/d")).status_code == 409
    assert (await files.get(f"raw{files.root}/nothing")).status_code == 404


@pytest.mark.parametrize(
    "name", ["with space", "Grüße 😀.txt", "a&amp;b", "%2e%2e", "'\".txt", "a?b#c"]
)
async def test_a_name_is_taken_literally(files: Files, name: str) -> None:
    from urllib.parse import quote

    await files.put(f"/{name}", b"content")

    answer = await files.browser.client.get(
        f"{files.base}/file-raw{quote(files.root)}/{quote(name)}"
    )

    assert answer.content == b"content"


# Search


async def test_files_are_found_by_name(files: Files) -> None:
    for path in ("/README.md", "/docs/guide.md", "/docs/deep/Notes.MD", "/src/main.py"):
        await files.put(path)
    folder = files.root or "/"

    async def found(query: str, **more: str) -> list[str]:
        answer = await files.get("search", mode="name", q=query, path=folder, **more)
        assert answer.status_code == 200, answer.text
        return sorted(each["name"] for each in answer.json()["results"])

    assert await found("**/*.md") == ["Notes.MD", "README.md", "guide.md"]
    assert await found("**/*.md", case="1") == ["README.md", "guide.md"]
    assert await found("guide") == ["guide.md"]
    assert await found(f"{files.root}/src/*") == ["main.py"]
    assert await found("docs") == ["docs"]


async def test_lines_are_found_by_content(files: Files) -> None:
    await files.put("/a.txt", "one\nzwei 😀 Treffer hier\nthree\ntreffer\n".encode())
    await files.put("/sub/b.py", b"# nothing\n")
    await files.put("/binary.dat", b"\x00treffer\n")

    answer = await files.get("search", mode="content", q="tref+er", path=files.root or "/")

    [result] = answer.json()["results"]
    assert result["name"] == "a.txt"
    assert [(hit["line"], hit["text"]) for hit in result["hits"]] == [
        (2, "zwei 😀 Treffer hier"),
        (4, "treffer"),
    ]
    # As JavaScript counts, the face is two.
    assert (result["hits"][0]["start"], result["hits"][0]["end"]) == (8, 15)
    with_case = await files.get(
        "search", mode="content", q="Treffer", path=files.root or "/", case="1"
    )
    assert with_case.json()["hits"] == 1


async def test_a_search_stops_at_a_thousand_hits(on_disk: Files) -> None:
    for number in range(12):
        await on_disk.put(f"/{number}.txt", b"hit\n" * 100)

    answer = (await on_disk.get("search", mode="content", q="hit")).json()

    assert (answer["hits"], answer["stopped"]) == (1000, "1,000 hits")


async def test_a_search_ends_in_time(on_disk: Files, settings: Any) -> None:
    settings.GREP_MAX_SECONDS = 0.3
    await on_disk.put("/slow.txt", b"a" * 50_000 + b"b")

    answer = (await on_disk.get("search", mode="content", q="(a+)+$")).json()

    assert answer["stopped"] == "0.3 seconds"


@pytest.mark.parametrize(
    "query", [{"q": "("}, {"q": ""}, {"q": "x" * 3000}, {"q": "a", "mode": "dream"}, {}]
)
async def test_a_bad_search_is_400(on_disk: Files, query: dict[str, str]) -> None:
    answer = await on_disk.get("search", **{"mode": "content", **query})

    assert answer.status_code == 400
    assert answer.json()["error"]


# Folders that people made


async def test_the_api_does_not_see_the_row_of_a_folder(on_disk: Files, api: Any) -> None:
    await on_disk.act("mkdir", path="/empty/inner")
    disk_id = on_disk.place.id

    listed = (await api.get(f"/disk/{disk_id}/artifact/ls", {"path": "/"})).json()["data"]
    assert listed == {"artifacts": [], "directories": ["empty"]}
    inner = (await api.get(f"/disk/{disk_id}/artifact/ls", {"path": "/empty/inner"})).json()
    assert inner["data"] == {"artifacts": [], "directories": []}
    for query in ({"query": "**"}, {"query": "*"}):
        assert (await api.get(f"/disk/{disk_id}/artifact/glob", query)).json()["data"] == []
    assert (await api.get(f"/disk/{disk_id}/artifact/grep", {"query": ".*"})).json()["data"] == []
    assert await database.read(Artifact.objects.count) == 1


async def test_a_folder_is_as_a_zip(files: Files) -> None:
    await files.put("/d/a.txt", b"a" * 10_000)
    await files.put("/d/sub/b", b"b")

    answer = await files.get("zip", path=f"{files.root}/d")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="d.zip"'
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["a.txt", "sub/", "sub/b"]


async def test_a_name_that_is_made_is_one_name(files: Files) -> None:
    folder = files.root or "/"
    for action in ("mkdir", "create"):
        refused = await files.act(action, path=folder, name="a/b")
        assert refused.status_code == 400, refused.text
        assert refused.json()["tag"] == "invalid_name"
    assert (await files.act("mkdir", path=folder, name=" box ")).json()["entry"]["name"] == "box"
    assert (await files.act("create", path=folder, name=" a.txt ")).status_code == 200
    assert await files.names() == ["box", "a.txt"]


async def test_more_than_a_thousand_files_come_as_one_zip(on_disk: Files) -> None:
    names = [f"{number:04}.txt" for number in range(1_100)]
    await on_disk.put(f"/{names[0]}")
    first = await database.read(lambda: Artifact.objects.select_related("blob", "disk").get())
    rows = [Artifact(disk=first.disk, path="/", filename=name, blob=first.blob) for name in names]
    await database.write(Artifact.objects.bulk_create, rows[1:])

    form = {"path": "/", "names": json.dumps(names)}
    answer = await on_disk.browser.client.post(f"{on_disk.base}/file-zip", data=form)
    assert answer.status_code == 200, answer.text[:500]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == names
    for nonsense in ("{", "{}", "[1]", '["a/b"]', "[" * 100_000):
        form["names"] = nonsense
        refused = await on_disk.browser.client.post(f"{on_disk.base}/file-zip", data=form)
        assert refused.status_code == 400, nonsense[:10]
    too_many = await on_disk.act("delete", paths=[f"/{name}" for name in names])
    assert too_many.status_code == 400
    assert "choose fewer, or the folder they are in" in too_many.json()["error"]


async def test_a_form_with_too_many_fields_is_told_so(on_disk: Files) -> None:
    form = {"paths": [f"/{number}" for number in range(1_100)]}
    answer = await on_disk.browser.client.post(f"{on_disk.base}/file-actions/delete", data=form)
    assert answer.status_code == 400
    assert "Choose fewer" in answer.json()["error"]


async def test_a_line_break_in_a_name_is_a_part_of_it(files: Files) -> None:
    if files.place.kind == "disk":
        return
    await files.put("/two\nlines.txt", b"text\n")
    answer = await files.browser.get(f"{files.base}/file-raw{files.root}/two%0Alines.txt")
    assert answer.status_code == 200, answer.text
    assert answer.content == b"text\n"
    assert (await files.browser.get(f"{files.base}/files{files.root}/two%0Alines.txt")).is_success
