"""Secrets that Sandbank makes for itself and keeps in its data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def stored_secret(path: Path) -> str:
    """Return the secret kept at path; make it first if there is none.

    Two processes that start at once agree: the first one's file stays.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    drafted = path.with_name(f"{path.name}.{os.getpid()}")
    drafted.touch(mode=0o600)
    drafted.write_text(secrets.token_urlsafe(64))
    try:
        os.link(drafted, path)
    except FileExistsError:
        pass  # Another process was faster; its secret counts.
    finally:
        drafted.unlink()
    return path.read_text().strip()
