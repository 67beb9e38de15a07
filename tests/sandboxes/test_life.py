"""From a sandbox's wish to its end, over the API of a real server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sandboxes.conftest import Box, make_box
from tests.server import Server

pytestmark = pytest.mark.docker

MIB = 2**20


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_sandbox_is_made_as_it_was_wished(server: Server) -> None:
    wish: dict[str, Any] = {
        "name": "worker",
        "labels": {"team": "blue"},
        "timeout": 600,
        "env": {"GREETING": "hello there"},
        "cpu": 0.5,
        "memory": 512 * MIB,
        "workspace_size": 100 * MIB,
    }
    box = make_box(server, **wish)
    told = box.data("GET")
    assert {key: told[key] for key in wish if key != "env"} == {
        key: value for key, value in wish.items() if key != "env"
    }
    assert told["sandbox_status"] == "running"
    assert told["created_by"]
    life = moment(told["sandbox_expires_at"]) - moment(told["sandbox_created_at"])
    assert timedelta(seconds=599) <= life <= timedelta(seconds=605)
    said = box.run('echo "$GREETING"; df --output=size -BM /workspace | tail -1; nproc')
    assert said["stdout"].split() == ["hello", "there", "100M", *said["stdout"].split()[3:]]
    usage = box.data("GET", "/usage")
    assert usage["memory_limit_bytes"] == 512 * MIB
    assert usage["workspace_limit_bytes"] == 100 * MIB
    assert usage["processes"] >= 1
    box.request("DELETE")


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"cpu": 99}, "cpu"),
        ({"cpu": 0}, "cpu"),
        ({"memory": 1}, "memory"),
        ({"memory": 2**50}, "memory"),
        ({"workspace_size": 2**50}, "workspace_size"),
        ({"timeout": 1}, "timeout"),
        ({"timeout": 10**9}, "timeout"),
        ({"timeout": "never"}, "never"),
        ({"network": "host"}, "network"),
        ({"image": "alpine"}, "not offered"),
        ({"image": "../../etc"}, "not offered"),
        ({"env": {"1A": "x"}}, "env"),
        ({"env": {"A": "\u0000"}}, "env"),
        ({"labels": {"a": 1}}, "labels"),
        ({"labels": {f"l{n}": "" for n in range(51)}}, "labels"),
        ({"labels": {'quo"te': ""}}, "labels"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_a_wish_out_of_bounds_is_400_and_says_which(
    server: Server, wish: dict[str, Any], word: str
) -> None:
    answer = server.request("POST", "/sandbox", json=wish)
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["msg"]


def test_a_sandbox_is_renamed_labelled_and_extended(box: Box) -> None:
    before = box.data("GET")
    change = {"name": "renamed", "labels": {"a": "b"}, "timeout": 7200}
    after = box.data("PATCH", json=change)
    assert (after["name"], after["labels"], after["timeout"]) == ("renamed", {"a": "b"}, 7200)
    later = moment(after["sandbox_expires_at"]) - moment(before["sandbox_expires_at"])
    assert later > timedelta(seconds=5000)
    assert box.request("PATCH", json={"timeout": 5}).status_code == 400


def test_sandboxes_are_listed_by_label_name_and_state(server: Server) -> None:
    label = f"run/{uuid.uuid4().hex}"
    boxes = [make_box(server, labels={label: value}, name=f"n-{label}") for value in ("a", "b")]

    def listed(**query: str) -> list[str]:
        page = server.request("GET", "/sandbox", params=query).json()["data"]
        return [item["sandbox_id"] for item in page["items"]]

    first, second = (box.id for box in boxes)
    assert listed(label=label) == [first, second]
    assert listed(label=f"{label}=b") == [second]
    assert listed(label=f"{label}=c") == []
    odd = server.request("GET", "/sandbox", params={"label": 'quo"te=a'})
    assert odd.status_code == 400
    assert listed(name=f"n-{label}", time_desc="true") == [second, first]
    boxes[0].request("DELETE")
    assert listed(label=label, status="running") == [second]
    assert listed(label=label, status="killed") == [first]
    boxes[1].request("DELETE")


def test_a_paused_sandbox_stands_still_and_goes_on(box: Box) -> None:
    box.run("while true; do date +%s%N > tick; sleep 0.05; done > /dev/null 2>&1 &")
    assert box.data("POST", "/pause")["sandbox_status"] == "paused"
    assert box.data("POST", "/pause")["sandbox_status"] == "paused"
    refused = box.request("POST", "/exec", json={"command": "true"})
    assert (refused.status_code, refused.json()["error"]) == (409, "sandbox_paused")
    time.sleep(0.5)
    assert box.data("POST", "/resume")["sandbox_status"] == "running"
    first = box.run("cat tick")["stdout"]
    time.sleep(0.3)
    assert box.run("cat tick")["stdout"] > first


def test_a_killed_sandbox_tells_when_why_and_by_whom(server: Server) -> None:
    box = make_box(server)
    box.request("DELETE")
    told = box.data("GET")
    assert (told["sandbox_status"], told["reason"]) == ("killed", "killed")
    assert "it was killed by the API key" in told["message"]
    assert datetime.now(UTC) - moment(told["ended_at"]) < timedelta(seconds=30)
    for method, path in (("POST", "/pause"), ("POST", "/resume"), ("GET", "/usage")):
        refused = box.request(method, path)
        assert refused.status_code == 404
        assert "killed" in refused.json()["msg"]


def test_an_unused_sandbox_expires_and_use_renews_it(server: Server) -> None:
    idle, used, written = (make_box(server, timeout=10) for _ in range(3))
    deadline = time.monotonic() + 25
    while idle.data("GET")["sandbox_status"] == "running":
        assert used.run("true")["exit_code"] == 0
        file = {"params": {"path": "/workspace/a.txt"}, "content": b"text"}
        assert written.request("PUT", "/files", **file).is_success
        # Who only looks does not use it.
        assert idle.request("GET", "/files/list", params={"path": "/workspace"}).status_code in (
            200,
            404,
        )
        assert time.monotonic() < deadline
        time.sleep(0.5)
    told = idle.data("GET")
    assert (told["sandbox_status"], told["reason"]) == ("killed", "expired")
    for box in (used, written):
        assert box.data("GET")["sandbox_status"] == "running"
        box.request("DELETE")


def test_a_file_on_its_way_holds_its_sandbox(server: Server) -> None:
    box = make_box(server, timeout=10)

    def slow() -> Iterator[bytes]:
        for _ in range(28):
            yield b"x" * 100_000
            time.sleep(0.5)

    answer = box.request("PUT", "/files", params={"path": "/workspace/a.bin"}, content=slow())
    assert answer.is_success, answer.text
    assert box.run("wc -c < a.bin")["stdout"] == "2800000\n"
    box.request("DELETE")


def test_a_command_that_is_waited_for_holds_its_sandbox(server: Server) -> None:
    box = make_box(server, timeout=10)
    assert box.run("sleep 14; echo done")["stdout"] == "done\n"
    box.request("DELETE")


def test_a_box_whose_processes_take_all_memory_says_so(server: Server) -> None:
    box = make_box(server, memory=256 * MIB)
    result = box.run("python3 -c 'x = bytearray(10**9)'")
    assert result["exit_code"] == 137
    assert result["out_of_memory"]
    assert box.run("echo alive")["stdout"] == "alive\n"
    box.request("DELETE")


def test_an_idempotency_key_makes_one_sandbox(server: Server) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = server.request("POST", "/sandbox", json={"name": "once"}, headers=headers)
    again = server.request("POST", "/sandbox", json={"name": "once"}, headers=headers)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = server.request("POST", "/sandbox", json={"name": "twice"}, headers=headers)
    assert other.status_code == 422
    Box(server, first.json()["data"]["sandbox_id"]).request("DELETE")
