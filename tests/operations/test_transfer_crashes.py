"""A server is killed, or stopped, while it copies: nothing lies, and nothing half is left."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandboxes.conftest import make_box
from tests.server import ADMIN, PASSWORD, Server

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

FILES = 4
FILE_BYTES = 80_000_000
END_SECONDS = 90.0
ROWS = (
    "import json\n"
    "from disks.jobs import result_of\n"
    "from disks.models import Transfer\n"
    "print(json.dumps([[t.status, t.files_done, result_of(t)] for t in "
    "Transfer.objects.order_by('created_at')]))"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, SUPERVISOR_SECONDS="0.5").start()
    yield server
    if server.process is None or server.process.poll() is not None:
        server.start()
    server.end_sandboxes()
    server.stop()


class Person:
    """Somebody who is signed in at the pages of a server."""

    def __init__(self, server: Server) -> None:
        self.client = httpx.Client(base_url=server.url, timeout=60)
        self.client.get("/login/")
        form = {"username": ADMIN, "password": PASSWORD}
        assert self.post("/login/", form).status_code in (200, 302, 303)
        shown = re.search(r'data-project="([^"]+)"', self.client.get("/").text)
        assert shown is not None
        self.client.headers["X-Project"] = shown[1]

    def close(self) -> None:
        self.client.close()

    def post(self, path: str, form: dict[str, Any]) -> httpx.Response:
        form = {**form, "csrfmiddlewaretoken": self.client.cookies["csrftoken"]}
        return self.client.post(path, data=form, headers={"Accept": "application/json"})


@pytest.fixture
def person(server: Server) -> Iterator[Person]:
    with closing(Person(server)) as person:
        yield person


def rows_of(server: Server) -> list[Any]:
    lines = server.manage("shell", "-v", "0", "-c", ROWS).strip().splitlines()
    rows: list[Any] = json.loads(lines[-1])
    return rows


def wait_for(server: Server, status: str, number: int = 0) -> Any:
    deadline = time.monotonic() + END_SECONDS
    while True:
        rows = rows_of(server)
        if len(rows) > number and rows[number][0] == status:
            return rows[number]
        assert time.monotonic() < deadline, rows
        time.sleep(0.3)


def begin(server: Server, person: Person) -> tuple[str, str]:
    """Begin a transfer of large files from a sandbox. Return the disk it goes to, and its id."""
    disk_id = server.request("POST", "/disk").json()["data"]["id"]
    box = make_box(server)
    box.run(
        f"mkdir in; for i in $(seq {FILES}); do head -c {FILE_BYTES} /dev/urandom > in/$i; done"
    )
    form = {"source": f"sandbox:{box.id}:/workspace", "target": f"disk:{disk_id}:/", "names": "in"}
    answer = person.post("/transfer/start/", form)
    assert answer.status_code == 200, answer.text
    return disk_id, answer.json()["id"]


def sizes_on(server: Server, disk_id: str) -> list[int]:
    answer = server.request("GET", f"/disk/{disk_id}/artifact/ls", params={"path": "/in/"})
    artifacts = answer.json()["data"]["artifacts"]
    return [artifact["meta"]["__artifact_info__"]["size"] for artifact in artifacts]


def test_killed_midway_it_is_told_and_can_be_run_again(server: Server, person: Person) -> None:
    disk_id, transfer_id = begin(server, person)
    time.sleep(0.8)
    server.kill()
    server.start()

    row = wait_for(server, "failed")

    assert row[2].startswith("its server stopped; ")
    assert set(sizes_on(server, disk_id)) <= {FILE_BYTES}
    server.manage("verify_blobs")
    assert person.post(f"/transfer/{transfer_id}/again/", {}).status_code == 200
    assert wait_for(server, "done", 1)[1] == FILES
    assert sizes_on(server, disk_id) == [FILE_BYTES] * FILES


def test_stopped_midway_it_says_so_at_once(server: Server, person: Person) -> None:
    disk_id, _ = begin(server, person)
    time.sleep(0.8)
    assert server.stop() == 0

    status, done, result = rows_of(server)[0]

    assert status in ("failed", "done")
    if status == "failed":
        assert result.startswith("its server was stopped; ")
        assert done < FILES
    server.start()
    assert set(sizes_on(server, disk_id)) <= {FILE_BYTES}
    server.manage("verify_blobs")
