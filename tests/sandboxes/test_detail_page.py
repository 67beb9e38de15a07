"""The page of one sandbox: what it shows of a living and of a dead one, and to whom."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from project import database, events
from project.models import Activity, Project, Role
from project.policy import add_member
from sandboxes import terminals
from sandboxes.models import Reason, Sandbox, Status, Terminal, UsageSample
from tests.project.people import Browser

pytestmark = pytest.mark.slow

MIB = 2**20


def row(project: Project, **changes: Any) -> Sandbox:
    """A sandbox that is in the database only."""
    now = timezone.now()
    return Sandbox.objects.create(
        **{
            "project": project,
            "name": "calm-otter",
            "image": "sandbank:1",
            "cpus": 1,
            "memory_bytes": 512 * MIB,
            "workspace_bytes": 384 * MIB,
            "pids": 256,
            "status": Status.RUNNING,
            "lifetime_seconds": 1800,
            "expires_at": now + timedelta(minutes=30),
            "created_by": "mara",
            **changes,
        }
    )


def visitor(project: Project, role: Role = Role.MEMBER) -> Client:
    """A browser of somebody who is signed in."""
    user = User.objects.create_user(f"{role}-of-{project.pk}", password="correct horse")
    add_member(project, user, role)
    client = Browser(project)
    client.force_login(user)
    return client


def test_a_living_sandbox_shows_its_facts_and_what_can_be_done(project: Project) -> None:
    sandbox = row(project)
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert "calm-otter" in page
    assert "sandbank:1" in page
    assert 'data-state="running"' in page
    assert f'action="/sandboxes/{sandbox.pk}/stop/"' in page
    assert f'data-until="{sandbox.expires_at.isoformat()}"' in page  # type: ignore[union-attr]
    assert 'class="left tight"' not in page
    assert "New like this" in page


def test_the_last_minutes_are_a_warning(project: Project) -> None:
    sandbox = row(project, expires_at=timezone.now() + timedelta(minutes=4))
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert 'class="left tight"' in page


def test_a_dead_sandbox_tells_when_why_and_by_whom(project: Project) -> None:
    sandbox = row(
        project,
        status=Status.KILLED,
        reason=Reason.KILLED,
        ended_by="priya",
        ended_at=timezone.now(),
    )
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert re.search(r"Stopped by priya</strong> <time", page)
    assert 'data-state="stopped"' in page
    assert f'href="/sandboxes/new/?like={sandbox.pk}"' in page
    # No button that could do nothing.
    for action in ("stop", "pause", "resume", "extend"):
        assert f"/sandboxes/{sandbox.pk}/{action}/" not in page
    assert "data-until" not in page


def test_an_expired_one_is_called_so(project: Project) -> None:
    sandbox = row(project, status=Status.KILLED, reason=Reason.EXPIRED, ended_at=timezone.now())
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert "Expired" in page
    assert "Stopped by its time limit</strong>" in page


@pytest.mark.parametrize("tab", ["", "head/"])
def test_a_strangers_sandbox_looks_like_a_missing_one(
    project: Project, stranger: Project, tab: str
) -> None:
    sandbox = row(stranger)
    client = visitor(project)
    theirs = client.get(f"/sandboxes/{sandbox.pk}/{tab}")
    missing = client.get(f"/sandboxes/{project.pk}/{tab}")
    assert theirs.status_code == missing.status_code == 404
    plain = [
        re.sub(
            r"<code>.*?</code>|/sandboxes/[^\"]*|value=\"\w{64}\"",
            "",
            p.content.decode().split("<main")[1],
        )
        for p in (theirs, missing)
    ]
    assert plain[0] == plain[1]


def test_a_viewer_sees_and_cannot_touch(project: Project) -> None:
    sandbox = row(project)
    viewer = visitor(project, Role.VIEWER)
    page = viewer.get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert "calm-otter" in page
    for action in ("stop", "pause", "resume", "extend"):
        assert f"/sandboxes/{sandbox.pk}/{action}/" not in page
        assert viewer.post(f"/sandboxes/{sandbox.pk}/{action}/").status_code == 403
    sandbox.refresh_from_db()
    assert sandbox.status == Status.RUNNING


def test_more_time_is_added_to_what_is_left(project: Project) -> None:
    sandbox = row(project, expires_at=timezone.now() + timedelta(minutes=20))
    client = visitor(project)
    answer = client.post(
        f"/sandboxes/{sandbox.pk}/extend/",
        {"seconds": "1800"},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 200
    assert "49 m 5" in answer.json()["message"] or "50 m 0" in answer.json()["message"]
    sandbox.refresh_from_db()
    assert sandbox.expires_at is not None
    left = sandbox.expires_at - timezone.now()
    assert timedelta(minutes=49, seconds=50) < left <= timedelta(minutes=50, seconds=1)
    line = Activity.objects.get(verb="sandbox.extend", object_id=str(sandbox.pk))
    assert f"{sandbox} has {line.detail} now." == answer.json()["message"]


def test_more_time_gives_no_limit_to_what_has_none(project: Project) -> None:
    sandbox = row(project, expires_at=None, lifetime_seconds=None)
    client, address = visitor(project), f"/sandboxes/{sandbox.pk}/extend/"
    answer = client.post(address, {"seconds": "1800"}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (409, "it has no time limit")
    sandbox.refresh_from_db()
    assert sandbox.expires_at is None
    # Who wants one says until when.
    client.post(address, {"minutes": "60"})
    sandbox.refresh_from_db()
    assert sandbox.expires_at is not None


@pytest.mark.parametrize("wish", [{}, {"minutes": "x"}, {"minutes": "99999999"}, {"minutes": "-5"}])
def test_time_that_makes_no_sense_is_refused(project: Project, wish: dict[str, str]) -> None:
    sandbox = row(project)
    answer = visitor(project).post(
        f"/sandboxes/{sandbox.pk}/extend/", wish, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_names_are_text(project: Project) -> None:
    sandbox = row(project, name="<img src=x onerror=alert(1)>")
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def sampled(sandbox: Sandbox, minutes_ago: float, percent: float) -> None:
    UsageSample.objects.create(
        sandbox=sandbox,
        at=(sandbox.ended_at or timezone.now()) - timedelta(minutes=minutes_ago),
        cpu_percent=percent,
        memory_bytes=MIB,
        workspace_bytes=2 * MIB,
        processes=3,
    )


@pytest.mark.parametrize(
    ("span", "cpu"),
    [("5m", [3.0]), ("15m", [2.0, 3.0]), ("1h", [1.0, 2.0, 3.0]), ("x", [2.0, 3.0])],
)
def test_usage_is_told_by_range_oldest_first(project: Project, span: str, cpu: list[float]) -> None:
    sandbox = row(project)
    for minutes, percent in ((1, 3.0), (10, 2.0), (50, 1.0)):
        sampled(sandbox, minutes, percent)
    told = visitor(project).get(f"/sandboxes/{sandbox.pk}/usage.json?range={span}").json()
    assert told["cpu"] == cpu
    assert told["at"] == sorted(told["at"])
    assert {len(values) for values in told.values() if isinstance(values, list)} == {len(cpu)}


@pytest.mark.parametrize(("span", "seconds"), [("5m", 300), ("24h", 86_400), ("all", 2940)])
def test_a_range_reaches_to_now_and_the_whole_life_to_the_last_sample(
    project: Project, span: str, seconds: float
) -> None:
    sandbox = row(project)
    for minutes in (1, 50):
        sampled(sandbox, minutes, 1.0)
    told = visitor(project).get(f"/sandboxes/{sandbox.pk}/usage.json?range={span}").json()
    assert told["until"] - told["since"] == pytest.approx(seconds, abs=0.2)
    last = told["at"][-1] if span == "all" else timezone.now().timestamp()
    assert told["until"] == pytest.approx(last, abs=5)


def test_the_last_usage_of_a_dead_one_stays(project: Project) -> None:
    ended_at = timezone.now() - timedelta(days=3)
    sandbox = row(project, status=Status.KILLED, reason=Reason.KILLED, ended_at=ended_at)
    sampled(sandbox, 2, 42)
    client = visitor(project)
    told = client.get(f"/sandboxes/{sandbox.pk}/usage.json?range=5m").json()
    assert (told["cpu"], told["until"]) == ([42], told["at"][-1])
    assert "42 %" in client.get(f"/sandboxes/{sandbox.pk}/").content.decode()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.RUNNING, "The first sample comes in a few seconds."),
        (Status.PAUSED, "Paused before the first sample."),
        (Status.KILLED, "No usage was measured: it lived 1.80 s."),
    ],
)
def test_a_page_without_usage_says_why(project: Project, status: Status, words: str) -> None:
    sandbox = row(project, status=status)
    if status == Status.KILLED:
        sandbox.ended_at = sandbox.created_at + timedelta(seconds=1.8)
        sandbox.save()
    client = visitor(project)
    assert words in client.get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert client.get(f"/sandboxes/{sandbox.pk}/usage.json").json()["nothing"] == words


def test_a_dead_one_shows_its_whole_life_at_first(project: Project) -> None:
    sandbox = row(project, status=Status.KILLED, ended_at=timezone.now())
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert 'href="?range=all" aria-current="true"' in page


def test_values_of_the_environment_are_told_only_when_asked_for(project: Project) -> None:
    sandbox = row(project, environment={"API_TOKEN": "s3cr3t"})
    client = visitor(project)
    page = client.get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert "API_TOKEN" in page
    assert "s3cr3t" not in page
    answer = client.post(f"/sandboxes/{sandbox.pk}/environment/")
    assert answer.json() == {"values": {"API_TOKEN": "s3cr3t"}}
    assert answer["Cache-Control"] == "no-store"
    assert Activity.objects.filter(verb="sandbox.show_environment").exists()
    viewer = visitor(project, Role.VIEWER)
    assert viewer.post(f"/sandboxes/{sandbox.pk}/environment/").status_code == 403


def test_name_and_labels_can_be_changed(project: Project) -> None:
    sandbox = row(project)
    client = visitor(project)
    wish = {"name": "  brave   otter ", "labels": "team=blue\r\n\r\nnote=a=b"}
    answer = client.post(f"/sandboxes/{sandbox.pk}/settings/", wish)
    assert answer.status_code == 303
    sandbox.refresh_from_db()
    assert sandbox.name == "brave otter"
    assert sandbox.labels == {"team": "blue", "note": "a=b"}
    page = client.get(f"/sandboxes/{sandbox.pk}/settings/").content.decode()
    assert "team=blue\nnote=a=b</textarea>" in page
    line = Activity.objects.get(verb="sandbox.change")
    assert line.object_name == "brave otter"
    assert line.detail == "it was calm-otter; labels: note=a=b, team=blue"


def test_a_terminal_is_renamed_and_that_is_on_record(project: Project) -> None:
    sandbox = row(project)
    terminal = Terminal.objects.create(sandbox=sandbox, name="shell")
    address = f"/sandboxes/{sandbox.pk}/terminals/{terminal.pk}/rename/"
    assert visitor(project).post(address, {"name": "build"}).status_code == 303
    terminal.refresh_from_db()
    assert terminal.name == "build"
    line = Activity.objects.get(verb="terminal.rename")
    assert (line.object_id, line.detail) == (str(sandbox.pk), "it is build now")


async def test_pages_hear_that_a_terminal_has_another_name(project: Project) -> None:
    sandbox = await database.write(row, project)
    terminal = await database.write(lambda: Terminal.objects.create(sandbox=sandbox, name="shell"))
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(events.group_of(project.pk), channel)
    await terminals.rename(sandbox, terminal, "build")
    assert (await layer.receive(channel))["what"] == "terminal"


def test_lifetime_and_recording_can_be_changed(project: Project) -> None:
    sandbox = row(project)
    client = visitor(project)
    client.post(f"/sandboxes/{sandbox.pk}/settings/", {"lifetime": "3600"})
    # The box of the form comes after what stands for an empty one.
    client.post(f"/sandboxes/{sandbox.pk}/settings/", {"recording": ["off", "on"]})
    sandbox.refresh_from_db()
    assert sandbox.lifetime_seconds == 3600
    assert sandbox.records_terminals
    assert sandbox.name == "calm-otter"
    client.post(f"/sandboxes/{sandbox.pk}/settings/", {"recording": "off"})
    changed = Activity.objects.filter(verb="sandbox.change").order_by("id")
    assert [line.detail for line in changed] == [
        "lifetime: 1 hour",
        "terminals are recorded",
        "terminals are not recorded",
    ]
    sandbox.refresh_from_db()
    assert not sandbox.records_terminals


@pytest.mark.parametrize(
    "wish",
    [
        {"name": "x" * 201},
        {"name": "a\u202eb"},
        {"name": "x", "labels": "no equals"},
        {"name": "x", "labels": "1=digit first"},
        {"lifetime": "soon"},
        {"lifetime": "1"},
    ],
)
def test_settings_that_make_no_sense_are_refused(project: Project, wish: dict[str, str]) -> None:
    sandbox = row(project)
    answer = visitor(project).post(
        f"/sandboxes/{sandbox.pk}/settings/", wish, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 400
    sandbox.refresh_from_db()
    assert (sandbox.name, sandbox.labels) == ("calm-otter", {})


def test_settings_of_a_dead_one_and_of_a_viewer_have_no_buttons(project: Project) -> None:
    dead = row(project, status=Status.KILLED, reason=Reason.KILLED, ended_at=timezone.now())
    alive = row(project)
    viewer = visitor(project, Role.VIEWER)
    for client, sandbox in ((visitor(project), dead), (viewer, alive)):
        page = client.get(f"/sandboxes/{sandbox.pk}/settings/").content.decode()
        main = page.split("<main", 1)[1].split("</main>", 1)[0]
        assert "disabled" in main
        assert ">Save<" not in main
        assert "/stop/" not in main
    assert viewer.post(f"/sandboxes/{alive.pk}/settings/", {"name": "x"}).status_code == 403
    gone = visitor(project, Role.OWNER).post(f"/sandboxes/{dead.pk}/settings/", {"name": "x"})
    assert gone.status_code == 404


def test_facts_without_a_value_are_dashes_before_their_limits(project: Project) -> None:
    sandbox = row(project, status=Status.PAUSED, created_by="the API key nightly")
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert '– <span class="faint">of 1 core</span>' in page
    assert page.count('– <span class="faint">/ ') == 2
    assert '<span class="clip">nightly</span>' in page


def test_image_goes_by_its_short_name(project: Project) -> None:
    sandbox = row(project, image="registry.example/team/python:3.13")
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert '<span class="clip" title="registry.example/team/python:3.13">python:3.13</span>' in page


def test_name_that_would_garble_a_page_is_shown_escaped(project: Project) -> None:
    sandbox = row(project, name="txt.\u202egpj\nsecond")
    page = visitor(project).get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert "\u202e" not in page
    assert "txt.\\u202egpj\\u000asecond" in page


def test_paused_one_says_that_its_time_runs_on_and_offers_no_run(project: Project) -> None:
    sandbox = row(project, status=Status.PAUSED)
    client = visitor(project)
    page = client.get(f"/sandboxes/{sandbox.pk}/").content.decode()
    assert "Its time runs on" in page
    page = client.get(f"/sandboxes/{sandbox.pk}/commands/").content.decode()
    assert 'data-when="running starting" hidden' in page
    assert 'data-when="paused">' in page
