"""The log of activity: who did what, from where, and how it ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from django.utils import timezone

from project import activity, database
from project.models import Activity, Project
from sandboxes import guests, lifecycle
from sandboxes.engine import close_engine
from sandboxes.models import Reason, Sandbox
from tests.conftest import Api


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


async def test_old_lines_are_purged(project: Project, settings, monkeypatch) -> None:
    settings.ACTIVITY_DAYS = 10
    monkeypatch.setattr(activity, "PURGED_AT_ONCE", 2)

    def write() -> None:
        for days in (1, 9, 11, 12, 13, 400):
            line = activity.record(project, "sandbox.create", actor="mara")
            Activity.objects.filter(pk=line.pk).update(at=timezone.now() - timedelta(days=days))

    await database.write(write)
    await activity.purge()
    assert len(await database.read(lines)) == 2


async def test_a_note_that_cannot_be_written_is_logged(project: Project, caplog) -> None:
    def fail() -> None:
        raise ValueError("no room")

    await database.note_soon(fail)
    database.finish_notes()
    await database.write(lambda: None)
    assert "a note was not written" in caplog.text
