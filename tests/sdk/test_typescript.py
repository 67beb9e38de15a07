"""The npm client makes its disk and artifact calls against a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server import Server

HERE = Path(__file__).parent / "typescript"


def test_every_call_of_the_npm_client(server: Server) -> None:
    if not shutil.which("node") or not (HERE / "node_modules").is_dir():
        pytest.skip("needs node and the npm client: `make test` installs both")
    ran = subprocess.run(
        ["node", "disks.mjs"],
        cwd=HERE,
        env={
            **os.environ,
            "ACONTEXT_BASE_URL": server.api_url,
            "ACONTEXT_API_KEY": server.token,
        },
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    info = {"path": "/docs/", "filename": "notes.md", "mime": "text/markdown; charset=utf-8"}
    assert said == {
        "ping": "pong",
        "listed": True,
        "content": {"type": "text", "raw": "# Grüße\n"},
        "meta": {"by": "me", "__artifact_info__": {**info, "size": 10}},
        "link": "# Grüße\n",
        "binary": True,
        "changed": {"reviewed": True, "__artifact_info__": {**info, "size": 10}},
        "directories": ["docs"],
        "names": ["all.bin", "notes.md"],
        "gone": 404,
        "again": 404,
    }
