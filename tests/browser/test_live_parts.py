"""Parts of pages that look again by themselves."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, Route

from tests.browser.steps import sign_in
from tests.browser.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.docker]

RESYNC = "() => document.body.dispatchEvent(new CustomEvent('resync'))"


async def test_a_part_stays_as_it_was_if_the_server_fails(page: Page, watch: Watch) -> None:
    watch.allow("503")
    await sign_in(page)
    await page.goto("/activity/")
    before = await page.locator("#rows").inner_text()

    async def fail(route: Route) -> None:
        await route.fulfill(status=503, content_type="text/html", body="<h1>Gone wrong</h1>")

    await page.route("**part=rows**", fail)
    async with page.expect_response("**part=rows**"):
        await page.evaluate(RESYNC)
    await page.wait_for_timeout(200)
    assert await page.locator("#rows").inner_text() == before
