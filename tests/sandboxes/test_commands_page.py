"""The commands tab: what the history shows, finds and hides, and whom it obeys."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from project.models import Project, Role
from sandboxes.models import Command, CommandStatus, Door, Sandbox
from sandboxes.outcome import Outcome
from sandboxes.views.commands import Runs
from tests.sandboxes.test_detail_page import row, visitor

pytestmark = pytest.mark.slow

XSS = "<img src=x onerror=alert(1)>"


def ran(sandbox: Sandbox, command: str, **changes: Any) -> Command:
    """A command that has ended, in the history only."""
    return Command.objects.create(
        **{
            "sandbox": sandbox,
            "command": command,
            "cwd": "/workspace",
            "requested_by": "mara",
            "status": CommandStatus.EXITED,
            "exit_code": 0,
            "duration_ms": 112,
            "finished_at": timezone.now(),
            **changes,
        }
    )


def shown(client: Client, sandbox: Sandbox, query: str = "") -> str:
    answer = client.get(f"/sandboxes/{sandbox.pk}/commands/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def rows_of(page: str) -> list[str]:
    """The commands of the table, from the top."""
    return re.findall(r'<span class="clip" title="([^"]*)">\1', page)


def test_the_history_is_newest_first_with_how_each_ended(project: Project) -> None:
    sandbox = row(project)
    now = timezone.now()
    ran(sandbox, "first", created_at=now - timedelta(minutes=2))
    ran(sandbox, "second", exit_code=3, door=Door.BROWSER, created_at=now)
    page = shown(visitor(project), sandbox)
    assert rows_of(page) == ["second", "first"]
    assert re.search(r'badge-err"[^§]*?#i-x[^§]*?</svg>3</span>', page)
    assert re.search(r'badge-ok"[^§]*?#i-check[^§]*?</svg>0</span>', page)
    assert "112 ms" in page
    assert "· Browser" in page
    assert "· API" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?show=failed", ["killed", "late", "bad"]),
        ("?show=running", ["busy"]),
        ("?show=nonsense", ["busy", "killed", "late", "bad", "good"]),
        ("?q=GOO", ["good"]),
        ("?q=needle", ["bad"]),
        ("?by=priya", ["late"]),
        ("?by=pri%00ya&q=la%00te", ["late"]),
        ("?show=failed&by=priya&q=nothing", []),
        ("?page=2", []),
        ("?page=99999999999999999999", ["busy", "killed", "late", "bad", "good"]),
    ],
)
def test_filters_are_in_the_address(project: Project, query: str, found: list[str]) -> None:
    sandbox = row(project)
    ran(sandbox, "good")
    ran(sandbox, "bad", exit_code=1, stderr="a needle in it")
    ran(sandbox, "late", status=CommandStatus.TIMED_OUT, exit_code=None, requested_by="priya")
    ran(sandbox, "killed", status=CommandStatus.KILLED, exit_code=None)
    ran(sandbox, "busy", status=CommandStatus.RUNNING, exit_code=None)
    assert rows_of(shown(visitor(project), sandbox, query)) == found


def test_a_long_history_has_pages(project: Project) -> None:
    sandbox = row(project)
    for number in range(60):
        ran(sandbox, f"number-{number}")
    client = visitor(project)
    first, second = shown(client, sandbox), shown(client, sandbox, "?page=2")
    assert len(rows_of(first)) == 50
    assert "1 to 50 of 60" in first
    assert rows_of(second)[-1] == "number-0"
    assert len(rows_of(second)) == 10


def test_an_opened_row_has_its_output_as_text(project: Project) -> None:
    sandbox = row(project)
    command = ran(sandbox, f"echo {XSS}", stdout=f"\n{XSS}\n", stderr="\x1b[31mred\x1b[0m")
    page = shown(visitor(project), sandbox, f"?open={command.pk}")
    assert "<img src=x" not in page
    # A browser drops the first line break of a <pre>, not the second.
    assert '<pre data-kept="stdout">\n\n&lt;img src=x onerror=alert(1)&gt;\n</pre>' in page
    assert "\x1b[31mred" in page
    assert "data-socket" not in page
    assert 'aria-expanded="true"' in page


def test_a_row_of_another_page_can_be_opened(project: Project) -> None:
    sandbox = row(project)
    command = ran(sandbox, "good")
    page = shown(visitor(project), sandbox, f"?show=failed&open={command.pk}")
    assert rows_of(page) == ["good"]


def test_a_command_of_another_sandbox_cannot_be_opened(project: Project) -> None:
    sandbox, other = row(project), row(project)
    command = ran(other, "secret", stdout="undisclosed")
    client = visitor(project)
    assert "undisclosed" not in shown(client, sandbox, f"?open={command.pk}")
    shown(client, sandbox, "?open=nonsense")
    for what in ("again/", "kill/"):
        address = f"/sandboxes/{sandbox.pk}/commands/{command.pk}/{what}"
        assert client.post(address, headers={"Accept": "application/json"}).status_code == 404
    address = f"/sandboxes/{sandbox.pk}/commands/{command.pk}/output.txt"
    assert client.get(address).status_code == 404


def test_a_running_one_is_followed(project: Project) -> None:
    sandbox = row(project)
    command = ran(sandbox, "sleep 9", status=CommandStatus.RUNNING, exit_code=None)
    page = shown(visitor(project), sandbox, f"?open={command.pk}")
    assert f'data-socket="/ws/sandboxes/{sandbox.pk}/commands/{command.pk}/"' in page
    assert f"/commands/{command.pk}/kill/" in page
    assert f"/commands/{command.pk}/again/" not in page


def test_a_command_in_the_address_is_filled_in_and_not_run(project: Project) -> None:
    sandbox = row(project)
    page = shown(visitor(project), sandbox, "?command=rm+-rf+/workspace")
    assert ">rm -rf /workspace</textarea>" in page
    assert "It has not run" in page
    assert not Command.objects.exists()


def test_own_commands_are_recalled_each_once(project: Project) -> None:
    sandbox = row(project)
    client = visitor(project)
    for text in ("ls", "make", "ls"):
        ran(sandbox, text, requested_by=f"member-of-{project.pk}")
    ran(sandbox, "theirs", requested_by="priya")
    page = shown(client, sandbox)
    assert '<script id="recalled" type="application/json">["ls", "make"]</script>' in page


def test_a_viewer_sees_and_cannot_touch(project: Project) -> None:
    sandbox = row(project)
    command = ran(sandbox, "good", stdout="said")
    viewer = visitor(project, Role.VIEWER)
    page = shown(viewer, sandbox, f"?open={command.pk}")
    assert "said" in page
    assert "composer" not in page
    for what in ("run/", f"{command.pk}/again/", f"{command.pk}/kill/"):
        address = f"/sandboxes/{sandbox.pk}/commands/{what}"
        assert address not in page
        assert viewer.post(address, {"command": "ls"}).status_code == 403
    assert Command.objects.count() == 1


def test_a_strangers_history_is_not_there(project: Project, stranger: Project) -> None:
    sandbox = row(stranger)
    command = ran(sandbox, "good")
    client = visitor(project)
    for what in ("", f"{command.pk}/output.txt"):
        assert client.get(f"/sandboxes/{sandbox.pk}/commands/{what}").status_code == 404


def test_what_is_kept_can_be_downloaded_and_is_no_page(project: Project) -> None:
    sandbox = row(project)
    command = ran(sandbox, "x", stdout=f"{XSS}\n", stderr="complaint")
    answer = visitor(project).get(f"/sandboxes/{sandbox.pk}/commands/{command.pk}/output.txt")
    assert answer.content.decode() == f"{XSS}\ncomplaint"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"command": "  "}, "Type a command"),
        ({"command": "x" * 100_001}, "characters at most"),
        ({"command": "ls\x00"}, "NUL"),
        ({"command": "ls", "cwd": "/\x00"}, "NUL"),
        ({"command": "ls", "timeout": "soon"}, "number of seconds"),
        ({"command": "ls", "timeout": "-1"}, "timeout"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(
    project: Project, wish: dict[str, str], word: str
) -> None:
    sandbox = row(project)
    answer = visitor(project).post(
        f"/sandboxes/{sandbox.pk}/commands/run/", wish, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 400
    assert word.lower() in answer.json()["error"].lower()
    assert not Command.objects.exists()


@pytest.mark.parametrize(
    ("changes", "word", "words"),
    [
        ({"exit_code": 0}, "0", "exit 0"),
        ({"exit_code": 127}, "127", "exit 127, command not found"),
        ({"exit_code": 143}, "143", "exit 143, ended by the signal TERM"),
        ({"status": CommandStatus.TIMED_OUT}, "Timed out", "its time was over"),
        ({"status": CommandStatus.UNKNOWN}, "Unknown", "nobody can tell"),
        ({"status": CommandStatus.KILLED}, "Killed", "killed"),
        ({"status": CommandStatus.FAILED}, "Not run", "did not run"),
        ({"status": CommandStatus.RUNNING}, "Running", "running"),
    ],
)
def test_how_it_ended_is_said_in_words(changes: dict[str, Any], word: str, words: str) -> None:
    outcome = Outcome(Command(**{"status": CommandStatus.EXITED, **changes}))
    assert outcome.word == word
    assert words in outcome.words


def test_output_is_searched_in_the_newest_commands_alone_and_the_page_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandboxes.views.commands.SEARCHED", 2)
    sandbox = row(project)
    now = timezone.now()
    for age, name in enumerate(("new", "middle", "old", "needle-in-its-text")):
        ran(sandbox, name, stdout="a needle", created_at=now - timedelta(minutes=age))
    page = shown(visitor(project), sandbox, "?q=needle")
    assert rows_of(page) == ["new", "middle", "needle-in-its-text"]
    assert "Output is searched in the newest" in page
    assert "Output is searched" not in shown(visitor(project, Role.OWNER), sandbox)


def test_a_search_reads_the_outputs_twice_and_no_more(
    project: Project, django_assert_num_queries: Any
) -> None:
    sandbox = row(project)
    ran(sandbox, "one", stdout="needle", exit_code=1)
    found = Runs(sandbox, QueryDict("q=needle"))
    # From where on it searches, the three counts, and the page.
    with django_assert_num_queries(3):
        assert found.counts == {"all": 1, "failed": 1, "running": 0}
        assert [run.row.command for run in found.rows] == ["one"]


def test_how_much_is_kept_is_said_before_the_download(project: Project) -> None:
    sandbox = row(project)
    cut = ran(sandbox, "yes", stdout="y" * 2048, stdout_bytes=50 * 2**20, truncated=True)
    page = shown(visitor(project), sandbox, f"?open={cut.pk}")
    assert "2.0 KB kept of 50 MB" in page
    assert 'title="Download what is kept: 2.0 KB of 50 MB"' in page
