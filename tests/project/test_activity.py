"""The log of activity: who did what, from where, and how it ended."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils import timezone

from project import activity, database, request_id, throttle, trail
from project.models import Activity, Project
from sandboxes import guests, lifecycle
from sandboxes.engine import close_engine
from sandboxes.models import Reason, Sandbox
from tests.conftest import Api
from tests.project.people import make_person

pytestmark = pytest.mark.slow


@pytest.fixture
async def local_engine(settings) -> AsyncIterator[None]:
    settings.SANDBOX_ENGINE = "local"
    await close_engine()
    yield
    await guests.close_all()
    await close_engine()


def lines() -> list[Activity]:
    database.finish_notes()
    return list(Activity.objects.order_by("id"))


async def test_what_changes_a_sandboxs_life_over_the_api_is_noted(
    local_engine: None, api: Api, project: Project
) -> None:
    made = await api.post("/sandbox", {"name": "calm-otter"})
    path = f"/sandbox/{made.json()['data']['sandbox_id']}"
    await api.patch(path, {"timeout": 600})
    await api.post(f"{path}/exec", {"command": "true"})
    await api.delete(path)
    await api.delete(path)

    written = await database.write(lines)
    assert [line.verb for line in written] == ["sandbox.create", "sandbox.extend", "sandbox.kill"]
    assert written[1].detail in ("10 m 00 s left", "9 m 59 s left")
    line = written[0]
    assert (line.actor, line.door, line.object_name) == ("test", "api", "calm-otter")
    assert (line.project_id, line.outcome) == (project.id, "done")
    assert line.address == "127.0.0.1"
    assert line.request_id == made.headers["X-Request-Id"]


async def test_what_changes_a_disks_life_over_the_api_is_noted(api: Api) -> None:
    made = await api.post("/disk")
    disk_id = made.json()["data"]["id"]
    await api.delete(f"/disk/{disk_id}")
    written = await database.write(lines)
    assert [(line.verb, line.object_id) for line in written] == [
        ("disk.create", disk_id),
        ("disk.delete", disk_id),
    ]


async def test_what_is_refused_leaves_no_line(api: Api) -> None:
    await api.post("/sandbox", {"image": "nobody/listed-this"})
    assert await database.write(lines) == []


def _sandbox(project: Project) -> Sandbox:
    return Sandbox.objects.create(
        project=project, image="i", cpus=1, memory_bytes=1, workspace_bytes=1, pids=1,
        name="calm-otter", status="running",
    )  # fmt: skip


async def test_an_end_that_nobody_asked_for_is_noted_as_sandbanks(
    local_engine: None, project: Project
) -> None:
    expired, burst, killed = [await database.write(_sandbox, project) for _ in range(3)]
    await lifecycle.kill(expired, reason=Reason.EXPIRED, by="Sandbank")
    await lifecycle.end_lost(burst, Reason.OUT_OF_MEMORY, "")
    await lifecycle.end_lost(burst, Reason.OUT_OF_MEMORY, "")
    await lifecycle.kill(killed, by="mara")

    written = await database.write(lines)
    assert [(line.actor, line.door, line.verb, line.outcome) for line in written] == [
        ("Sandbank", "sandbank", "sandbox.expire", "done"),
        ("Sandbank", "sandbank", "sandbox.end", "failed"),
    ]
    assert written[1].detail == "it ran out of memory"


async def test_a_note_that_cannot_be_written_is_logged(project: Project, caplog) -> None:
    def fail() -> None:
        raise ValueError("no room")

    await database.note_soon(fail)
    database.finish_notes()
    await database.write(lambda: None)
    assert "a note was not written" in caplog.text


# --- The page -------------------------------------------------------------------------------


@pytest.fixture
def viewer(project: Project, stranger: Project) -> Client:
    return make_person("viewer", project, stranger)


def line(project: Project | None, verb: str, days: float = 0, **more: str) -> Activity:
    written = activity.record(project, verb, **{"actor": "mara", **more})
    at = timezone.now() - timedelta(days=days)
    Activity.objects.filter(pk=written.pk).update(at=at)
    written.at = at
    return written


def shown(client: Client, **query: str) -> list[int]:
    page = client.get("/activity/", query)
    assert page.status_code == 200
    return [int(number) for number in re.findall(r'id="line-(\d+)"', page.content.decode())]


def test_what_a_role_does_not_allow_is_on_record(viewer: Client, project: Project) -> None:
    for _ in range(2):
        viewer.get("/disks/new/")
        viewer.post("/disks/new/", {"name": "x"})
    written = lines()
    assert len(written) == 2
    line = written[0]
    assert (line.verb, line.outcome, line.detail) == ("member.try", "refused", "as a viewer")
    assert (line.actor, line.project_id) == ("viewer", project.id)
    assert (line.object_name, line.address) == ("/disks/new/", "127.0.0.1")
    page = viewer.get("/activity/", {"outcome": "refused"}).content.decode()
    assert "tried to change" in page


def test_a_flood_of_what_a_role_does_not_allow_leaves_a_few_lines(
    viewer: Client, project: Project
) -> None:
    for _ in range(throttle.ROLE.most + 5):
        viewer.post("/transfer/clear/")
    assert len(lines()) == throttle.ROLE.most


def test_the_page_shows_the_projects_lines_newest_first(
    viewer: Client, project: Project, stranger: Project
) -> None:
    old, new = line(project, "disk.create", 2), line(project, "disk.delete")
    line(stranger, "disk.create")
    assert shown(viewer) == [new.pk, old.pk]
    text = viewer.get("/activity/").content.decode()
    assert f"{old.at:%A}, {old.at.day} {old.at:%B}" in text


def test_a_person_sees_own_sign_ins_and_an_administrator_all(
    viewer: Client, project: Project, stranger: Project
) -> None:
    own = line(None, "account.sign_in", actor="viewer")
    other = line(None, "account.sign_in", actor="mara")
    assert shown(viewer) == [own.pk]
    assert shown(make_person("superuser", project, stranger)) == [other.pk, own.pk]


def test_each_filter_narrows(viewer: Client, project: Project) -> None:
    first = line(
        project, "sandbox.create", 3, object_id="7f3a", object_name="calm-otter", door="api"
    )
    second = line(project, "sandbox.kill", 1, actor="jonas", outcome="failed", object_id="7f3a")
    third = line(project, "disk.create", 0, object_name="reports")
    day = first.at.date().isoformat()
    for query, expected in (
        ({"actor": "JONAS"}, [second]),
        ({"verb": "sandbox"}, [second, first]),
        ({"verb": "sandbox.kill"}, [second]),
        ({"object": "7f3a"}, [second, first]),
        ({"object": "OTTER"}, [first]),
        ({"outcome": "failed"}, [second]),
        ({"door": "api"}, [first]),
        ({"from": day, "to": day}, [first]),
        ({"to": day}, [first]),
        ({"from": second.at.date().isoformat()}, [third, second]),
        ({"actor": "nobody"}, []),
    ):
        assert shown(viewer, **query) == [row.pk for row in expected], query
    assert "Nothing matches" in viewer.get("/activity/", {"actor": "nobody"}).content.decode()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"from": "yesterday"}, "“yesterday” is left out"),
        ({"to": "2026-13-01"}, "“2026-13-01” is left out"),
        ({"from": "0001-01-01", "to": "<b>"}, "“0001-01-01” and “&lt;b&gt;” is left out"),
        ({"actor": "\x00"}, "Any"),
    ],
)
def test_what_is_no_day_is_left_out_and_the_rest_counts(
    viewer: Client, project: Project, query: dict[str, str], told: str
) -> None:
    wanted, _ = line(project, "disk.create"), line(project, "key.create")
    assert shown(viewer, **{"verb": "disk", **query}) == [wanted.pk]
    assert told in viewer.get("/activity/", query).content.decode()


@pytest.mark.parametrize(
    "after",
    ["x_y", "2026-01-01T00:00:00_y", "0001-01-01T00:00:00+14:00_5", "9999-12-31T23:59:59-14:00_5"],
)
def test_a_page_behind_nowhere_is_refused(viewer: Client, after: str) -> None:
    assert viewer.get("/activity/", {"after": after}).status_code == 400


def test_a_page_behind_a_line_of_any_number_is_one(viewer: Client) -> None:
    after = f"2026-01-01T00:00:00_{'9' * 30}"
    assert viewer.get("/activity/", {"after": after}).status_code == 200


@pytest.mark.parametrize(
    ("zone", "day", "clock"),
    [
        ("Asia/Tokyo", "Wednesday, 25 November 2026", "08:30:00"),
        ("", "Tuesday, 24 November 2026", "23:30:00"),
        ("../../etc/passwd", "Tuesday, 24 November 2026", "23:30:00"),
    ],
)
def test_days_and_times_are_those_of_the_reader(
    viewer: Client, project: Project, zone: str, day: str, clock: str
) -> None:
    written = line(project, "disk.create")
    at = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    Activity.objects.filter(pk=written.pk).update(at=at)
    viewer.cookies["zone"] = zone
    page = viewer.get("/activity/").content.decode()
    assert day in page
    assert f">{clock}</td>" in page
    on = "2026-11-25" if "Tokyo" in zone else "2026-11-24"
    assert shown(viewer, **{"from": on, "to": on}) == [written.pk]


def test_the_csv_names_no_request_where_there_was_none(viewer: Client, project: Project) -> None:
    written = line(project, "sandbox.expire", object_name="-danger")
    Activity.objects.filter(pk=written.pk).update(request_id=request_id.NONE)
    names, row = read_csv(viewer.get("/activity/", {"format": "csv"}))
    told = dict(zip(names, row, strict=True))
    assert (told["request_id"], told["object_name"]) == ("", "'-danger")


def test_an_empty_log_says_so(viewer: Client, project: Project) -> None:
    assert "No activity yet" in viewer.get("/activity/").content.decode()


def test_the_pages_leave_nothing_out_and_nothing_twice(
    viewer: Client, project: Project, monkeypatch
) -> None:
    at = timezone.now()
    Activity.objects.bulk_create(
        Activity(project=project, actor="mara", door="api", verb="disk.create", at=at)
        for _ in range(250)
    )
    seen: list[int] = []
    address = "/activity/?verb=disk"
    for _ in range(3):
        page = viewer.get(address).content.decode()
        seen += [int(number) for number in re.findall(r'id="line-(\d+)"', page)]
        older = re.search(r'rel="next" href="([^"]+)"', page)
        address = "/activity/" + unescape(older[1]) if older else ""
    assert address == ""
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 250


def test_what_somebody_else_named_is_shown_as_text(viewer: Client, project: Project) -> None:
    line(project, "disk.create", object_name="<script>alert(1)</script>", actor='"><img src=x>')
    text = viewer.get("/activity/").content.decode()
    assert "<script>alert" not in text
    assert "<img src=x>" not in text


def test_the_csv_has_all_that_the_filter_lets_through(
    viewer: Client, project: Project, monkeypatch
) -> None:
    monkeypatch.setattr(trail, "CSV_ROWS", 2)
    for number in range(5):
        line(project, "disk.create", object_name=f"disk {number}")
    line(project, "key.create")
    rows = read_csv(viewer.get("/activity/", {"format": "csv", "verb": "disk"}))
    assert rows[0] == list(trail.COLUMNS)
    assert [row[5] for row in rows[1:]] == [f"disk {number}" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_the_csv_holds_no_formula(viewer: Client, project: Project, name: str) -> None:
    line(project, "disk.create", object_name=name, actor=name)
    row = read_csv(viewer.get("/activity/", {"format": "csv"}))[1]
    assert row[5] == f"'{name}"
    assert row[1].startswith("'")


def read_csv(answer: Any) -> list[list[str]]:
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]

    async def gather() -> bytes:
        return b"".join([piece async for piece in answer])

    return list(csv.reader(io.StringIO(async_to_sync(gather)().decode(), newline="")))


def test_every_verb_that_is_written_has_words() -> None:
    sources = [
        path for app in ("project", "sandboxes", "disks") for path in Path(app).rglob("*.py")
    ]
    areas = "|".join(trail.AREAS)
    written = {
        verb
        for path in sources
        if path.name != "trail.py"
        for verb in re.findall(rf'"((?:{areas})\.[a-z_]+)"', path.read_text())
    }
    modules = {verb for verb in written if Path(*verb.split(".")).with_suffix(".py").exists()}
    packages = {verb for verb in written if Path(*verb.split(".")).is_dir()}
    # The last are a file of Docker's, and what a recorded terminal is told of.
    verbs = written - modules - packages - {"key.pem", "terminal.size"}
    assert len(verbs) > 30
    assert sorted(verbs - set(trail.WORDS)) == []
