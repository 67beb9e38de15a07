"""Journeys through home, the list of sandboxes and the page that makes one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import add_viewer
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.watch import Watch
from tests.sandboxes.conftest import Box, make_box
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser]

SLOW = 20_000


@pytest.fixture
def word() -> str:
    """A word that only this test's sandboxes have in their names."""
    return f"w{secrets.token_hex(4)}"


@pytest.fixture
def boxes(server: Server, word: str) -> Iterator[list[Box]]:
    """Three running sandboxes: `<word>-a`, `-b` and `-c`, the last one the newest."""
    made = [make_box(server, name=f"{word}-{letter}", timeout=600) for letter in "abc"]
    yield made
    for box in made:
        box.request("DELETE")


def rows(page: Page) -> Locator:
    return page.locator("#list tbody tr")


def row_of(page: Page, box: Box) -> Locator:
    return page.locator(f"#row-{box.id}")


async def show(page: Page, query: str) -> None:
    await page.goto(f"/sandboxes/?{query}")
    await expect(page.locator("html[data-live=live]")).to_have_count(1)


async def names(page: Page) -> list[str]:
    return await page.locator("#list tbody .c-name a").all_inner_texts()


# --- A new one ------------------------------------------------------------------------------


async def test_a_sandbox_is_made_in_the_browser(page: Page, server: Server, word: str) -> None:
    await sign_in(page)
    await page.get_by_role("link", name="New sandbox").first.click()
    await expect(page.get_by_label("Name", exact=True)).to_have_value(re.compile(r"^\w+-\w+$"))

    await page.get_by_label("Name", exact=True).fill(word)
    await page.get_by_role("radio", name="Small").check()
    await page.get_by_role("radio", name="1 hour").check()
    await page.get_by_label("Name of a variable").fill("GREETING")
    await page.get_by_label("Value of the variable").fill("hello")
    call = page.locator("#call-curl")
    await expect(call).to_contain_text(f'"name": "{word}"')
    await expect(call).to_contain_text('"GREETING": "hello"')
    await expect(page.locator("#outcome")).to_contain_text("512 MB")
    await page.get_by_role("button", name="Create sandbox").click()

    await page.wait_for_url(re.compile(r"/sandboxes/[0-9a-f-]{36}/$"), timeout=SLOW)
    await expect(page.get_by_role("heading", name=word)).to_be_visible()
    box = Box(server, page.url.rstrip("/").rpartition("/")[2])
    assert box.run("echo $GREETING")["stdout"] == "hello\n"
    assert box.data("GET")["timeout"] == 3600
    box.request("DELETE")


async def test_what_is_wrong_stands_at_its_field(page: Page, watch: Watch) -> None:
    watch.allow("422")
    await sign_in(page)
    await page.goto("/sandboxes/new/")
    await expect(page.get_by_label("CPUs", exact=True)).to_be_hidden()

    await page.get_by_role("radio", name="Custom").first.check()
    await page.get_by_label("CPUs", exact=True).fill("99")
    await expect(page.locator("#outcome")).to_contain_text("when the form is complete")
    # Nothing is wrong with a field before it was left.
    errors = page.locator(".error:visible")
    await expect(errors).to_have_count(0)
    await page.keyboard.press("Tab")
    await expect(errors).to_contain_text("At most")
    await expect(page.get_by_role("button", name="Create sandbox")).to_be_in_viewport()
    await page.get_by_role("button", name="Create sandbox").click()

    await expect(page.get_by_label("CPUs", exact=True)).to_be_focused()
    await expect(errors).to_contain_text("At most")
    await expect(page.get_by_label("CPUs", exact=True)).to_have_value("99")
    await assert_accessible(page)


async def test_rows_of_variables_come_and_go(page: Page) -> None:
    await sign_in(page)
    await page.goto("/sandboxes/new/")
    variables = page.get_by_label("Name of a variable")
    await expect(variables).to_have_count(1)

    await page.get_by_role("button", name="Add a variable").click()
    await expect(variables).to_have_count(2)
    await expect(variables.nth(1)).to_be_focused()
    await page.keyboard.type("SECOND")
    await expect(page.locator("#call-curl")).to_contain_text("SECOND")
    await page.get_by_role("button", name="Remove this variable").nth(1).click()

    await expect(variables).to_have_count(1)
    await expect(page.locator("#call-curl")).not_to_contain_text("SECOND")


