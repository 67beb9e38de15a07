"""What is kept for a while only is deleted then, and nothing else is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import models
from django.utils import timezone

from project import activity, retention
from project.models import Activity, AttemptCount, IdempotentRequest, Project, Session
from sandboxes.models import (
    Command,
    CommandStatus,
    GeneratedFile,
    RecordingPart,
    Sandbox,
    Status,
    Terminal,
    UsageSample,
)

pytestmark = pytest.mark.usefixtures("transactional_db")

NOW = timezone.now()
purge = async_to_sync(retention.purge)
DETAILS = (UsageSample, RecordingPart)
ROWS = (Sandbox, Command, Terminal, GeneratedFile)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Several batches and groups, so that each has one after it."""
    for name, value in (("BATCH", 2), ("SMALLER", {}), ("GROUP", 2), ("PAUSE_SECONDS", 0)):
        monkeypatch.setattr(retention, name, value)
    settings.HISTORY_DAYS, settings.SANDBOX_DAYS = 90, 0


def add_sandbox(project: Project, ended_days_ago: float | None) -> Sandbox:
    """Make a sandbox with some of all that it may leave behind."""
    ended = None if ended_days_ago is None else NOW - timedelta(days=ended_days_ago)
    sandbox = Sandbox.objects.create(
        project=project,
        image="default",
        cpus=1,
        memory_bytes=1,
        workspace_bytes=1,
        pids=1,
        status=Status.RUNNING if ended is None else Status.KILLED,
        created_at=NOW - timedelta(days=1000),
        ended_at=ended,
    )
    for number in range(3):
        Command.objects.create(
            sandbox=sandbox,
            command="echo hello",
            status=CommandStatus.EXITED,
            exit_code=0,
            stdout="hello",
            stdout_bytes=5,
        )
        terminal = Terminal.objects.create(sandbox=sandbox, name="shell", recorded=True)
        RecordingPart.objects.create(terminal=terminal, end=9, seconds=1, lines="[]")
        UsageSample.objects.create(
            sandbox=sandbox, cpu_percent=1, memory_bytes=1, workspace_bytes=1, processes=1
        )
        GeneratedFile.objects.create(sandbox=sandbox, path=f"/workspace/{number}")
    return sandbox


def counts(sandbox: Sandbox, *kinds: type[models.Model]) -> list[int]:
    paths = {Sandbox: "pk", RecordingPart: "terminal__sandbox"}
    return [
        kind._default_manager.filter(**{paths.get(kind, "sandbox"): sandbox.pk}).count()
        for kind in kinds
    ]


def outputs(sandbox: Sandbox) -> set[str]:
    return set(Command.objects.filter(sandbox=sandbox.pk).values_list("stdout", flat=True))


def test_of_sandboxes_that_ended_long_ago_the_details_go_and_the_rows_stay(
    project: Project,
) -> None:
    old = [add_sandbox(project, 91 + days) for days in range(5)]
    kept = [add_sandbox(project, days) for days in (None, 0, 89)]
    purge()
    for sandbox in old:
        assert counts(sandbox, *DETAILS) == [0, 0]
        assert counts(sandbox, *ROWS) == [1, 3, 3, 3]
        assert outputs(sandbox) == {"[kept for 90 days, and left out since]\n"}
        command = Command.objects.filter(sandbox=sandbox)[0]
        assert (command.exit_code, command.stdout_bytes, command.stderr) == (0, 5, "")
        assert not Terminal.objects.filter(sandbox=sandbox, recorded=True).exists()
    for sandbox in kept:
        assert counts(sandbox, *DETAILS, *ROWS) == [3, 3, 1, 3, 3, 3]
        assert outputs(sandbox) == {"hello"}


def test_what_was_looked_through_is_not_looked_through_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in (200, 100):
        add_sandbox(project, days)
    purge()
    looked: list[Any] = []
    monkeypatch.setattr(retention, "_drop_output", looked.append)
    purge()
    assert looked == []
    later = add_sandbox(project, 95)
    purge()
    assert counts(later, *DETAILS) == [0, 0]


def test_sandboxes_themselves_go_where_the_operator_says_so(
    project: Project, settings: Any
) -> None:
    settings.HISTORY_DAYS, settings.SANDBOX_DAYS = 0, 365
    old = [add_sandbox(project, 366 + days) for days in range(3)]
    stopping = add_sandbox(project, 400)
    Sandbox.objects.filter(pk=stopping.pk).update(status=Status.STOPPING)
    kept = [stopping, add_sandbox(project, 364), add_sandbox(project, None)]
    purge()
    for sandbox in old:
        assert counts(sandbox, *DETAILS, *ROWS) == [0] * 6
    for sandbox in kept:
        assert counts(sandbox, *DETAILS, *ROWS) == [3, 3, 1, 3, 3, 3]


def test_nothing_goes_where_all_is_kept_for_good(project: Project, settings: Any) -> None:
    settings.HISTORY_DAYS = 0
    sandbox = add_sandbox(project, 5000)
    purge()
    assert counts(sandbox, *DETAILS, *ROWS) == [3, 3, 1, 3, 3, 3]


def test_expired_sessions_and_counts_of_attempts_go() -> None:
    for number in range(5):
        at = NOW + timedelta(hours=1 if number == 0 else -number)
        Session.objects.create(session_key=f"key{number}", expire_date=at)
        AttemptCount.objects.create(whose=f"whose{number}", ends_at=at)
    purge()
    assert [row.session_key for row in Session.objects.all()] == ["key0"]
    assert [row.whose for row in AttemptCount.objects.all()] == ["whose0"]


def test_old_lines_of_activity_go(project: Project, settings: Any) -> None:
    settings.ACTIVITY_DAYS = 10

    for days in (1, 9, 11, 12, 13, 400):
        line = activity.record(project, "sandbox.create", actor="mara")
        Activity.objects.filter(pk=line.pk).update(at=NOW - timedelta(days=days))
    purge()
    assert Activity.objects.count() == 2


def test_answers_kept_for_repeats_go_after_a_day(project: Project) -> None:
    for hours in (1, 23, 25, 26, 27):
        IdempotentRequest.objects.create(
            project=project,
            route="POST /thing",
            key=str(hours),
            created_at=NOW - timedelta(hours=hours),
        )
    purge()
    assert sorted(row.key for row in IdempotentRequest.objects.all()) == ["1", "23"]
