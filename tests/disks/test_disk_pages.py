"""The pages of disks and of the files on them: what they show, to whom, and without scripts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from disks.models import Disk, Transfer
from disks.places.disk import DiskPlace
from project.errors import Forbidden
from project.models import Activity, Project, Role, Session
from project.policy import add_member
from sandboxes.models import Reason, Sandbox, Status
from tests.project.people import make_person

pytestmark = pytest.mark.slow

SCRIPT = "<img src=x onerror=alert(1)>"
MIB = 2**20


@pytest.fixture
def member(project: Project, stranger: Project) -> Client:
    return make_person("member", project, stranger)


@pytest.fixture
def viewer(project: Project, stranger: Project) -> Client:
    return make_person("viewer", project, stranger)


@pytest.fixture
def write(put: Any) -> Callable[..., Any]:
    """Puts a file on `disk` from a test that is not async."""
    return async_to_sync(put)


def files_of(disk: Disk, path: str = "") -> str:
    return f"/disks/{disk.pk}/files/{path}"


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content[:500]
    return str(answer.content.decode())


def names_in(page: str) -> list[str]:
    return re.findall(r'<tr id="f-[0-9a-f]+" data-name="([^"]+)"', page)


def dead_sandbox(project: Project, **changes: Any) -> Sandbox:
    return Sandbox.objects.create(
        **{
            "project": project,
            "name": "calm-otter",
            "image": "sandbank:1",
            "cpus": 1,
            "memory_bytes": 512 * MIB,
            "workspace_bytes": 384 * MIB,
            "pids": 256,
            "lifetime_seconds": 1800,
            "status": Status.KILLED,
            "reason": Reason.KILLED,
            "ended_at": timezone.now(),
            **changes,
        }
    )


def test_no_disks_yet(member: Client, viewer: Client) -> None:
    page = text(member.get("/disks/"))
    assert "No disks yet" in page
    assert "New disk" in page
    assert "New disk" not in text(viewer.get("/disks/"))


def test_a_disk_is_made_and_is_somebodys(member: Client, project: Project) -> None:
    answer = member.post("/disks/new/", {"name": " reports ", "description": "of q3"})
    disk = Disk.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == files_of(disk)
    assert (disk.name, disk.description, disk.created_by) == ("reports", "of q3", "member")
    assert Activity.objects.get().verb == "disk.create"
    page = text(member.get("/disks/"))
    assert "reports" in page
    assert "member" in page


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\nb"])
def test_a_bad_name_is_refused(member: Client, name: str) -> None:
    answer = member.post("/disks/new/", {"name": name}, headers={"accept": "application/json"})
    assert answer.status_code == 400
    assert not Disk.objects.exists()


def test_a_name_is_given_once_in_a_project(member: Client, stranger: Project) -> None:
    Disk.objects.create(project=stranger, name="reports")
    member.post("/disks/new/", {"name": "reports"})
    again = member.post("/disks/new/", {"name": "reports"}, headers={"accept": "application/json"})
    assert again.status_code == 409
    assert Disk.objects.count() == 2


def test_the_list_counts_and_sorts(
    member: Client, project: Project, disk: Disk, write: Callable[..., Any]
) -> None:
    Disk.objects.create(project=project, name="empty")
    Disk.objects.filter(pk=disk.pk).update(name="full")
    write("/a/b.txt", b"x" * 2048)
    write("/c.txt", b"x" * 2048)
    page = text(member.get("/disks/?sort=-size"))
    assert page.index(">full<") < page.index(">empty<")
    assert "4.0 KB" in page
    page = text(member.get("/disks/?sort=name"))
    assert page.index(">empty<") < page.index(">full<")
    for query in ("emp", "e%00mp"):
        page = text(member.get(f"/disks/?q={query}"))
        assert ">empty<" in page
        assert ">full<" not in page


def test_a_folder_shows_folders_first(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    for path in ("/b.txt", "/a.txt", "/z/deep/c.txt", "/.hidden"):
        write(path)
    page = text(member.get(files_of(disk)))
    assert names_in(page) == ["z", ".hidden", "a.txt", "b.txt"]
    assert names_in(text(member.get(files_of(disk, "?sort=-name"))))[-1] == ".hidden"
    assert names_in(text(member.get(files_of(disk, "?match=a."))))[0] == "a.txt"
    assert names_in(text(member.get(files_of(disk, "?match=a%00."))))[0] == "a.txt"
    assert names_in(text(member.get(files_of(disk, "z/")))) == ["deep"]


def test_hidden_files_are_hidden_until_asked_for(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/.hidden")
    write("/a.txt")
    assert names_in(text(member.get(files_of(disk, "?hidden=0")))) == ["a.txt"]
    # It is remembered.
    assert names_in(text(member.get(files_of(disk)))) == ["a.txt"]
    assert ".hidden" in names_in(text(member.get(files_of(disk, "?hidden=1"))))


def test_a_large_folder_comes_in_parts(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    for number in range(205):
        write(f"/{number:03}.txt")
    page = text(member.get(files_of(disk)))
    assert len(names_in(page)) == 200
    assert "Show more" in page
    assert len(names_in(text(member.get(files_of(disk, "?count=400"))))) == 205


def test_a_part_of_the_page_is_only_that(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/a.txt")
    part = text(member.get(files_of(disk, "?part=rows")))
    assert "<html" not in part
    assert names_in(part) == ["a.txt"]


def test_an_empty_folder_says_what_can_be_done(member: Client, viewer: Client, disk: Disk) -> None:
    assert "Drop files" in text(member.get(files_of(disk)))
    page = text(viewer.get(files_of(disk)))
    assert "This folder is empty" in page
    assert "Drop files" not in page


def test_a_name_is_shown_so_that_it_deceives_nobody(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/gpj.\u202etxt/a\u202eb.py")
    folder = member.get(f"/disks/{disk.pk}/files/")
    file = member.get(f"/disks/{disk.pk}/files/gpj.%E2%80%AEtxt/a%E2%80%AEb.py")
    sides = member.get(f"/transfer/?left=disk:{disk.pk}:/gpj.%E2%80%AEtxt")
    for page, name in ((folder, r"gpj.\u202etxt"), (file, r"a\u202eb.py"), (sides, r"a\u202eb.py")):
        assert f">{name}</a>" in text(page)
        # The name itself is only where nobody reads it.
        shown = re.sub(r' (data-\w+|value)="[^"]*"', "", text(page))
        assert "\u202e" not in shown


def test_a_folder_that_is_gone_leads_to_the_nearest(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/a/b.txt")
    page = text(member.get(files_of(disk, "a/c/d/")), 404)
    assert "This folder is gone" in page
    assert f'href="{files_of(disk, "a/")}"' in page


def test_a_folder_without_its_slash_is_found(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/a/b.txt")
    answer = member.get(files_of(disk, "a"))
    assert answer.status_code == 302
    assert answer["Location"] == files_of(disk, "a/")


def test_a_viewer_looks_and_changes_nothing(
    viewer: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/a.txt")
    for page in (
        text(viewer.get(files_of(disk))),
        text(viewer.get(files_of(disk, "a.txt"))),
        text(viewer.get(f"/disks/{disk.pk}/settings/")),
        text(viewer.get(f"/disks/{disk.pk}/trash/")),
    ):
        for word in ("Upload", "Rename", 'id="save"', "Edit<", "Restore", 'data-do="delete"'):
            assert word not in page, word
        assert f"/disks/{disk.pk}/" not in "".join(re.findall(r'action="([^"]*)"', page))
    assert 'id="editor"' not in text(viewer.get(files_of(disk, "a.txt?view=edit")))
    for address in (f"/disks/{disk.pk}/settings/", f"/disks/{disk.pk}/delete/", "/disks/new/"):
        answer = viewer.post(address, {"name": "x"}, headers={"accept": "application/json"})
        assert answer.status_code == 403
    assert Disk.objects.get().name == ""


def test_a_stranger_finds_nothing(
    project: Project, stranger: Project, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/a.txt")
    client = make_person("stranger", project, stranger)
    for address in (
        files_of(disk),
        files_of(disk, "a.txt"),
        f"/disks/{disk.pk}/settings/",
        f"/disks/{disk.pk}/trash/",
    ):
        assert client.get(address).status_code == 404


def test_names_and_contents_are_text(member: Client, disk: Disk, write: Callable[..., Any]) -> None:
    name = SCRIPT.replace("/", "")
    write(f"/{name}", SCRIPT.encode())
    write("/page.html", b"<script>alert(1)</script>")
    write("/page.md", SCRIPT.encode())
    write("/page.csv", f"a,b\n{SCRIPT},2\n".encode())
    Disk.objects.update(name=SCRIPT, description=SCRIPT)
    for address in (
        "/disks/",
        files_of(disk),
        files_of(disk, "page.html"),
        files_of(disk, "page.md"),
        files_of(disk, "page.csv"),
        files_of(disk, "page.html?view=edit"),
        f"/disks/{disk.pk}/settings/",
    ):
        page = text(member.get(address))
        assert SCRIPT not in page
        assert "<script>alert" not in page


def test_a_file_is_shown_and_edited(member: Client, disk: Disk, write: Callable[..., Any]) -> None:
    write("/a.py", b"import os\n")
    page = text(member.get(files_of(disk, "a.py")))
    assert '<span id="L1"><span class="k">import</span> os</span>' in page
    page = text(member.get(files_of(disk, "a.py?view=edit")))
    assert "import os\n</textarea>" in page
    assert 'data-language="python"' in page


def test_a_leading_empty_line_survives_the_text_area(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/a.txt", b"\n\nx\n")
    # HTML drops the first line end after the tag.
    assert 'data-language="">\n\n\nx\n</textarea>' in text(
        member.get(files_of(disk, "a.txt?view=edit"))
    )


def test_what_is_no_text_is_not_edited(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/a.bin", bytes(range(256)))
    page = text(member.get(files_of(disk, "a.bin?view=edit")))
    assert "cannot be edited here" in page
    assert "00000010  10 11" in page


def test_files_lead_to_their_neighbours(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        write(f"/{name}")
    page = text(member.get(files_of(disk, "b.txt")))
    assert f'href="{files_of(disk, "a.txt")}" rel="prev"' in page
    assert f'href="{files_of(disk, "c.txt")}" rel="next"' in page


def test_a_file_is_shown_though_its_folder_may_not_be_listed(
    member: Client, disk: Disk, write: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def listing(*_: Any, **__: Any) -> None:
        raise Forbidden("permission denied")

    write("/a.txt", b"readable")
    monkeypatch.setattr(DiskPlace, "listing", listing)
    assert "readable" in text(member.get(files_of(disk, "a.txt")))


def test_settings_are_kept(member: Client, disk: Disk) -> None:
    member.post(f"/disks/{disk.pk}/settings/", {"name": "new", "description": "a\r\nb"})
    disk.refresh_from_db()
    assert (disk.name, disk.description) == ("new", "a\nb")
    assert Activity.objects.get(verb="disk.change").detail == "name and description"
    # Its own name is not taken.
    assert (
        member.post(f"/disks/{disk.pk}/settings/", {"name": "new", "description": ""}).status_code
        == 303
    )


def test_a_disk_with_files_goes_only_by_its_name(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    Disk.objects.update(name="reports")
    write("/a.txt")
    address = f"/disks/{disk.pk}/delete/"
    refused = member.post(address, {"name": "report"}, headers={"accept": "application/json"})
    assert refused.status_code == 400
    assert Disk.objects.exists()
    member.post(address, {"name": "reports"})
    assert not Disk.objects.exists()


def test_an_empty_disk_goes_at_once(member: Client, disk: Disk) -> None:
    member.post(f"/disks/{disk.pk}/delete/")
    assert not Disk.objects.exists()


def test_the_trash_tells_what_was_deleted_by_whom(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    write("/reports/a.txt", b"x" * 2048)
    assert "The trash is empty" in text(member.get(f"/disks/{disk.pk}/trash/"))
    member.post(
        f"/disks/{disk.pk}/file-actions/delete",
        {"paths": ["/reports/a.txt"]},
        headers={"accept": "application/json"},
    )
    page = text(member.get(f"/disks/{disk.pk}/trash/"))
    assert '<span class="faint">/reports/</span>a.txt' in page
    assert "2.0 KB" in page
    assert ">member<" in page
    assert "after 30 days" in page
    assert "deleted together" not in page


def test_the_trash_tells_what_was_deleted_together_and_how_much_is_there_now(
    member: Client, disk: Disk, write: Callable[..., Any]
) -> None:
    def act(address: str, **form: Any) -> Any:
        answer = member.post(
            f"/disks/{disk.pk}/{address}", form, headers={"accept": "application/json"}
        )
        return answer.json()

    for name in ("/reports/a.txt", "/reports/b.txt", "/c.txt"):
        write(name, b"x")
    act("file-actions/delete", paths=["/c.txt"])
    act("file-actions/delete", paths=["/reports/"])
    page = text(member.get(f"/disks/{disk.pk}/trash/"))
    assert page.count("deleted together") == 1
    assert "2 items deleted together" in page
    assert "3 items (3 B) are lost for ever." in page

    act("trash/restore", deletion=re.findall(r'name="deletion" value="([^"]+)', page)[0])
    rows = text(member.get(f"/disks/{disk.pk}/trash/?part=rows"))
    assert "1 item (1 B) is lost for ever." in rows
    assert "deleted together" not in rows


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Sandbox stopped. Its files are gone."),
        ({"status": Status.PAUSED, "reason": ""}, "The sandbox is paused"),
        ({"status": Status.CREATING, "reason": ""}, "The sandbox is starting"),
    ],
)
def test_a_sandbox_that_does_not_run_says_so(
    member: Client, project: Project, changes: dict[str, Any], words: str
) -> None:
    sandbox = dead_sandbox(project, **changes)
    for part in ("", "?part=rows"):
        page = text(member.get(f"/sandboxes/{sandbox.pk}/files/workspace/{part}"))
        assert words in page


def test_a_sandbox_opens_where_its_work_is(member: Client, project: Project) -> None:
    sandbox = dead_sandbox(project)
    answer = member.get(f"/sandboxes/{sandbox.pk}/files/")
    assert answer["Location"] == f"/sandboxes/{sandbox.pk}/files/workspace/"


def test_what_counts_is_the_right_in_the_disks_own_project(
    viewer: Client, stranger: Project
) -> None:
    theirs = Disk.objects.create(project=stranger)
    address = f"/disks/{theirs.pk}/delete/"
    add_member(stranger, User.objects.get(username="viewer"), Role.VIEWER)
    assert viewer.post(address).status_code == 403
    add_member(stranger, User.objects.get(username="viewer"), Role.MEMBER)
    assert viewer.post(address).status_code == 303
    assert not Disk.objects.filter(pk=theirs.pk).exists()


# --- Transfers -------------------------------------------------------------------------------


def test_a_side_that_cannot_be_shown_offers_another_try(member: Client, disk: Disk) -> None:
    page = text(member.get(f"/transfer/?left=disk:{disk.pk}:/gone/&part=left"))
    assert "This folder cannot be shown" in page
    assert "Try again" in page
    assert "Up one folder" in page


def test_a_look_at_the_same_two_sides_writes_nothing(member: Client, disk: Disk) -> None:
    other = Disk.objects.create(project=disk.project)
    for part in ("", "left"):
        address = f"/transfer/?left=disk:{disk.pk}:/&right=disk:{other.pk}:/&part={part}"
        text(member.get(address))
        # Who writes a session gives it another end.
        end = timezone.now() + timedelta(days=1)
        Session.objects.update(expire_date=end)
        text(member.get(address))
        assert Session.objects.get().expire_date == end
    text(member.get(address.replace(":/&part", ":/a/&part")))
    assert Session.objects.get().expire_date != end


def test_clearing_the_list_of_transfers_is_on_record(member: Client, project: Project) -> None:
    assert member.post("/transfer/clear/").status_code == 303
    assert not Activity.objects.filter(verb="transfer.clear").exists()
    ends = {"source_id": uuid.uuid4(), "target_id": uuid.uuid4(), "seen_at": timezone.now()}
    Transfer.objects.create(project=project, status=Transfer.Status.DONE, **ends)
    assert member.post("/transfer/clear/").status_code == 303
    line = Activity.objects.get(verb="transfer.clear")
    assert (line.actor, line.detail) == ("member", "1 finished transfer")
    assert not Transfer.objects.exists()