async def test_form_works_without_scripts(open_page: OpenPage, server: Server, word: str) -> None:
    page = await open_page(java_script_enabled=False)
    await sign_in(page)
    await page.goto("/sandboxes/new/")
    await expect(page.get_by_label("Name of a variable")).to_have_count(3)
    await page.get_by_label("Name", exact=True).fill(word)
    await page.get_by_role("button", name="Create sandbox").click()
    await expect(page.get_by_role("heading", name=word)).to_be_visible(timeout=SLOW)

    await page.goto(f"/sandboxes/?q={word}")
    await page.locator("#list tbody .check").check()
    await page.locator("#bulk").get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("heading", name=f"Stop {word}?")).to_be_visible()
    await page.get_by_role("button", name="Stop").click()
    await page.goto(f"/sandboxes/?q={word}&state=stopped")
    assert await names(page) == [word]


# --- The list -------------------------------------------------------------------------------


async def test_filter_and_order_live_in_the_address(
    page: Page, boxes: list[Box], word: str
) -> None:
    boxes[0].request("DELETE")
    await sign_in(page)
    await show(page, "")

    await page.get_by_role("searchbox").fill(word)
    await expect(rows(page)).to_have_count(3)
    await page.get_by_role("button", name="State").click()
    await page.get_by_role("menuitemradio", name="Running").click()
    await expect(rows(page)).to_have_count(2)
    await page.get_by_role("link", name="Name", exact=True).click()
    await page.wait_for_url("**sort=name**")

    assert await names(page) == [f"{word}-b", f"{word}-c"]
    await page.reload()
    assert await names(page) == [f"{word}-b", f"{word}-c"]
    await expect(page.get_by_role("searchbox")).to_have_value(word)
    await expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Name")
    await page.get_by_role("link", name="Remove the filter State").click()
    await expect(rows(page)).to_have_count(3)
    await expect(row_of(page, boxes[0])).to_contain_text("Stopped by")
    await page.get_by_role("searchbox").fill(f"{word}-none")
    await expect(page.get_by_role("heading", name="No sandbox matches")).to_be_visible()


async def test_rows_follow_what_happens(page: Page, boxes: list[Box], word: str) -> None:
    await sign_in(page)
    await show(page, f"q={word}")

    boxes[0].run("exit 7")
    await expect(row_of(page, boxes[0]).locator(".c-last")).to_contain_text("7")
    boxes[0].data("POST", "/pause")
    await expect(row_of(page, boxes[0]).locator(".state")).to_have_text("Paused")
    boxes[0].request("DELETE")
    await expect(row_of(page, boxes[0]).locator(".state")).to_have_text("Stopped")
    # Samples come by themselves, and the line grows.
    await expect(row_of(page, boxes[1]).locator(".c-mem meter")).to_have_count(1, timeout=40_000)


async def test_order_is_held_under_the_pointer(
    page: Page, server: Server, boxes: list[Box], word: str
) -> None:
    await sign_in(page)
    await show(page, f"q={word}")
    await row_of(page, boxes[1]).hover()
    late = make_box(server, name=f"{word}-d")
    late.data("POST", "/pause")
    boxes[2].data("POST", "/pause")
    await expect(row_of(page, boxes[2]).locator(".state")).to_have_text("Paused")
    assert await names(page) == [f"{word}-{letter}" for letter in "cba"]

    await page.mouse.move(10, 500)
    boxes[1].data("POST", "/pause")
    await expect(row_of(page, late)).to_be_visible()
    late.request("DELETE")


