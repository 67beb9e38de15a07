"""Journeys in a terminal, in a real browser, on a real server and engine."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import add_viewer
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.watch import Watch
from tests.browser.wire import wire_to
from tests.sandboxes.conftest import Box, make_box
from tests.sandboxes.sockets import Browser
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser]


@pytest.fixture
def box(server: Server) -> Iterator[Box]:
    made = make_box(server, name="calm-otter")
    yield made
    made.request("DELETE")


# A paste as a browser makes it, without its clipboard.
PASTE = """(field, text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  field.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
}"""
# How many pixels of the last row cannot be seen.
OVERFLOW = """() => {
  const bottom = (name) => document.querySelector(name).getBoundingClientRect().bottom;
  return Math.round(bottom(".xterm-screen") - bottom(".term"));
}"""


def rows(page: Page) -> Locator:
    return page.locator(".xterm-rows")


async def open_terminal(page: Page, box: Box, base: str = "") -> None:
    await page.goto(f"{base}/sandboxes/{box.id}/")
    await page.get_by_role("link", name="Terminal").first.click()
    await expect(rows(page)).to_contain_text("/workspace$", timeout=20_000)


async def run(page: Page, line: str, says: str) -> None:
    await page.keyboard.type(f"{line}\n")
    await expect(rows(page)).to_contain_text(says, timeout=15_000)


async def text_of(page: Page) -> str:
    return (await rows(page).inner_text()).replace("\xa0", " ")


async def test_first_run_leads_to_a_shell_prompt(
    open_page: OpenPage, watch: Watch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = Server(tmp_path_factory.mktemp("first"))
    await asyncio.to_thread(server.start)
    try:
        watch.host = urlsplit(server.url).netloc
        page = await open_page(base_url=server.url)
        await page.goto("/")
        await sign_in(page)
        await expect(page).to_have_url(re.compile("/welcome/$"))
        await page.get_by_role("link", name="Sandbank, home").click()
        await page.get_by_role("link", name="New sandbox").first.click()
        await page.get_by_role("button", name="Create sandbox").click()
        await page.wait_for_url(re.compile(r"/sandboxes/[0-9a-f-]{36}/$"), timeout=60_000)
        await page.get_by_role("link", name="Terminal").first.click()
        await expect(rows(page)).to_contain_text("/workspace$", timeout=20_000)
        await run(page, "whoami", "sandbox")
        # Its sockets are closed before there is no server any more.
        await page.goto("about:blank")
    finally:
        await asyncio.to_thread(server.end_sandboxes)
        await asyncio.to_thread(server.stop)


async def test_one_click_to_a_shell_and_everybody_can_use_it(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await run(page, "echo mark-$((6*7))", "mark-42")
    await expect(page.locator('[data-status="state"]')).to_have_text("Connected")
    await assert_accessible(page)


async def test_nothing_is_lost_and_nothing_doubled(
    open_page: OpenPage, server: Server, box: Box, watch: Watch
) -> None:
    async with wire_to(server.port) as wire:
        watch.host = urlsplit(wire.url).netloc
        watch.allow("ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|WebSocket|Failed to fetch|503")
        page = await open_page(base_url=wire.url)
        await sign_in(page)
        await open_terminal(page, box, wire.url)
        await run(page, 'i=0; count() { i=$((i+1)); echo "[count $i]"; }; count', "[count 1]")

        await page.reload()
        await expect(rows(page)).to_contain_text("[count 1]", timeout=20_000)
        await run(page, "count", "[count 2]")

        wire.cut()
        await expect(page.locator('[data-banner="lost"]')).to_be_visible()
        await expect(page.locator('[data-status="retry"]')).to_contain_text("Retrying in")
        await page.keyboard.type("lost keys\n")
        wire.mend()
        await page.get_by_role("button", name="Retry now").first.click()
        await expect(page.locator('[data-status="state"]')).to_have_text(
            "Connected", timeout=30_000
        )
        await run(page, "count", "[count 3]")

        server.kill()
        await expect(page.locator('[data-banner="lost"]')).to_be_visible()
        await asyncio.to_thread(server.start)
        await expect(page.locator('[data-status="state"]')).to_have_text(
            "Connected", timeout=30_000
        )
        await run(page, "count", "[count 4]")

        said = await text_of(page)
        assert re.findall(r"\[count (\d)\]", said) == ["1", "2", "3", "4"]
        assert "lost keys" not in said


async def test_interrupt_is_quick_under_a_flood(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await run(page, "yes 0123456789abcdefghijklmnopqrstuvwxyz", "wxyz0123")
    await asyncio.sleep(3)
    began = time.monotonic()
    await page.keyboard.press("Control+c")
    await expect(rows(page)).to_contain_text("^C", timeout=5_000)
    took = time.monotonic() - began
    await run(page, "echo al''ive", "alive")
    assert took < 1, f"Ctrl-C took {took:.2f} s"


async def test_long_paste_arrives_whole(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await run(
        page, "stty -echo -icanon; echo ready''-; head -c 200000 | sha256sum; stty sane", "ready-"
    )
    await page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "012345678\\n".repeat(20000));
          document.querySelector(".term").dispatchEvent(
            new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
        }"""
    )
    # A program that takes each line as typed is protected: the paste is shown first.
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Paste 20,000 lines, 200,000 characters?")
    await expect(dialog.locator("pre")).to_contain_text("012345678\n012345678\n")
    await dialog.get_by_role("button", name="Paste").click()
    digest = hashlib.sha256(b"012345678\n" * 20000).hexdigest()
    await expect(rows(page)).to_contain_text(digest[:60], timeout=30_000)


