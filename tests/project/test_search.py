"""What the palette finds: what is in one's own project, by name and by id."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from disks.models import Disk
from project.models import Project
from sandboxes.models import Sandbox
from tests.project.people import make_person

pytestmark = pytest.mark.slow


def sandbox(project: Project, name: str, status: str = "running") -> Sandbox:
    return Sandbox.objects.create(
        project=project, name=name, image="i", cpus=1, memory_bytes=1, workspace_bytes=1, pids=1,
        status=status, reason="killed" if status == "killed" else "",
    )  # fmt: skip


@pytest.fixture
def viewer(project: Project, stranger: Project) -> Client:
    return make_person("viewer", project, stranger)


def found(client: Client, wanted: str) -> Any:
    return client.get("/search/", {"q": wanted}).json()["results"]


def test_a_sandbox_is_found_by_a_part_of_its_name(viewer: Client, project: Project) -> None:
    ended = sandbox(project, "river-otter", "killed")
    running = sandbox(project, "calm-otter")
    sandbox(project, "build")
    rows = found(viewer, "OTT")
    assert [row["label"] for row in rows] == ["calm-otter", "river-otter"]
    assert rows[0]["url"] == f"/sandboxes/{running.id}/"
    assert (rows[0]["state"], rows[1]["hint"]) == ("running", "Stopped")
    assert rows[1]["id"] == str(ended.id)[:8]


def test_what_has_no_name_is_found_by_its_id(viewer: Client, project: Project) -> None:
    disk = Disk.objects.create(project=project)
    for beginning in (str(disk.id)[:4], str(disk.id), str(disk.id)[:20].upper()):
        assert [row["url"] for row in found(viewer, beginning)] == [f"/disks/{disk.id}/files/"]


def test_of_other_projects_nothing_is_found(
    viewer: Client, project: Project, stranger: Project
) -> None:
    hidden = sandbox(stranger, "secret-otter")
    Disk.objects.create(project=stranger, name="secret")
    assert found(viewer, "secret") == []
    assert found(viewer, str(hidden.id)) == []


def test_who_looks_for_nothing_yet_is_shown_what_runs(viewer: Client, project: Project) -> None:
    sandbox(project, "first")
    sandbox(project, "ended", "killed")
    sandbox(project, "newest")
    Disk.objects.create(project=project, name="reports")
    assert [row["label"] for row in found(viewer, "")] == ["newest", "first", "ended"]


@pytest.mark.parametrize("wanted", ["o", " o ", "--", "\x00\x00", "%%", "é" * 5000])
def test_too_little_and_too_odd_find_nothing(viewer: Client, project: Project, wanted: str) -> None:
    sandbox(project, "calm-otter")
    assert found(viewer, wanted) == []


def test_a_few_are_enough(viewer: Client, project: Project) -> None:
    for number in range(20):
        sandbox(project, f"otter-{number}")
    assert len(found(viewer, "otter")) == 6


def test_who_is_signed_out_is_told(client: Client) -> None:
    answer = client.get("/search/", {"q": "otter"}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["tag"]) == (401, "signed_out")
