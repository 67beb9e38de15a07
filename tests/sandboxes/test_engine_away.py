"""What is asked for while the engine is away: what holds at once is said, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from project import database
from project.models import Activity, Project, Role
from project.policy import add_member
from sandboxes.engine import close_engine
from sandboxes.models import Sandbox, Status
from tests.project.people import AsyncBrowser
from tests.sandboxes.test_detail_page import row

pytestmark = pytest.mark.slow


@pytest.fixture
async def engine_away(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[None]:
    settings.SANDBOX_ENGINE = "docker"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    await close_engine()
    yield
    await close_engine()


def worker(project: Project) -> AsyncBrowser:
    user = User.objects.create_user("mia", password="correct horse")
    add_member(project, user, Role.MEMBER)
    client = AsyncBrowser(project)
    client.force_login(user)
    return client


async def test_a_stop_holds_at_once_and_is_no_error(engine_away: None, project: Project) -> None:
    browser = await database.write(worker, project)
    sandbox = await database.write(row, project)
    scripted = {"Accept": "application/json"}
    answer = await browser.post(f"/sandboxes/{sandbox.pk}/stop/", headers=scripted)
    assert answer.status_code == 200
    assert "its box goes as soon as the engine answers" in answer.json()["message"]
    now = await database.read(Sandbox.objects.get, pk=sandbox.pk)
    assert now.status == Status.STOPPING
    lines = await database.read(lambda: list(Activity.objects.filter(verb="sandbox.kill")))
    assert [(line.actor, line.outcome) for line in lines] == [("mia", "done")]
    page = (await browser.get(f"/sandboxes/{sandbox.pk}/")).content.decode()
    assert "Stopping…" in page
    assert "<dt>Ended</dt>" not in page


async def test_several_stops_hold_at_once(engine_away: None, project: Project) -> None:
    browser = await database.write(worker, project)
    both = [await database.write(row, project, name=name) for name in ("one", "two")]
    form = {"act": "stop", "sure": "yes", "ids": [sandbox.pk for sandbox in both]}
    scripted = {"Accept": "application/json"}
    answer = await browser.post("/sandboxes/bulk/", form, headers=scripted)
    assert (answer.status_code, answer.json()["message"]) == (200, "2 stopped.")
    states = await database.read(lambda: set(Sandbox.objects.values_list("status", flat=True)))
    assert states == {Status.STOPPING}