async def test_two_people_share_a_terminal(open_page: OpenPage, box: Box) -> None:
    first, second = await open_page(), await open_page()
    await sign_in(first)
    await sign_in(second)
    await open_terminal(first, box)
    await run(first, "echo fi''rst", "first")
    await second.goto(urlsplit(first.url).path)
    await expect(rows(second)).to_contain_text("first", timeout=20_000)
    await expect(second.locator('[data-banner="driver"]')).to_contain_text("admin is typing here")
    await second.locator(".xterm").click()
    await second.keyboard.type("echo ig''nored\n")
    await second.get_by_role("button", name="Take over").click()
    await run(second, "echo se''cond", "second")
    await expect(rows(first)).to_contain_text("second")
    await expect(first.locator('[data-banner="driver"]')).to_be_visible()
    assert "ignored" not in (await text_of(first)).replace("ig''nored", "")


async def test_terminals_that_others_open_and_name_are_shown(
    page: Page, server: Server, box: Box
) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await run(page, "echo st''ill", "still")
    tabs = page.locator(".term-tabs a")
    await expect(tabs).to_have_count(1)
    with Browser(server) as other:
        url = other.post(f"/sandboxes/{box.id}/terminals/open/", name="build").json()["url"]
        await expect(tabs).to_have_text([re.compile("shell"), re.compile("build")], timeout=15_000)
        other.post(f"{url}rename/", name="tests").raise_for_status()
        await expect(tabs.last).to_have_text(re.compile("tests"), timeout=15_000)
    # The terminal itself was not touched.
    await run(page, "echo he''re", "here")
    await expect(rows(page)).to_contain_text("still")


async def test_viewer_watches_and_cannot_type(
    open_page: OpenPage, server: Server, box: Box
) -> None:
    name, password = add_viewer(server)
    owner, viewer = await open_page(), await open_page()
    await sign_in(owner)
    await open_terminal(owner, box)
    await sign_in(viewer, name, password)
    await viewer.goto(urlsplit(owner.url).path)
    await expect(viewer.locator('[data-banner="readonly"]')).to_be_visible()
    await run(owner, "echo se''en", "seen")
    await expect(rows(viewer)).to_contain_text("seen")
    await viewer.locator(".xterm").click()
    await viewer.keyboard.type("echo in''truder\n")
    await run(owner, "echo do''ne", "done")
    assert "intruder" not in (await text_of(owner)).replace("in''truder", "")
    await expect(viewer.get_by_role("button", name="New", exact=True)).to_have_count(0)
    await expect(viewer.locator(".term-keys")).to_have_count(0)


