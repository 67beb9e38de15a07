"""The doctor finds what is wrong, says what to do, and tells no secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import AsyncClient

from project import database, doctor, examinations, leases
from project.doctor import Section
from project.models import Activity, Lease, Memo, Project
from sandboxes import doctor as sandbox_doctor
from sandboxes import lifecycle
from sandboxes.engine import close_engine, get_engine
from sandboxes.engine.base import BoxSpec, EngineUnavailable
from sandboxes.models import Sandbox
from sandboxes.options import NewSandbox
from sandboxes.selftest import Finding

pytestmark = pytest.mark.slow

RIGHT = Finding("a", True, "x", "x", "do b")
WRONG = Finding("c", False, "x", "y", "do d")
ADVISED = replace(WRONG, name="e", advice="do f", required=False)


@pytest.fixture
async def engine(settings: Any) -> AsyncIterator[None]:
    settings.SANDBOX_ENGINE = "local"
    await close_engine()
    yield
    await close_engine()


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


# --- What is said ----------------------------------------------------------------------------


def test_only_what_is_required_makes_ill() -> None:
    assert doctor.healthy([Section("s", [RIGHT, ADVISED])])
    assert not doctor.healthy([Section("s", [RIGHT]), Section("t", [WRONG])])


def test_a_report_says_what_to_do_about_each_line_that_is_not_right() -> None:
    text = doctor.report([Section("Part", [RIGHT, WRONG, ADVISED])], datetime.now(UTC))
    assert "✔ right    a: x" in text
    assert "✖ wrong    c: y" in text
    assert "▲ advised  e: y" in text
    assert "do b" not in text
    assert "do d" in text
    assert "do f" in text


async def test_what_breaks_is_a_finding() -> None:
    async def look() -> list[Finding]:
        raise ValueError("broken pipe")

    (finding,) = await doctor._looked_at(doctor.Part("Pipes", look))
    assert (finding.ok, finding.required, finding.found) == (False, True, "broken pipe")


async def test_a_report_holds_no_secret(engine: None, project: Project, settings: Any) -> None:
    sections = [section async for section in doctor.examine()]
    text = doctor.report(sections, datetime.now(UTC))
    assert settings.SECRET_KEY not in text
    assert str(settings.DATA_DIR) not in text


# --- What is found ---------------------------------------------------------------------------


async def test_good_settings_are_right(settings: Any) -> None:
    settings.SECRET_KEY = "abcdefghij" * 6
    settings.ALLOWED_HOSTS = ["bank.example.org"]
    settings.PUBLIC_URL = "https://bank.example.org"
    settings.BEHIND_TLS = True
    settings.CSRF_TRUSTED_ORIGINS = ["https://bank.example.org"]
    assert [one.name for one in await doctor.settings_findings() if not one.ok] == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"DEBUG": True}, "DEBUG"),
        ({"SECRET_KEY": "secret"}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": ["*"]}, "ALLOWED_HOSTS"),
        ({"PUBLIC_URL": "https://other.example.org"}, "the host of PUBLIC_URL"),
        ({"PUBLIC_URL": "http://bank.example.org"}, "TLS"),
        ({"PUBLIC_URL": "https://bank.example.org"}, "forms behind the proxy"),
        ({"SANDBOX_ENGINE": "local"}, "the engine of sandboxes"),
    ],
)
async def test_bad_settings_are_named(settings: Any, changes: dict[str, Any], name: str) -> None:
    settings.SECRET_KEY = "abcdefghij" * 6
    settings.ALLOWED_HOSTS = ["bank.example.org"]
    for key, value in changes.items():
        setattr(settings, key, value)
    finding = by_name(await doctor.settings_findings())[name]
    assert not finding.ok
    assert finding.advice


async def test_a_data_folder_open_to_all_is_named(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    tmp_path.chmod(0o755)
    finding = by_name(await doctor.data_findings())["who may look into the data folder"]
    assert (finding.ok, finding.found) == (False, "mode 755")
    tmp_path.chmod(0o700)
    assert all(finding.ok for finding in await doctor.data_findings())
    assert list(tmp_path.iterdir()) == []


async def test_database_store_and_layer_are_tried(transactional_db: None) -> None:
    findings = [
        *await doctor.database_findings(),
        *await doctor.store_findings(),
        *await doctor.layer_findings(),
    ]
    assert [finding.name for finding in findings if not finding.ok] == []
    assert len(findings) == 5


async def test_a_store_that_loses_bytes_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_there_and_back", lambda content: "gives back other bytes")
    (finding,) = await doctor.store_findings()
    assert (finding.ok, finding.required) == (False, True)


async def test_the_engine_and_a_guest_are_right(engine: None, project: Project) -> None:
    findings = [
        *await sandbox_doctor.engine_findings(),
        *await sandbox_doctor.image_findings(),
        *await sandbox_doctor.guest_findings(),
    ]
    assert [finding for finding in findings if not finding.ok] == []
    assert await get_engine().list({}) == []


async def test_an_engine_that_is_away_is_wrong(
    engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*arguments: object) -> None:
        raise EngineUnavailable("The engine cannot be reached.")

    monkeypatch.setattr(get_engine(), "ping", gone)
    monkeypatch.setattr(get_engine(), "create", gone)
    (finding,) = await sandbox_doctor.engine_findings()
    assert (finding.ok, finding.found) == (False, "The engine cannot be reached.")
    (finding,) = await sandbox_doctor.guest_findings()
    assert not finding.ok


async def test_a_clock_that_goes_wrong_is_named(engine: None) -> None:
    info = await get_engine().info()
    now = datetime.now(UTC)
    late = replace(info, at=now - timedelta(minutes=5))
    finding = sandbox_doctor._clock(late, now, now)
    assert (finding.ok, finding.found) == (False, "300.0 s away")
    assert sandbox_doctor._clock(replace(info, at=now), now, now).ok


def test_the_command_fails_where_something_is_wrong(
    transactional_db: None, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.SANDBOX_ENGINE, settings.DEBUG = "local", True
    with pytest.raises(CommandError):
        call_command("doctor")
    assert "✖ wrong    DEBUG: on" in capsys.readouterr().out


# --- The pages -------------------------------------------------------------------------------


@pytest.fixture
def admin(project: Project) -> AsyncClient:
    client = AsyncClient()
    client.force_login(User.objects.create_superuser("ada", password="x"))
    return client


@pytest.fixture
def looker(project: Project) -> AsyncClient:
    """Somebody of the staff who is in no project, and may change nothing."""
    client = AsyncClient()
    client.force_login(User.objects.create_user("lou", is_staff=True))
    return client


async def test_the_page_examines_when_it_is_asked(engine: None, admin: AsyncClient) -> None:
    assert "starts a box" in (await admin.get("/admin/doctor/")).content.decode()
    assert (await admin.get("/admin/doctor/start/")).status_code == 405
    assert (await admin.post("/admin/doctor/start/")).status_code == 303
    assert "Looking at" in (await admin.get("/admin/doctor/?part=results")).content.decode()
    await examinations.finished()
    text = (await admin.get("/admin/doctor/?part=results")).content.decode()
    assert "Looking at" not in text
    assert "A guest runs a command" in text
    assert "every 1s" not in text
    report = await admin.get("/admin/doctor/report.txt")
    assert report["Content-Type"].startswith("text/plain")
    assert "a guest runs a command" in report.content.decode()


async def test_an_examination_is_known_to_other_processes_and_after_a_restart(
    engine: None, admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = leases.HOLDER
    monkeypatch.setattr(leases, "HOLDER", "another process")
    assert await database.write(leases.acquire, examinations.NAME, 60)
    monkeypatch.setattr(leases, "HOLDER", mine)
    # Another process looks: this one does not begin too.
    assert not await examinations.start("ada")
    await database.write(Lease.objects.all().delete)

    assert await examinations.start("ada")
    assert not await examinations.start("bo")
    await examinations.finished()
    monkeypatch.setattr(examinations, "_task", None)
    found = await database.read(examinations.last)
    assert found is not None
    assert (found.by, found.under_way) == ("ada", "")
    assert [section.title for section in found.sections] == [part.title for part in doctor.PARTS]
    assert not await database.read(Lease.objects.filter(name=examinations.NAME).exists)


async def test_an_examination_whose_server_died_is_broken_off(
    engine: None, admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def examine() -> AsyncIterator[Section]:
        yield Section("Settings", [RIGHT])
        await asyncio.Event().wait()

    monkeypatch.setattr(doctor, "examine", examine)
    assert await examinations.start("ada")
    await asyncio.sleep(0)
    assert "Looking at" in (await admin.get("/admin/doctor/?part=results")).content.decode()
    monkeypatch.setattr(examinations, "LEASE_SECONDS", 0)
    text = (await admin.get("/admin/doctor/?part=results")).content.decode()
    assert "the server that looked has ended" in text
    assert "every 1s" not in text

    await examinations.stop()
    text = (await admin.get("/admin/doctor/?part=results")).content.decode()
    assert "the server stops" in text


def test_what_another_version_found_is_no_examination(db: None) -> None:
    Memo.objects.create(name=examinations.NAME, value={"by": "ada", "sections": []})
    assert examinations.last() is None


async def test_an_examination_that_breaks_off_says_so(
    engine: None,
    admin: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def examine() -> AsyncIterator[Section]:
        yield Section("Settings", [])
        raise RuntimeError("the floor is gone")

    monkeypatch.setattr(doctor, "examine", examine)
    await admin.post("/admin/doctor/start/")
    await examinations.finished()
    second = doctor.PARTS[1].title
    text = (await admin.get("/admin/doctor/?part=results")).content.decode()
    assert "1 wrong" in text
    assert f"broke off at “{second}”: the floor is gone" in text
    report = await admin.get("/admin/doctor/report.txt")
    assert "the floor is gone" in report.content.decode()
    assert f"the doctor broke off at: {second}" in caplog.text


async def test_the_overview_shows_and_repairs_orphans(
    engine: None, admin: AsyncClient, project: Project
) -> None:
    instance = await database.write(lifecycle.installation_id)
    labels = {lifecycle.LABEL_INSTANCE: instance}
    await get_engine().create(BoxSpec("sandbank-lost", "i", ("true",), labels))
    assert "sandbank-lost" in (await admin.get("/admin/overview/?part=live")).content.decode()
    asked = {"kind": "box", "key": "sandbank-lost"}
    assert (await admin.post("/admin/overview/repair/", asked)).status_code == 303
    assert "sandbank-lost" not in (await admin.get("/admin/overview/?part=live")).content.decode()
    lines = await database.read(lambda: list(Activity.objects.filter(verb="box.remove")))
    assert [(line.actor, line.door, line.object_id) for line in lines] == [
        ("ada", "admin", "sandbank-lost")
    ]
    again = await admin.post(
        "/admin/overview/repair/", asked, headers={"accept": "application/json"}
    )
    assert again.status_code == 404


async def test_all_sandboxes_stop_once_the_words_were_typed(
    engine: None, admin: AsyncClient, project: Project
) -> None:
    sandbox = await lifecycle.create(project, NewSandbox())
    json = {"accept": "application/json"}
    refused = await admin.post("/admin/overview/stop-all/", {"words": "stop"}, headers=json)
    assert refused.status_code == 400
    assert (await database.read(Sandbox.objects.get)).status == "running"
    done = await admin.post(
        "/admin/overview/stop-all/", {"words": "Stop all sandboxes"}, headers=json
    )
    assert done.json()["message"] == "Stopped 1 sandbox"
    ended = await database.read(Sandbox.objects.get)
    assert (ended.status, ended.ended_by) == ("killed", "ada in the admin panel")
    line = await database.read(lambda: Activity.objects.get(verb="sandbox.kill"))
    assert (line.object_id, line.door) == (str(sandbox.pk), "admin")


async def test_the_rest_is_readable_while_the_engine_is_away(
    engine: None, admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*arguments: object) -> None:
        raise EngineUnavailable("The engine cannot be reached.")

    monkeypatch.setattr(get_engine(), "ping", gone)
    monkeypatch.setattr(get_engine(), "list", gone)
    text = (await admin.get("/admin/overview/")).content.decode()
    assert "Does not answer" in text
    assert "By project" in text
    assert "Ask the doctor" in text
    # The red bar of every page is the only one.
    assert text.count('data-tone="err"') == 0


async def test_who_may_change_nothing_is_shown_no_buttons(
    engine: None, looker: AsyncClient
) -> None:
    text = (await looker.get("/admin/overview/")).content.decode()
    assert "Stop all" not in text
    for path in ("repair/", "repair-all/", "stop-all/"):
        answer = await looker.post(
            f"/admin/overview/{path}", headers={"accept": "application/json"}
        )
        assert answer.status_code == 403, path


async def test_strangers_are_sent_to_sign_in(project: Project) -> None:
    for path in ("/admin/overview/", "/admin/doctor/"):
        answer = await AsyncClient().get(path)
        assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={path}")
