"""The list of sandboxes: what is asked of it and what comes back, for a price that does not grow."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from project.models import Project
from sandboxes import listing
from sandboxes.listing import PER_PAGE, Wish
from sandboxes.models import Command, CommandStatus, Reason, Sandbox, Status, UsageSample
from tests.sandboxes.test_sampling import make_row

NOW = timezone.now()
HOUR = timedelta(hours=1)


def names(project: Project, **wish: Any) -> list[str]:
    return [row.sandbox.name for row in listing.of(project, Wish(**wish)).rows]


@pytest.fixture
def several(project: Project, stranger: Project) -> dict[str, Sandbox]:
    """Sandboxes in every state, the newest first, and one of somebody else's."""
    make_row(stranger, name="theirs")
    rows: dict[str, dict[str, Any]] = {
        "runs": {"status": Status.RUNNING, "labels": {"team": "blue", "odd key/x": "1"}},
        "starts": {"status": Status.CREATING, "labels": {"team": "red"}},
        "paused": {"status": Status.PAUSED, "image": "node:22", "created_by": "mara"},
        "stopped": {"status": Status.KILLED, "reason": Reason.KILLED},
        "expired": {"status": Status.KILLED, "reason": Reason.EXPIRED},
        "failed": {"status": Status.ERROR, "reason": Reason.LOST},
    }
    return {
        name: make_row(project, name=name, created_at=NOW - number * HOUR, **fields)
        for number, (name, fields) in enumerate(rows.items())
    }


def test_newest_come_first_and_strangers_never(several, project):
    assert names(project) == ["runs", "starts", "paused", "stopped", "expired", "failed"]


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("running", ["runs"]),
        ("starting", ["starts"]),
        ("paused", ["paused"]),
        ("stopped", ["stopped"]),
        ("expired", ["expired"]),
        ("failed", ["failed"]),
        ("alive", ["runs", "starts", "paused"]),
    ],
)
def test_state_is_filtered_as_it_is_shown(several, project, state, found):
    assert names(project, state=state) == found


def test_search_finds_names_ids_and_labels(several, project):
    sandbox = several["paused"]
    assert names(project, q="PAUS") == ["paused"]
    assert names(project, q=str(sandbox.id)[:13]) == ["paused"]
    assert names(project, q="team=blue") == ["runs"]
    assert names(project, q="team=") == []
    # What looks like a label and is none is looked for as it stands.
    assert names(project, q="%=1") == []
    assert names(project, q="' OR 1=1 --") == []


def test_filters_go_together(several, project):
    assert names(project, image="node:22", owner="mara", started="7d") == ["paused"]
    assert names(project, image="node:22", state="running") == []
    assert names(project, started="1h") == ["runs"]


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "password", "state": "gone", "started": "1y", "page": "-4"},
        {"page": "99999999999999999999"},
        {"page": "²", "sort": "--name"},
        {"q": "\x00" * 5},
    ],
)
def test_nonsense_counts_for_nothing(several, project, query):
    wish = Wish.of(query)

    assert wish == Wish()
    assert len(listing.of(project, wish).rows) == 6


def test_address_tells_only_what_differs():
    assert Wish().address == "?"
    wish = Wish(q="a&b", state="running", page=3)
    assert wish.address == "?q=a%26b&state=running&page=3"
    assert wish.but(state="").address == "?q=a%26b"
    assert Wish.of({"q": "a&b", "state": "running", "page": "3"}) == wish


def test_sorting_by_use_puts_the_busiest_first(several, project):
    for name, cpu in (("runs", 5.0), ("paused", 80.0)):
        UsageSample.objects.create(
            sandbox=several[name],
            at=timezone.now(),
            cpu_percent=cpu,
            memory_bytes=1,
            workspace_bytes=0,
            processes=1,
        )

    assert names(project, sort="-cpu")[:3] == ["paused", "runs", "starts"]
    assert names(project, sort="cpu")[:2] == ["runs", "paused"]


