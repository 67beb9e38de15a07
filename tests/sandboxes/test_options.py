"""What a caller may ask of a new sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from project.errors import Invalid
from sandboxes.options import NewSandbox, limits_for

MIB = 2**20
GIB = 2**30


def test_nothing_asked_is_as_the_settings_say(settings: Any) -> None:
    limits = limits_for(NewSandbox())
    assert limits.memory_bytes == settings.SANDBOX_MEMORY_BYTES
    assert limits.workspace_bytes == settings.SANDBOX_WORKSPACE_BYTES
    assert limits.lifetime_seconds == settings.SANDBOX_SECONDS


def test_a_larger_workspace_brings_the_memory_it_needs() -> None:
    limits = limits_for(NewSandbox(workspace_size=2 * GIB))
    assert limits.workspace_bytes == 2 * GIB
    assert limits.memory_bytes > 4 * GIB


def test_a_small_memory_gets_a_workspace_that_fits() -> None:
    limits = limits_for(NewSandbox(memory=128 * MIB))
    assert limits.workspace_bytes < 64 * MIB


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"cpu": 0}, "cpu"),
        ({"cpu": float("nan")}, "cpu"),
        ({"cpu": 1000}, "cpu"),
        ({"memory": 1}, "memory"),
        ({"memory": 2**60}, "memory"),
        ({"memory": 128 * MIB, "workspace_size": 128 * MIB}, "workspace_size"),
        ({"workspace_size": 2**60}, "workspace_size"),
        ({"workspace_size": -1}, "workspace_size"),
        ({"timeout": 1}, "timeout"),
        ({"timeout": 10**9}, "timeout"),
        ({"timeout": "never"}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"network": "host"}, "network"),
        ({"name": "x" * 201}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "txt.\u202egpj"}, "name"),
        ({"name": "a\u2066b"}, "name"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {f"l{n}": "" for n in range(60)}}, "labels"),
        ({"labels": {"7": ""}}, "labels"),
        ({"labels": {"a": "x\x00"}}, "labels"),
        ({"labels": {"a": "\ud800"}}, "labels"),
        ({"env": {"1A": "x"}}, "env"),
        ({"env": {"A": "x\x00"}}, "env"),
        ({"env": {"A": "\ud800"}}, "env"),
        ({"env": {"A": "x" * 70_000}}, "env"),
    ],
)
def test_a_wish_out_of_bounds_is_refused_by_name(wish: dict[str, Any], named: str) -> None:
    with pytest.raises(Invalid, match=f"^{named}: "):
        limits_for(NewSandbox(**wish))


def test_never_is_for_operators_to_allow(settings: Any) -> None:
    settings.SANDBOX_ALLOW_NEVER = True
    assert limits_for(NewSandbox(timeout="never")).lifetime_seconds is None
