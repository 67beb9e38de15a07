"""The API of sandboxes, as far as it needs no engine: what it refuses, and what it reads."""

from __future__ import annotations

from typing import Any

import pytest

from project.models import Project
from sandboxes.models import Sandbox, Status

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
