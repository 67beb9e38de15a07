"""JSON of a caller that is kept and told again, so nothing in it may keep it from being either."""

from __future__ import annotations

import json
from typing import Any

# Answers are written to a depth of about 250, a few levels of which are their own.
DEEPEST = 100


def parse(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises ValueError for what is none, or could not be written again: NaN, a number without
    end, half a character, or what is nested too deeply.
    """
    try:
        value = json.loads(text)
        _written(value)
        too_deep = _depth(value) > DEEPEST
    except RecursionError:
        too_deep = True
    if too_deep:
        raise ValueError("it is nested too deeply")
    return value


def size(value: Any) -> int:
    """Return in how many bytes a value is written."""
    return len(_written(value))


def holds_nul(value: Any) -> bool:
    """Is there a NUL in a text or a name of it? PostgreSQL keeps none."""
    # An escaped backslash begins no other escape.
    return b"\\u0000" in _written(value).replace(b"\\\\", b"")


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return 0
    return 1 + max(map(_depth, value), default=0)
