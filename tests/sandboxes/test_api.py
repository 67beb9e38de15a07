"""The API of sandboxes, as far as it needs no engine: what it refuses, and what it reads."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from project.models import Project
from sandboxes import processes
from sandboxes.api import life
from sandboxes.models import Command, CommandStatus, GeneratedFile, Sandbox, Status

HALF = "\ud800"


@pytest.fixture
def sandbox(project: Project) -> Sandbox:
    return Sandbox.objects.create(
        project=project,
        status=Status.RUNNING,
        image="i",
        cpus=1,
        memory_bytes=1,
        workspace_bytes=1,
        pids=1,
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"labels": {"a": HALF}}),
        ("PATCH", "", {"labels": {HALF: "a"}}),
        ("PATCH", "", {"name": HALF}),
        ("POST", "/exec", {"command": HALF}),
        ("POST", "/exec", {"command": "cat", "cwd": HALF}),
        ("POST", "/exec", {"command": "cat", "stdin": HALF}),
        ("POST", "/exec", {"command": "cat", "env": {"A": HALF}}),
        ("POST", "/process", {"command": HALF}),
        ("POST", "/process", {"command": "cat", "env": {"A": HALF}}),
        ("POST", f"/process/{'0' * 32}/stdin", {"text": HALF}),
        ("POST", f"/process/{'0' * 32}/signal", {"signal": HALF}),
        ("POST", "/files/mkdir", {"path": HALF}),
        ("POST", "/files/move", {"path": "/a", "to": HALF}),
    ],
)
async def test_half_a_character_is_400_and_kept_nowhere(
    api: Any, sandbox: Sandbox, method: str, path: str, body: Any
) -> None:
    answer = await api.request(method, f"/sandbox/{sandbox.pk}{path}", body)
    assert answer.status_code == 400, answer.text
    assert (await api.get("/sandbox")).status_code == 200


@pytest.mark.parametrize("wish", [{"labels": {"a": HALF}}, {"name": HALF}, {"env": {"A": HALF}}])
async def test_a_wish_with_half_a_character_is_400(api: Any, wish: Any) -> None:
    assert (await api.post("/sandbox", wish)).status_code == 400


def add_process(sandbox: Sandbox, name: str, status: CommandStatus) -> None:
    Command.objects.create(
        sandbox=sandbox, kind=Command.Kind.PROCESS, command=name, status=status, stdout="long"
    )


def test_a_log_entry_has_the_newest_and_reads_no_output(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "LOG_FILES", 2)
    add_process(sandbox, "make", CommandStatus.EXITED)
    for path in ("/a", "/b", "/c"):
        GeneratedFile.objects.create(sandbox=sandbox, path=path)
    with CaptureQueriesContext(connection) as asked:
        log = life.log_out(sandbox)
    assert [file.sandbox_path for file in log.generated_files] == ["/b", "/c"]
    assert [command.command for command in log.history_commands] == ["make"]
    assert not [query for query in asked if '"stdout"' in query["sql"]]


def test_a_list_of_processes_has_all_that_run_and_the_newest_that_ended(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MOST_ENDED", 2)
    add_process(sandbox, "serve", CommandStatus.RUNNING)
    for name in ("one", "two", "three"):
        add_process(sandbox, name, CommandStatus.EXITED)
    add_process(sandbox, "watch", CommandStatus.RUNNING)
    with CaptureQueriesContext(connection) as asked:
        rows = processes._listed(sandbox)
    assert [row.command for row in rows] == ["serve", "two", "three", "watch"]
    assert not [query for query in asked if '"stdout"' in query["sql"]]
