"""Pages fit: nothing is cut, glued to an edge or out of reach, at a desk, a tablet and a phone."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser import scene
from tests.browser.chromium import PHONE
from tests.browser.conftest import OpenPage
from tests.browser.shots import SHOTS, show
from tests.browser.steps import sign_in
from tests.browser.watch import Watch
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(600)]

TABLET: dict[str, Any] = {"viewport": {"width": 820, "height": 1180}}
LAPTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
# What reaches over an edge of the window and cannot be scrolled to.
BEYOND = """() => [...document.querySelectorAll('main *, header *, .brand *')].filter((it) => {
  if (!it.checkVisibility() || it.closest('.visually-hidden, svg *')) return false;
  for (let outer = it.parentElement; outer; outer = outer.parentElement)
    if (getComputedStyle(outer).overflowX !== 'visible') return false;
  const { left, right } = it.getBoundingClientRect();
  return left < -1 || right > document.documentElement.clientWidth + 1;
}).map((it) => it.outerHTML.slice(0, 120))"""
# What of a box's content is beside the box.
CUT = "(it) => it.scrollWidth - it.clientWidth"
BOXES = "(all) => all.map((it) => it.getBoundingClientRect().toJSON())"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def names(server: Server) -> dict[str, str]:
    return await asyncio.to_thread(scene.set_up, server)


@pytest.mark.parametrize("device", [LAPTOP, TABLET, PHONE], ids=["laptop", "tablet", "phone"])
async def test_nothing_is_beyond_the_edge(
    open_page: OpenPage, watch: Watch, names: dict[str, str], device: dict[str, Any]
) -> None:
    watch.allow("404")
    page = await open_page(**device)
    beyond: dict[str, Any] = {}
    for shot in sorted(SHOTS, key=lambda shot: shot.signed_in):
        if shot.act is not None:
            continue
        if shot.signed_in and page.url.endswith("/login/"):
            await sign_in(page)
        await show(page, shot, names)
        if found := await page.evaluate(BEYOND):
            beyond[shot.name] = found[:3]
    assert beyond == {}


async def test_tablet_shows_one_crumb_beside_the_other(
    open_page: OpenPage, names: dict[str, str]
) -> None:
    page = await open_page(**TABLET)
    await sign_in(page)
    await page.goto(f"/sandboxes/{names['running']}/files/workspace/")
    shown = [box for box in await page.locator(".crumbs li").evaluate_all(BOXES) if box["width"]]
    assert all(left["right"] <= right["left"] for left, right in pairwise(shown))
    assert await page.locator(".jump").evaluate("(it) => it.offsetHeight") == 32
    assert await page.locator(".sandbox-head h1").evaluate(CUT) <= 0


@pytest.mark.parametrize("device", [TABLET, PHONE], ids=["tablet", "phone"])
async def test_transfer_shows_whole_names(
    open_page: OpenPage, names: dict[str, str], device: dict[str, Any]
) -> None:
    page = await open_page(**device)
    await sign_in(page)
    disk, sandbox = names["disk"], names["running"]
    await page.goto(f"/transfer/?left=disk:{disk}:/&right=sandbox:{sandbox}:/workspace/")
    links = page.locator(".side:visible .name a")
    await expect(links.first).to_be_visible()
    for link in await links.all():
        assert await link.evaluate(CUT) <= 0, await link.inner_text()


@pytest.mark.parametrize("device", [LAPTOP, TABLET], ids=["laptop", "tablet"])
async def test_facts_of_a_sandbox_stay_in_their_cells(
    open_page: OpenPage, names: dict[str, str], device: dict[str, Any]
) -> None:
    page = await open_page(**device)
    await sign_in(page)
    await page.goto(f"/sandboxes/{names['running']}/")
    for cell in await page.locator(".facts > div").all():
        assert await cell.evaluate(CUT) <= 0, await cell.inner_text()


async def test_heads_stay_where_they_are_between_tabs(page: Page, names: dict[str, str]) -> None:
    await sign_in(page)
    sandbox, disk = f"/sandboxes/{names['running']}/", f"/disks/{names['disk']}/"
    for tabs in (
        (f"{sandbox}commands/", f"{sandbox}files/workspace/", f"{sandbox}settings/"),
        (f"{disk}files/", f"{disk}files/?search=", f"{disk}trash/", f"{disk}settings/"),
    ):
        places = []
        for tab in tabs:
            await page.goto(tab)
            places += await page.locator("h1, .tabs a:first-child").evaluate_all(
                "(all) => [all.map((it) => [it.getBoundingClientRect().x, it.offsetTop])]"
            )
        assert all(place == places[0] for place in places), places


async def test_phone_shows_the_current_tab(phone: Page, names: dict[str, str]) -> None:
    await sign_in(phone)
    for address in ("/settings/profile/", f"/sandboxes/{names['running']}/settings/"):
        await phone.goto(address)
        await expect(phone.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=1)


async def test_phone_reaches_projects_settings_and_admin(phone: Page) -> None:
    await sign_in(phone)
    await phone.goto("/")
    account = phone.locator("#account")
    await phone.get_by_role("button", name="Account").tap()
    await expect(account.get_by_role("menuitem", name="Settings")).to_be_in_viewport()
    await expect(account.get_by_role("menuitem", name="Admin", exact=True)).to_be_in_viewport()
    for item in await account.get_by_role("menuitem").evaluate_all(BOXES):
        assert item["height"] >= 44
    await account.get_by_role("menuitem", name="Project: default").tap()
    await expect(phone.locator("#projects")).to_be_in_viewport(ratio=1)
    await expect(account).to_be_hidden()


async def test_phone_has_the_whole_selection_bar(phone: Page, names: dict[str, str]) -> None:
    await sign_in(phone)
    await phone.goto(f"/disks/{names['disk']}/files/")
    await phone.locator("#rows .check").first.tap()
    buttons = phone.locator("#picked .btn:visible")
    await expect(buttons.last).to_have_attribute("aria-label", "Clear selection")
    for button in await buttons.all():
        await expect(button).to_be_in_viewport(ratio=1)
    assert all(min(it["width"], it["height"]) >= 44 for it in await buttons.evaluate_all(BOXES))


async def test_phone_folds_the_filters_of_activity(phone: Page) -> None:
    await sign_in(phone)
    await phone.goto("/activity/?door=api")
    await expect(phone.get_by_label("Who")).to_be_hidden()
    await phone.get_by_text("Filters (1)").tap()
    await expect(phone.get_by_label("Who")).to_be_visible()


async def test_desk_has_the_filters_of_activity_at_hand(page: Page) -> None:
    await sign_in(page)
    await page.goto("/activity/")
    await expect(page.get_by_label("Who")).to_be_visible()
    await expect(page.get_by_text("Filters")).to_be_hidden()


async def test_phone_tells_of_recent_sandboxes_what_their_list_tells(
    phone: Page, names: dict[str, str]
) -> None:
    await sign_in(phone)
    await phone.goto("/")
    await expect(phone.locator(f"#row-{names['running']} [data-until]")).to_be_visible()
    await expect(phone.locator(f"#row-{names['failed']}")).to_contain_text(
        "The engine lost its box"
    )
    await expect(phone.locator(f"#row-{names['failed']} .c-how")).to_be_in_viewport()


async def test_phone_has_no_keys_under_a_terminal_that_ended(
    phone: Page, names: dict[str, str]
) -> None:
    await sign_in(phone)
    await phone.goto(f"/sandboxes/{names['running']}/terminals/{names['terminal']}/")
    await expect(phone.get_by_role("toolbar", name="Keys")).to_be_visible()
    await phone.goto(f"/sandboxes/{names['dead']}/terminals/{names['ended']}/")
    await expect(phone.get_by_role("toolbar", name="Keys")).to_be_hidden()
    colour = "(it) => getComputedStyle(it).backgroundColor"
    assert await phone.locator(".xterm-viewport").evaluate(colour) == "rgb(11, 14, 18)"


async def test_high_contrast_tells_hints_from_values(page: Page, server: Server) -> None:
    await page.context.add_cookies([{"name": "theme", "value": "contrast", "url": server.url}])
    await sign_in(page)
    await page.goto("/activity/")
    field = page.get_by_label("Object", exact=True)
    look = "(it, part) => [getComputedStyle(it, part).color, getComputedStyle(it, part).fontStyle]"
    assert await field.evaluate(look, "::placeholder") != await field.evaluate(look, None)
    here = page.locator(".nav [aria-current]")
    assert await here.evaluate("(it) => getComputedStyle(it).outlineStyle") == "solid"


async def test_forced_colours_show_what_is_ticked_and_where_one_is(
    open_page: OpenPage, names: dict[str, str]
) -> None:
    page = await open_page(forced_colors="active")
    await sign_in(page)
    here, there = f"/disks/{names['disk']}/files/", f"/disks/{names['disk']}/settings/"
    box = page.locator("#rows .check").first
    looks = []
    for address in (here, there, "/settings/"):
        await page.goto(address)
        looks.append(
            [
                await page.locator(it).screenshot()
                for it in (".nav a[title=Disks]", ".tabs a >> nth=0")
            ]
        )
    (nav_on, tab_on), (_, tab_off), (nav_off, _) = looks
    assert nav_on != nav_off
    assert tab_on != tab_off
    await page.goto(here)
    empty = await box.screenshot()
    await box.check()
    assert await box.screenshot() != empty


async def test_one_message_stands_for_charts_of_nothing(page: Page, names: dict[str, str]) -> None:
    await sign_in(page)
    await page.goto(f"/sandboxes/{names['running']}/")
    await expect(page.locator("#usage canvas")).to_have_count(4, timeout=20_000)
    await expect(page.locator("#usage .blank")).to_be_hidden()
    await page.route("**/usage.json*", _nothing)
    await page.reload()
    await expect(page.get_by_text("Nothing was measured in this time.")).to_be_visible()
    await expect(page.locator("#usage .charts")).to_be_hidden()


async def _nothing(route: Any) -> None:
    kinds: dict[str, Any] = {kind: [] for kind in ("at", "cpu", "memory", "workspace", "processes")}
    await route.fulfill(json={"since": None, "until": None, **kinds})


async def test_link_beside_words_is_told_by_more_than_its_colour(
    page: Page, names: dict[str, str]
) -> None:
    await sign_in(page)
    await page.goto("/activity/")
    lines = page.locator("a.link").filter(has_text="brisk-heron")
    await expect(lines.first).to_have_css("text-decoration-line", "underline")
