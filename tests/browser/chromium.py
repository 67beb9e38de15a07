"""How Chromium is started, and what it is asked to be."""

from __future__ import annotations

import shutil
from typing import Any

from playwright.async_api import Browser, Playwright

# As root it must do without its own sandbox; the rest are connections to its maker.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "reduced_motion": "reduce",
    "has_touch": True,
    "is_mobile": True,
}


def find() -> str | None:
    """Return where Chromium is; None if there is none."""
    return shutil.which("chromium")


async def start(playwright: Playwright) -> Browser:
    return await playwright.chromium.launch(executable_path=find(), args=ARGUMENTS)
