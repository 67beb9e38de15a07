"""Parts of pages that look again by themselves."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

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


async def test_a_part_asks_for_the_project_of_its_page(page: Page) -> None:
    await sign_in(page)
    await page.goto("/activity/")
    shown = await page.locator("[data-project]").get_attribute("data-project")
    async with page.expect_request("**part=rows**") as asked:
        await page.evaluate(RESYNC)
    assert (await asked.value).headers["x-project"] == shown


async def test_a_page_that_is_refused_its_events_asks_again_later(page: Page) -> None:
    await sign_in(page)
    dials, refused_again = 0, asyncio.Event()

    async def dial(socket: WebSocketRoute) -> None:
        nonlocal dials
        dials += 1
        if dials > 2:
            socket.connect_to_server()
            return
        await socket.close(code=4003)
        if dials == 2:
            refused_again.set()

    await page.route_web_socket("**/events/", dial)
    await page.clock.install()
    await page.goto("/activity/")
    # The first refusal loads the page anew; so soon after it, the second does not.
    await asyncio.wait_for(refused_again.wait(), 15)
    await expect(page.locator("html")).to_have_attribute("data-live", "waiting")
    await page.clock.fast_forward(60_000)
    await expect(page.locator("html")).to_have_attribute("data-live", "live")


async def test_a_page_that_was_long_under_way_looks_again_at_once(page: Page) -> None:
    await sign_in(page)

    async def dial(socket: WebSocketRoute) -> None:
        await asyncio.sleep(2.5)
        socket.connect_to_server()

    await page.route_web_socket("**/events/", dial)
    async with page.expect_request("**part=rows**"):
        await page.goto("/activity/")


async def test_a_change_without_an_answer_may_still_be_done(page: Page, watch: Watch) -> None:
    watch.allow("ERR_FAILED")
    await page.add_init_script(
        """
        const timeout = AbortSignal.timeout;
        AbortSignal.timeout = (wait) => { window.lastWait = wait; return timeout.call(AbortSignal, wait); };
        """
    )
    await sign_in(page)
    await page.goto("/disks/?new")
    await page.route("**/disks/new/", lambda route: route.abort())
    await page.locator("#disk-name").fill("never")
    await page.get_by_role("button", name="Create disk").click()
    await expect(
        page.get_by_text("It may still be done; look before you try again.")
    ).to_be_visible()
    assert await page.evaluate("window.lastWait") >= 300_000