async def test_several_are_stopped_at_once(page: Page, boxes: list[Box], word: str) -> None:
    await sign_in(page)
    await show(page, f"q={word}")
    bar = page.locator("#bulk")
    await expect(bar).to_be_hidden()

    await row_of(page, boxes[2]).get_by_role("checkbox").click()
    await row_of(page, boxes[0]).get_by_role("checkbox").click(modifiers=["Shift"])
    await expect(page.locator("#selected")).to_have_text("3 selected")
    await assert_accessible(page)
    await row_of(page, boxes[1]).get_by_role("checkbox").click()
    # One of them ends before we come to it.
    boxes[0].request("DELETE")
    await expect(row_of(page, boxes[0]).locator(".state")).to_have_text("Stopped")
    await expect(page.locator("#selected")).to_have_text("2 selected")
    await bar.get_by_role("button", name="Stop").click()
    dialog = page.locator("#confirm")
    await expect(dialog).to_contain_text("Stop 2 sandboxes?")
    await expect(dialog).to_contain_text("Their files and processes are lost")
    await dialog.get_by_role("button", name="Stop").click()

    await expect(page.get_by_role("alert").first).to_contain_text(
        f"1 stopped, 1 failed: {word}-a: it had ended already."
    )
    await expect(row_of(page, boxes[2]).locator(".state")).to_have_text("Stopped")
    await expect(row_of(page, boxes[1]).locator(".state")).to_have_text("Running")
    await expect(bar).to_be_hidden()


async def test_the_menu_of_a_row_acts_on_it(page: Page, boxes: list[Box], word: str) -> None:
    await sign_in(page)
    await show(page, f"q={word}")
    more = row_of(page, boxes[1]).get_by_role("button", name="More")

    await more.click()
    await page.get_by_role("menuitem", name="Pause").click()
    await expect(row_of(page, boxes[1]).locator(".state")).to_have_text("Paused")
    await more.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("menuitem", name="Pause")).to_be_hidden()
    await expect(page.get_by_role("menuitem", name="Commands")).to_be_focused()
    await page.keyboard.press("End")
    await expect(page.get_by_role("menuitem", name="Stop…")).to_be_focused()
    await page.get_by_role("menuitem", name="Resume").press("Enter")
    await expect(row_of(page, boxes[1]).locator(".state")).to_have_text("Running")
    await more.click()
    await page.get_by_role("menuitem", name="Extend by 1 hour").click()
    await expect(row_of(page, boxes[1]).locator(".c-left")).to_contain_text("1 h")
    await more.click()
    await page.get_by_role("menuitem", name="New like this").click()
    await page.wait_for_url(f"**/sandboxes/new/?like={boxes[1].id}")


async def test_viewer_sees_and_cannot_touch(
    page: Page, server: Server, boxes: list[Box], word: str, watch: Watch
) -> None:
    watch.allow("403")
    await sign_in(page, *add_viewer(server))
    await show(page, f"q={word}")

    await expect(rows(page)).to_have_count(3)
    await expect(page.get_by_role("checkbox")).to_have_count(0)
    await expect(page.get_by_role("link", name="New sandbox")).to_have_count(0)
    await expect(page.locator("#list").get_by_role("button", name="Stop")).to_have_count(0)
    boxes[0].data("POST", "/pause")
    await expect(row_of(page, boxes[0]).locator(".state")).to_have_text("Paused")
    await page.goto("/sandboxes/new/")
    await expect(page.get_by_text("ask an owner of the project")).to_be_visible()


async def test_everybody_can_use_the_pages(page: Page, phone: Page, boxes: list[Box]) -> None:
    for view in (page, phone):
        await sign_in(view)
        for address in ("/", "/sandboxes/", "/sandboxes/new/"):
            await view.goto(address)
            await assert_accessible(view)
            wide = await view.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{address} scrolls sideways"


async def test_the_list_says_that_it_is_old(
    page: Page, boxes: list[Box], word: str, watch: Watch
) -> None:
    watch.allow("503")
    await sign_in(page)
    await show(page, f"q={word}")
    await page.route("**/sandboxes/?*part=*", lambda route: route.fulfill(status=503, body="no"))
    boxes[0].data("POST", "/pause")

    await expect(page.locator(".stale")).to_contain_text("What you see was true")
    await expect(rows(page)).to_have_count(3)
    await page.unroute("**/sandboxes/?*part=*")
    await page.locator(".stale").get_by_role("button", name="Look now").click()
    await expect(page.locator(".stale")).to_be_hidden()
    await expect(row_of(page, boxes[0]).locator(".state")).to_have_text("Paused")