async def test_end_of_shell_and_of_sandbox_are_said(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await page.keyboard.type("exit 3\n")
    await expect(page.locator('[data-banner="end"]')).to_contain_text("The shell ended with code 3")
    await page.get_by_role("button", name="Start a new shell").click()
    await expect(rows(page)).to_contain_text("/workspace$", timeout=20_000)
    box.request("DELETE")
    end = page.locator('[data-banner="end"]')
    await expect(end).to_contain_text("The sandbox has ended: stopped by", timeout=15_000)
    # What only a living one has is gone: its time left, and a new terminal.
    await expect(page.locator("[data-while-alive]")).to_have_count(0)
    await expect(end.get_by_role("link", name="New like this")).to_be_visible()
    # Whoever comes later sees an empty screen, and is told why.
    await page.reload()
    await expect(end).to_contain_text("What it showed is gone: it was not recorded")


async def test_a_recording_is_played_with_its_controls_in_sight(
    page: Page, server: Server, box: Box
) -> None:
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/settings/")
    await page.get_by_label("Record terminals").check()
    section = page.locator("form", has=page.get_by_label("Record terminals"))
    await section.get_by_role("button", name="Save").click()
    await open_terminal(page, box)
    await run(page, "printf '\\033[31mr''ed\\033[0m\\n'; seq 60; echo la''st", "last")
    await page.goto(f"{page.url}recording/")
    again = page.get_by_role("link", name="look again")
    # What was shown just now is not written down yet.
    for _ in range(20):
        if not await again.count():
            break
        await page.wait_for_timeout(500)
        await again.click()
    player = page.locator(".player")
    await expect(rows(page)).to_contain_text("last", timeout=20_000)
    bar = await player.locator(".player-bar").bounding_box()
    height = await page.evaluate("() => innerHeight")
    assert bar is not None
    assert bar["y"] + bar["height"] <= height
    await assert_accessible(page)
    # Back to the start: what came later is gone, and comes again.
    await player.get_by_role("slider", name="Position").fill("0")
    await expect(rows(page)).not_to_contain_text("last")
    await player.get_by_role("button", name="Play", exact=True).click()
    await expect(rows(page)).to_contain_text("last", timeout=20_000)


async def test_keyboard_leads_out_of_the_terminal(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    inside = "() => document.activeElement.closest('.term .xterm') !== null"
    await page.keyboard.press("Tab")
    assert await page.evaluate(inside)
    for key in ("Escape", "Escape", "Tab"):
        await page.keyboard.press(key)
    assert not await page.evaluate(inside)


async def test_what_a_box_writes_runs_nothing(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    attack = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"
    await run(page, f"printf '\\033]0;{attack}\\007{attack}\\n'; echo do''ne", "done")
    await expect(page.locator('[data-status="title"]')).to_contain_text("<img")
    await run(page, "printf '\\033]8;;javascript:window.hit=1\\007click\\033]8;;\\007\\n'", "click")
    assert await page.evaluate("() => window.hit") is None


async def test_questions_in_the_past_are_not_answered_again(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await run(page, "printf '\\033[c\\033[6n'; sleep 0.3; echo; echo as''ked", "asked")
    await page.keyboard.press("Control+c")
    await page.reload()
    await expect(rows(page)).to_contain_text("asked", timeout=20_000)
    await run(page, "echo al''ive", "alive")
    assert (await text_of(page)).rstrip().endswith("$")


async def test_keys_are_taken_while_the_past_is_drawn(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    long = "x" * 200
    await page.keyboard.type(f"yes {long}\n")
    await expect(rows(page)).to_contain_text(long[:80])
    await page.reload()
    # As soon as it is open there is the whole past to draw still, and more comes all the time.
    await expect(page.locator('[data-status="state"]')).to_have_text("Connected")
    await page.keyboard.press("Control+c")
    await page.keyboard.type("echo st''opped\n")
    await expect(rows(page)).to_contain_text("stopped", timeout=20_000)


async def test_who_watches_a_larger_terminal_sees_where_the_cursor_is(
    open_page: OpenPage, box: Box
) -> None:
    first = await open_page()
    second = await open_page(viewport={"width": 1000, "height": 500})
    for page in (first, second):
        await sign_in(page)
    await open_terminal(first, box)
    await run(first, "seq 500; echo do''ne", "done")
    await second.goto(urlsplit(first.url).path)
    await expect(second.locator('[data-banner="driver"]')).to_be_visible()
    await expect(rows(second)).to_contain_text("done", timeout=20_000)
    place = second.locator(".term")
    cursor = second.locator(".xterm-cursor")
    within = "([cursor, place]) => cursor.getBoundingClientRect().bottom <= place.getBoundingClientRect().bottom"

    async def is_seen() -> bool:
        parts = [await cursor.element_handle(), await place.element_handle()]
        return bool(await second.evaluate(within, parts))

    assert await is_seen()
    before = await place.evaluate("(it) => it.scrollTop")
    assert before > 0
    # Nothing is typed here, and nothing scrolls for it.
    await second.keyboard.press("Space")
    assert await place.evaluate("(it) => it.scrollTop") == before
    await run(first, "seq 300; echo ag''ain", "again")
    await expect(rows(second)).to_contain_text("again", timeout=20_000)
    assert await is_seen()
    await run(first, "clear; echo to''p", "top")
    await expect(rows(second)).to_contain_text("top", timeout=20_000)
    await expect(place).to_have_js_property("scrollTop", 0)
    await run(first, "seq 300; echo bo''ttom", "bottom")
    await expect(rows(second)).to_contain_text("bottom", timeout=20_000)
    # Who scrolls away stays there, and is led back by scrolling back.
    await place.evaluate("(it) => it.scrollTo(0, 0)")
    await run(first, "echo mo''re", "more")
    await expect(rows(second)).to_contain_text("more")
    assert await place.evaluate("(it) => it.scrollTop") == 0


async def test_search_finds_in_the_past(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await run(page, "for n in 1 2 3; do echo needle $n; done", "needle 3")
    await page.keyboard.press("Control+Shift+F")
    await page.get_by_label("Search the terminal").fill("needle ")
    await expect(page.locator("[data-count]")).to_have_text(re.compile(r"\d of 4"))
    await page.keyboard.press("Escape")
    await expect(page.locator(".term-find")).to_be_hidden()


async def test_what_is_pasted_into_the_search_stays_there(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await page.keyboard.press("Control+Shift+F")
    field = page.get_by_label("Search the terminal")
    await field.evaluate(PASTE, "touch stray")
    await page.keyboard.press("Escape")
    await run(page, "echo do''ne", "done")
    assert "stray" not in await text_of(page)


async def test_every_row_can_be_seen(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    for height in (900, 800, 768, 701):
        await page.set_viewport_size({"width": 1200, "height": height})
        await run(page, f"echo at {height}", f"at {height}")
        assert await page.evaluate(OVERFLOW) <= 0, height
    box.request("DELETE")
    await expect(page.locator('[data-banner="end"]')).to_be_visible(timeout=15_000)
    await page.wait_for_timeout(300)
    assert await page.evaluate(OVERFLOW) <= 0


async def test_a_paused_sandbox_is_resumed_from_its_terminal(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    await run(page, "echo be''fore", "before")
    box.request("POST", "/pause")
    banner = page.locator('[data-banner="paused"]')
    await expect(banner).to_contain_text("The sandbox is paused")
    await assert_accessible(page)
    await banner.get_by_role("button", name="Resume").click()
    await expect(banner).to_be_hidden()
    await expect(page.locator('[data-status="state"]')).to_have_text("Connected")
    await page.locator(".xterm").click()
    await run(page, "echo af''ter", "after")
    assert (await text_of(page)).count("before\n") == 1


async def test_time_is_extended_from_the_terminal(page: Page, box: Box) -> None:
    await sign_in(page)
    await open_terminal(page, box)
    left = page.locator("#time-left")
    await left.get_by_role("button", name="Extend").click()
    await page.get_by_role("menuitem", name="By 4 hours").click()
    await expect(left).to_contain_text("4 h")


async def test_phone_has_the_keys_it_lacks(phone: Page, box: Box) -> None:
    await sign_in(phone)
    await open_terminal(phone, box)
    keys = phone.get_by_role("toolbar", name="Keys")
    await phone.keyboard.type("sleep 1000\n")
    await keys.get_by_role("button", name="Ctrl and C").tap()
    await expect(rows(phone)).to_contain_text("^C")
    await keys.get_by_role("button", name="Up", exact=True).tap()
    await expect(rows(phone)).to_contain_text(re.compile(r"\^C[\s\S]*sleep 1000"))
    await assert_accessible(phone)
