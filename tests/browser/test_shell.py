"""The frame around every page: palette, shortcuts, themes, being offline, being signed out."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.watch import Watch
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.docker]

GROUND = "() => getComputedStyle(document.body).backgroundColor"


async def open_palette(page: Page) -> None:
    """Press the keys once the page's scripts listen."""
    await page.wait_for_load_state("load")
    await page.keyboard.press("Control+k")
    await expect(page.locator("#palette").get_by_role("combobox")).to_be_focused()


async def test_the_palette_leads_anywhere_by_keyboard(page: Page, server: Server) -> None:
    name = "palette-otter"
    made = server.request("POST", "/disk").json()["data"]["id"]
    sandbox = server.request("POST", "/sandbox", json={"name": name}).json()["data"]["sandbox_id"]
    await sign_in(page)
    await page.goto("/activity/")
    palette = page.locator("#palette")
    found = palette.get_by_role("option", selected=True)

    await open_palette(page)
    await expect(found).to_contain_text("Download this activity as CSV")
    await page.keyboard.type("members")
    await expect(found).to_contain_text("Members")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/settings/members/$"))

    await open_palette(page)
    await expect(found).to_contain_text("Members")  # The one used last.
    await page.keyboard.type("te-ott")
    await expect(found).to_contain_text(name)
    await expect(palette.locator("mark")).to_have_text("te-ott")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"/sandboxes/{sandbox}/$"))

    await open_palette(page)
    await expect(palette.get_by_role("option", name=name)).not_to_have_count(0)
    await page.keyboard.type("stop this")
    await expect(found).to_have_text(re.compile("^Stop this sandbox"))
    await page.keyboard.press("Enter")
    await expect(page.locator("#confirm")).to_contain_text(f"Stop {name}?")
    await page.keyboard.press("Escape")

    await open_palette(page)
    await page.keyboard.type(made[:8])
    await expect(found).to_contain_text(made[:8])
    async with page.context.expect_page() as opened:
        await page.keyboard.press("Control+Enter")
    await expect(await opened.value).to_have_url(re.compile(f"/disks/{made}/files/"))
    await page.keyboard.press("Escape")
    await expect(palette).to_be_hidden()


async def test_the_palette_walks_around_and_finds_nothing_politely(page: Page) -> None:
    await sign_in(page)
    await page.goto("/settings/")
    await page.locator("[data-palette]").click()
    options = page.locator("#palette").get_by_role("option")
    await page.keyboard.press("ArrowUp")
    await expect(options.last).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowDown")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    await assert_accessible(page)
    await page.keyboard.type("<img src=x onerror=alert(1)>")
    await expect(page.get_by_text("Nothing fits.")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/settings/$"))


async def test_an_address_makes_the_palette_do_nothing(page: Page) -> None:
    await sign_in(page)
    await page.goto("/settings/?q=sign+out&command=Sign+out#Sign%20out")
    await page.wait_for_timeout(300)
    await expect(page.locator("#palette")).to_be_hidden()
    await expect(page.get_by_role("heading", name="Settings")).to_be_visible()


async def test_the_list_of_shortcuts_has_those_of_the_page(page: Page) -> None:
    await sign_in(page)
    await page.goto("/activity/")
    await page.keyboard.press("?")
    dialog = page.locator("#shortcuts")
    await expect(dialog).to_be_visible()
    await expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    await assert_accessible(page)
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(page.get_by_label("Who", exact=True)).to_be_focused()
    await page.keyboard.type("?")
    await expect(dialog).to_be_hidden()
    await page.get_by_role("heading", name="Activity").click()
    await page.keyboard.press("g")
    await page.keyboard.press("h")
    await expect(page).to_have_url(re.compile("[0-9]/$"))


async def test_a_theme_is_there_before_the_page_is_drawn(page: Page) -> None:
    await page.emulate_media(color_scheme="light")
    await sign_in(page)
    await page.goto("/settings/")
    light = await page.evaluate(GROUND)
    await page.get_by_role("button", name="Theme").click()
    await page.get_by_role("menuitemradio", name="Dark").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = await page.evaluate(GROUND)
    assert dark != light
    # What the server sends is dark already: no script has to make it so.
    answer = await page.request.get("/settings/")
    assert 'data-theme="dark"' in await answer.text()
    await page.reload()
    assert await page.evaluate(GROUND) == dark


async def test_high_contrast_is_a_theme_of_its_own(page: Page) -> None:
    await sign_in(page)
    await page.goto("/settings/profile/")
    await page.get_by_label("High contrast").check()
    await page.get_by_label("Compact").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("html")).to_have_attribute("data-contrast", "more")
    await expect(page.locator("html")).to_have_attribute("data-density", "compact")
    await assert_accessible(page)


@pytest.mark.parametrize(
    "address",
    ["/settings/", "/settings/members/", "/settings/keys/", "/settings/profile/", "/activity/"],
)
async def test_every_page_is_for_everybody(phone: Page, page: Page, address: str) -> None:
    for one in (page, phone):
        await sign_in(one)
        await one.goto(address)
        await assert_accessible(one)
        width = await one.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert width <= 0


async def test_the_page_of_the_first_start_finds_everything_well(page: Page) -> None:
    await sign_in(page)
    await page.goto("/welcome/")
    checks = page.locator("#checks li")
    await expect(checks).to_have_count(6)
    await expect(checks.first).to_contain_text("The engine answers")
    await expect(page.locator("#checks .err")).to_have_count(0)
    await assert_accessible(page)


async def test_who_is_signed_out_while_looking_is_sent_to_the_sign_in_and_back(
    page: Page, watch: Watch
) -> None:
    watch.allow("401")
    await sign_in(page)
    await page.goto("/activity/?verb=disk")
    await page.context.clear_cookies(name="sessionid")
    await page.evaluate("() => document.body.dispatchEvent(new CustomEvent('resync'))")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.get_by_label("User name").fill("admin")
    await page.get_by_label("Password").fill("correct horse battery staple")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/activity/\?verb=disk$"))


async def test_after_half_a_minute_without_server_the_page_says_so(
    page: Page, watch: Watch
) -> None:
    watch.allow("ERR_INTERNET_DISCONNECTED|WebSocket|Failed to fetch")
    await page.clock.install()
    await sign_in(page)
    await page.goto("/settings/")
    await expect(page.locator("html")).to_have_attribute("data-live", "live")
    await page.context.set_offline(True)
    banner = page.locator("#offline")
    await page.clock.fast_forward(10_000)
    await expect(banner).to_be_hidden()
    for _ in range(4):
        await page.clock.fast_forward(20_000)
        await page.wait_for_timeout(200)
    await expect(banner).to_be_visible()
    await expect(banner).to_contain_text("You are offline. Nothing is lost")
    await banner.get_by_role("button", name="Try now").click()
    await expect(banner).to_be_visible()
    await page.context.set_offline(False)
    await page.clock.fast_forward(20_000)
    await expect(banner).to_be_hidden()


async def test_a_missing_page_offers_a_way_on(open_page: OpenPage, watch: Watch) -> None:
    watch.allow("404")
    page = await open_page()
    await sign_in(page)
    await page.goto("/nothing/here/")
    await expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    await assert_accessible(page)
    await page.get_by_role("link", name="Go home").click()
    await expect(page).to_have_url(re.compile("[0-9]/$"))
