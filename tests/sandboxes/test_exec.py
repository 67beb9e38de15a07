"""What exec can do beyond upstream's."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.sandboxes.conftest import Box

pytestmark = pytest.mark.docker


def test_a_command_has_its_folder_its_variables_and_its_input(box: Box) -> None:
    result = box.run(
        'pwd; echo "$COLOUR"; cat', cwd="/tmp", env={"COLOUR": "blue"}, stdin="typed\n"
    )
    assert result["stdout"] == "/tmp\nblue\ntyped\n"


def test_a_folder_that_is_not_there_is_400(box: Box) -> None:
    answer = box.request("POST", "/exec", json={"command": "pwd", "cwd": "/nowhere"})
    assert answer.status_code == 400
    assert "/nowhere" in answer.json()["msg"]


def test_a_command_whose_time_is_over_has_said_what_it_said(box: Box) -> None:
    result = box.run("echo begun; setsid sleep 60 & sleep 60", timeout=1)
    assert (result["exit_code"], result["timed_out"]) == (124, True)
    assert result["stdout"] == "begun\n"
    assert "timed out after 1 seconds" in result["stderr"]
    assert box.run("pgrep -c sleep")["stdout"] == "0\n"


@pytest.mark.parametrize("timeout", [0, -1, 10**9])
def test_a_timeout_out_of_bounds_is_400(box: Box, timeout: int) -> None:
    answer = box.request("POST", "/exec", json={"command": "true", "timeout": timeout})
    assert answer.status_code == 400


def test_a_background_job_does_not_hold_the_answer_and_goes_on(box: Box) -> None:
    begun = time.monotonic()
    box.run("nohup sh -c 'sleep 2; echo kept > late' &")
    assert time.monotonic() - begun < 1.8
    time.sleep(2.5)
    assert box.run("cat late")["stdout"] == "kept\n"


def test_bytes_that_are_no_text_are_marked(box: Box) -> None:
    assert box.run(r"printf 'a\xffb'")["stdout"] == "a\ufffdb"


def test_a_stream_gives_each_piece_when_it_is_said(box: Box) -> None:
    body = {"command": "echo one; sleep 1; echo two >&2; exit 3", "stream": True}
    begun = time.monotonic()
    seen = []
    with httpx.stream(
        "POST",
        f"{box.server.api_url}/sandbox/{box.id}/exec",
        json=body,
        headers={"Authorization": f"Bearer {box.server.token}"},
        timeout=30,
    ) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                at = time.monotonic() - begun
                seen.append((name, json.loads(line.removeprefix("data: ")), at))
    assert [(name, data.get("text")) for name, data, _ in seen[:2]] == [
        ("stdout", "one\n"),
        ("stderr", "two\n"),
    ]
    assert seen[1][2] - seen[0][2] > 0.8
    assert seen[-1][0] == "exit"
    assert seen[-1][1]["exit_code"] == 3


def test_a_stream_that_is_left_takes_its_command_along(box: Box) -> None:
    body = {"command": "echo one; sleep 600", "stream": True}
    with httpx.stream(
        "POST",
        f"{box.server.api_url}/sandbox/{box.id}/exec",
        json=body,
        headers={"Authorization": f"Bearer {box.server.token}"},
        timeout=30,
    ) as answer:
        next(answer.iter_lines())
    deadline = time.monotonic() + 10
    while box.run("pgrep -c sleep")["stdout"] != "0\n":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    newest = box.data("GET", "/commands", params={"limit": 200})["items"]
    left = next(row for row in newest if row["command"] == body["command"])
    assert left["status"] == "killed"


def test_the_history_holds_both_ends_of_a_long_output(box: Box) -> None:
    box.run("echo start; head -c 300000 /dev/zero | tr '\\0' x; echo end")
    row = box.data("GET", "/commands")["items"][-1]
    assert row["stdout"].startswith("start\n")
    assert row["stdout"].endswith("end\n")
    assert row["stdout_bytes"] == 300_010
    assert len(row["stdout"]) < 150_000
