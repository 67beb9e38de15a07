"""What many journeys do: sign in, wait, and ask axe whether everybody can use a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

from tests.server import ADMIN, PASSWORD

(AXE,) = (Path(__file__).parent / "axe").glob("*/axe.min.js")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# Contrast that is measured in the middle of a fade is nobody's.
SETTLE = """() => Promise.allSettled(document.getAnimations()
  .filter((it) => Number.isFinite(it.effect.getComputedTiming().endTime))
  .map((it) => it.finished))"""
RUN_AXE = "(rules) => axe.run({runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})"
THEMES = ("light", "dark")


async def sign_in(page: Page, username: str = ADMIN, password: str = PASSWORD) -> None:
    """Sign in as a person does, at the sign-in page."""
    await page.goto("/login/")
    await page.locator("[name=username]").fill(username)
    await page.locator("[name=password]").fill(password)
    await page.locator("[name=password]").press("Enter")
    await expect(page.locator("[name=password]")).to_have_count(0)


async def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something holds that no element of the page shows."""
    for _ in range(int(seconds / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")


async def assert_accessible(page: Page) -> None:
    """Assert that axe finds nothing serious on the page, neither in the light nor in the dark."""
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        serious = await _serious(page)
        assert not serious, f"{page.url}, {theme}:\n" + "\n".join(serious)
    await page.emulate_media(color_scheme="null")


async def _serious(page: Page) -> list[str]:
    await _bring_axe(page)
    await page.evaluate(SETTLE)
    found: dict[str, Any] = await page.evaluate(RUN_AXE, list(RULES))
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


async def _bring_axe(page: Page) -> None:
    """Put axe into the page through the debugger: the page's policy allows no foreign script."""
    if await page.evaluate("() => typeof axe === 'object'"):
        return
    debugger = await page.context.new_cdp_session(page)
    await debugger.send("Runtime.evaluate", {"expression": AXE.read_text()})
    await debugger.detach()