@pytest.mark.parametrize("sort", [*listing.SORTS, *(f"-{name}" for name in listing.SORTS)])
def test_every_sort_shows_everything_once(several, project, sort):
    assert sorted(names(project, sort=sort)) == sorted(several)


def test_pages_end_at_the_last(project):
    for number in range(PER_PAGE + 3):
        make_row(project, name=f"{number:03}", created_at=NOW + timedelta(seconds=number))

    second = listing.of(project, Wish(page=2))
    assert [row.sandbox.name for row in second.rows] == ["002", "001", "000"]
    assert (second.first, second.last, second.results, second.pages) == (51, 53, 53, 2)
    assert listing.of(project, Wish(page=77)).page == 2


def test_held_rows_stay_in_their_order(several, project, stranger):
    theirs = Sandbox.objects.get(name="theirs")
    held = [several["failed"].id, several["runs"].id, theirs.id, uuid.uuid4()]

    found = listing.of(project, Wish(), held)

    assert [row.sandbox.name for row in found.rows] == ["failed", "runs"]


def test_row_says_what_ran_last_and_how_it_ended(several, project):
    sandbox = several["runs"]
    for number, status in enumerate((CommandStatus.RUNNING, CommandStatus.EXITED)):
        Command.objects.create(
            sandbox=sandbox,
            command=f"echo {number}" + "x" * 1000,
            status=status,
            exit_code=7,
            created_at=NOW + timedelta(seconds=number),
        )

    row = listing.of(project, Wish(q="runs")).rows[0]

    assert row.command is not None
    assert row.command.line == ("echo 1" + "x" * 1000)[: listing.LINE]  # type: ignore[attr-defined]
    assert row.outcome is not None
    assert row.outcome.badge == ("err", "x", "7")


def test_paused_row_says_so_and_that_its_time_runs_on(several, project):
    row = listing.of(project, Wish(q="paused")).rows[0]

    assert not row.shows_use
    assert row.shows_time_left
    assert row.why == "Paused; its time runs on"


def test_row_draws_its_last_minute(several, project):
    for age, cpu in ((90, 100.0), (60, 50.0), (30, 100.0), (0, 250.0)):
        UsageSample.objects.create(
            sandbox=several["runs"],
            at=timezone.now() - timedelta(seconds=age),
            cpu_percent=cpu,
            memory_bytes=500 * 2**20,
            workspace_bytes=0,
            processes=1,
        )

    row = listing.of(project, Wish(q="runs")).rows[0]

    points = [tuple(map(float, point.split(","))) for point in row.line.split()]
    # Those of the last minute, and none above the top.
    assert [round(y) for _, y in points[-2:]] == [0, 0]
    assert points[-1][0] == pytest.approx(64, abs=1)
    assert row.cpu == 250
    assert row.memory == ("500", "512 MB")


def test_ended_row_says_why(project):
    ended = {"ended_at": timezone.now() - timedelta(minutes=22)}
    stopped = make_row(
        project, name="a", status=Status.KILLED, reason=Reason.KILLED, ended_by="aiko", **ended
    )
    lost = make_row(
        project, name="b", status=Status.ERROR, reason=Reason.LOST, reason_detail="reset", **ended
    )
    rows = {row.sandbox.id: row for row in listing.of(project, Wish()).rows}

    assert rows[stopped.id].why == "Stopped by aiko 22 min ago"
    assert rows[lost.id].why == "The engine lost its box 22 min ago: reset"


def test_a_page_costs_the_same_whatever_there_is(project):
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            listing.of(project, Wish(state="running"))
            listing.choices(project)
        return len(caught)

    make_row(project)
    few = queries()
    for _ in range(3 * PER_PAGE):
        make_row(project)

    assert queries() == few <= 6


def test_choices_are_those_in_use(several, project):
    found = listing.choices(project)

    assert found.images == ["default", "node:22"]
    assert found.owners == ["mara"]
