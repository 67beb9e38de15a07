"""Background processes: they outlive the request that started them."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from tests.sandboxes.conftest import Box

pytestmark = pytest.mark.docker


def start(box: Box, command: str, **wish: Any) -> str:
    return str(box.data("POST", "/process", json={"command": command, **wish})["process_id"])


def wait_for(box: Box, process: str, *states: str) -> Any:
    deadline = time.monotonic() + 10
    while (told := box.data("GET", f"/process/{process}"))["status"] not in states:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def text_of(output: Any) -> str:
    return "".join(chunk["text"] for chunk in output["chunks"])


def test_output_is_read_from_where_one_was(box: Box) -> None:
    process = start(box, "for i in 1 2 3; do echo $i; sleep 0.3; done; exit 5")
    first = box.data("GET", f"/process/{process}/output")
    assert wait_for(box, process, "exited")["exit_code"] == 5
    path = f"/process/{process}/output"
    rest = box.data("GET", path, params={"since": first["next_offset"]})
    assert text_of(first) + text_of(rest) == "1\n2\n3\n"
    assert (rest["status"], rest["exit_code"]) == ("exited", 5)
    listed = box.data("GET", "/process")["items"]
    assert [item["process_id"] for item in listed] == [process]


def test_a_process_takes_input_until_it_is_closed(box: Box) -> None:
    process = start(box, "cat; echo over")
    stdin = f"/process/{process}/stdin"
    box.data("POST", stdin, json={"text": "typed\n"})
    box.data("POST", stdin, json={"base64": base64.b64encode(b"raw\n").decode(), "close": True})
    wait_for(box, process, "exited")
    assert text_of(box.data("GET", f"/process/{process}/output")) == "typed\nraw\nover\n"
    assert box.request("POST", stdin, json={"text": "late"}).status_code in (404, 409, 422)
    assert box.request("POST", stdin, json={"base64": "?"}).status_code == 400


def test_a_process_is_signalled(box: Box) -> None:
    process = start(box, "trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.1; done")
    deadline = time.monotonic() + 5
    while "ready" not in text_of(box.data("GET", f"/process/{process}/output")):
        assert time.monotonic() < deadline
    box.data("POST", f"/process/{process}/signal", json={"signal": "USR1"})
    assert wait_for(box, process, "exited")["exit_code"] == 9
    answer = box.request("POST", f"/process/{process}/signal", json={"signal": "NONSENSE"})
    assert answer.status_code in (400, 404, 409)


def test_a_process_is_ended_with_its_whole_tree(box: Box) -> None:
    process = start(box, "setsid sleep 601 & (sleep 602 &) ; sleep 603")
    time.sleep(0.3)
    box.data("DELETE", f"/process/{process}")
    wait_for(box, process, "killed", "exited")
    assert box.run("pgrep -c sleep")["stdout"] == "0\n"
    assert box.request("DELETE", f"/process/{process}").status_code == 200


def test_a_process_has_its_time(box: Box) -> None:
    process = start(box, "sleep 60", timeout=0.5)
    assert wait_for(box, process, "timed_out")["status"] == "timed_out"


def test_an_unknown_process_is_404(box: Box) -> None:
    missing = "/process/00000000-0000-4000-8000-000000000000"
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/output")):
        assert box.request(method, f"{missing}{path}").status_code == 404


def test_a_process_outlives_its_server_and_is_found_again(box: Box) -> None:
    process = start(box, "sleep 3; echo survived; exit 4")
    box.server.kill()
    box.server.start()
    assert wait_for(box, process, "exited")["exit_code"] == 4
    assert text_of(box.data("GET", f"/process/{process}/output")) == "survived\n"
