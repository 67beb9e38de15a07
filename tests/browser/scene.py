"""Something to see on every page: sandboxes in every state, files of every kind."""

from __future__ import annotations

import gzip
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.sandboxes.sockets import Browser
from tests.server import Server

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
FILES: Mapping[str, bytes] = {
    "readme.md": b"# Reports\n\nFigures of *all* quarters.\n\n- north\n- south\n",
    "query.py": b'def totals(rows):\n    """Sum them up."""\n    return sum(rows)\n',
    "tenants.csv": b"name,plan\nnorth,pro\nsouth,team\n",
    "config.json": b'{"plan": ["pro", "team"]}',
    "dot.png": PNG,
    "rows.gz": gzip.compress(b"rows", mtime=0),
    "empty.txt": b"",
    "gone.txt": b"in the trash\n",
}
COMMANDS = (
    "mkdir -p src && echo 'print(1)' > src/main.py && seq 1 50 > numbers.csv",
    r"printf '\033[32mgood\033[0m and \033[1;31mbad\033[0m\n'; exit 3",
)
NAMES: Mapping[str, str] = {
    "running": "calm-otter",
    "paused": "sql-notebook",
    "dead": "brisk-heron",
    "failed": "quiet-finch",
}
LABELS: Mapping[str, str] = {"team": "agents"}
FAIL_SECONDS = 30.0


def set_up(server: Server) -> dict[str, str]:
    """Make it all; return the ids by which the pages' addresses name it."""
    ids = {
        state: _data(server, "POST", "/sandbox", json={"name": name, "labels": LABELS})[
            "sandbox_id"
        ]
        for state, name in NAMES.items()
    }
    for command in COMMANDS:
        _data(server, "POST", f"/sandbox/{ids['running']}/exec", json={"command": command})
        _data(server, "POST", f"/sandbox/{ids['dead']}/exec", json={"command": command})
    process = {"command": "while sleep 1; do date; done"}
    _data(server, "POST", f"/sandbox/{ids['running']}/process", json=process)
    ids |= _terminals(server, ids)
    ids |= _disk(server, ids["running"])
    _data(server, "POST", f"/sandbox/{ids['paused']}/pause")
    server.request("DELETE", f"/sandbox/{ids['dead']}").raise_for_status()
    _fail(server, ids["failed"])
    return ids


def _data(server: Server, method: str, path: str, **options: Any) -> Any:
    answer = server.request(method, path, **options)
    assert answer.is_success, answer.text
    return answer.json()["data"]


def _fail(server: Server, sandbox: str) -> None:
    """Take the box away behind the server's back, and wait until it sees that."""
    subprocess.run(
        ["docker", "rm", "--force", f"sandbank-{sandbox}"], check=True, capture_output=True
    )
    deadline = time.monotonic() + FAIL_SECONDS
    while time.monotonic() < deadline:
        if _data(server, "GET", f"/sandbox/{sandbox}")["sandbox_status"] == "error":
            return
        time.sleep(0.1)
    raise AssertionError("the server does not see that a box is gone")


@contextmanager
def engine_away(server: Server) -> Iterator[None]:
    """Have the server lose its engine: it is started anew with the address of none."""
    usual = server.environment
    server.stop()
    server.environment = {**usual, "DOCKER_HOST": f"unix://{server.data}/nobody.sock"}
    try:
        server.start()
        yield
    finally:
        server.stop()
        server.environment = usual
        server.start()


def _terminals(server: Server, ids: dict[str, str]) -> dict[str, str]:
    with Browser(server) as browser:
        browser.post(f"/sandboxes/{ids['running']}/settings/", recording="on").raise_for_status()
        opened = {
            name: browser.post(f"/sandboxes/{ids[sandbox]}/terminals/open/").json()["url"]
            for name, sandbox in (("terminal", "running"), ("ended", "dead"))
        }
    return {name: re.findall(r"[0-9a-f-]{36}", url)[1] for name, url in opened.items()}


def _disk(server: Server, sandbox: str) -> dict[str, str]:
    """Make a disk with a name and files, and one with neither."""
    _data(server, "POST", "/disk")
    with Browser(server) as browser:
        # No two disks of a project have one name, and this may be the second scene of a server.
        form = {"name": f"reports-{sandbox[:4]}", "description": "Figures of all quarters"}
        answer = browser.post("/disks/new/", **form)
    disk = answer.json()["url"].split("/")[2]
    for name, content in FILES.items():
        upload = {"file": (name, content)}
        form = {"file_path": "/"}
        _data(server, "POST", f"/disk/{disk}/artifact", files=upload, data=form)
    with Browser(server) as browser:
        answer = browser.post(f"/disks/{disk}/file-actions/delete", paths="/gone.txt")
        assert answer.is_success, answer.text
        sides = {"source": f"disk:{disk}:/", "target": f"sandbox:{sandbox}:/workspace"}
        answer = browser.post("/transfer/start/", **sides, names="tenants.csv")
        assert answer.is_success, answer.text
    return {"disk": disk}
