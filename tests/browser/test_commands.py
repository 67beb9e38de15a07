"""Journeys on the commands tab, in a real browser, on a real server and engine."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import add_viewer
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.watch import Watch
from tests.sandboxes.conftest import Box, make_box
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser]

XSS = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "\"'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}{% now 'Y' %}",
)


@pytest.fixture
def box(server: Server) -> Iterator[Box]:
    made = make_box(server, name="calm-otter")
    yield made
    made.request("DELETE")


@pytest_asyncio.fixture(loop_scope="session")
async def tab(page: Page, box: Box) -> Page:
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/commands/")
    return page


def output(page: Page) -> Locator:
    return page.get_by_role("region", name="Output")


def badge(page: Page) -> Locator:
    """How the opened command ended."""
    return page.locator("tr[data-open] .badge")


async def run(page: Page, command: str) -> None:
    composer = page.get_by_role("textbox", name="Command")
    await composer.fill(command)
    await composer.press("Control+Enter")
    await expect(page.locator("tr[data-open] .cmd")).to_contain_text(command.splitlines()[0][:30])


async def test_output_is_live_and_coloured(tab: Page) -> None:
    await run(tab, r"printf '\e[31mred\e[0m plain\n'; sleep 3; echo oops >&2; exit 3")
    await expect(output(tab)).to_contain_text("red plain")
    await expect(badge(tab)).to_have_text("Running")
    red = tab.locator(".ansi span.a-fg1")
    await expect(red).to_have_text("red")
    colour = await red.evaluate("(span) => getComputedStyle(span).color")
    assert colour == "rgb(255, 143, 133)"
    await expect(output(tab)).to_contain_text("oops", timeout=10_000)
    await expect(badge(tab)).to_have_text("3")
    await expect(tab.locator("[data-outcome]")).to_contain_text("exit 3")
    await assert_accessible(tab)
    # The address brings it back, from the history.
    await tab.reload()
    await expect(tab.locator(".ansi span.a-fg1")).to_have_text("red")
    await expect(output(tab)).to_contain_text("oops")
    await expect(tab.get_by_role("textbox", name="Command")).to_have_value("")


async def test_a_command_runs_once_however_often_the_keys_are_pressed(tab: Page, box: Box) -> None:
    composer = tab.get_by_role("textbox", name="Command")
    await composer.fill("echo x >> count.txt")
    # The second and third come before any answer, the last ones from a key that is held down.
    await composer.evaluate(
        """(it) => { for (const repeat of [false, false, false, true, true])
          it.dispatchEvent(new KeyboardEvent("keydown",
            {key: "Enter", ctrlKey: true, repeat, bubbles: true, cancelable: true})) }"""
    )
    await expect(badge(tab)).to_have_text("0")
    await tab.reload()
    assert box.run("wc -l < count.txt")["stdout"].strip() == "1"


async def test_a_running_command_is_killed(tab: Page) -> None:
    await run(tab, "echo begun; sleep 300")
    await expect(output(tab)).to_contain_text("begun")
    await tab.get_by_role("button", name="Kill").click()
    await expect(badge(tab)).to_have_text("Killed")
    await expect(tab.locator("[data-outcome]")).to_contain_text("killed by admin")
    await expect(tab.get_by_role("button", name="Kill")).to_have_count(0)


async def test_a_command_is_run_again(tab: Page, box: Box) -> None:
    await run(tab, "date +%N; true")
    await expect(badge(tab)).to_have_text("0")
    first = tab.url
    await tab.locator("tr[data-open]").get_by_role("button", name="Run again").click()
    await expect(tab.locator("tbody tr[id^=run]")).to_have_count(2)
    assert tab.url != first
    await expect(badge(tab)).to_have_text("0")
    # Back to the first, and forward again.
    await tab.go_back()
    await expect(tab.locator(f"#run-{first.split('open=')[1]}[data-open]")).to_be_visible()


async def test_it_goes_on_without_a_page_and_is_found_by_another(tab: Page) -> None:
    await run(tab, "for i in $(seq 100); do echo line-$i; sleep 0.1; done")
    await expect(output(tab)).to_contain_text("line-3")
    address = tab.url
    await tab.goto("/")
    await tab.goto(address)
    await expect(output(tab)).to_contain_text("line-1\n")
    await expect(output(tab)).to_contain_text("line-30")
    await expect(badge(tab)).to_have_text("Running")
    text = await output(tab).inner_text()
    lines = [line for line in text.splitlines() if line.startswith("line-")]
    assert lines == [f"line-{n + 1}" for n in range(len(lines))]


async def test_what_runs_survives_the_server(server: Server, tab: Page, watch: Watch) -> None:
    watch.allow("WebSocket|ERR_CONNECTION|Failed to (load|fetch)|503")
    await run(tab, "for i in $(seq 150); do echo line-$i; sleep 0.1; done; echo over")
    await expect(output(tab)).to_contain_text("line-3")
    server.restart()
    await expect(output(tab)).to_contain_text("over", timeout=45_000)
    await expect(badge(tab)).to_have_text("0", timeout=10_000)
    text = await output(tab).inner_text()
    lines = [line for line in text.splitlines() if line.startswith("line-")]
    assert lines == [f"line-{n + 1}" for n in range(150)]


async def test_a_flood_neither_drowns_the_page_nor_is_held_up_by_it(tab: Page, box: Box) -> None:
    await run(tab, "yes | head -c 60000000; echo; echo over")
    # Its whole text, asked for again and again, would be the flood.
    await expect(tab.locator("[data-lines] > div:nth-last-child(2)")).to_have_text(
        "over", timeout=40_000
    )
    await expect(badge(tab)).to_have_text("0")
    assert await tab.locator("[data-lines] > div").count() <= 5001
    began = time.monotonic()
    await run(tab, "yes")
    await expect(output(tab)).to_contain_text("y")
    await tab.get_by_role("button", name="Kill").click()
    await expect(badge(tab)).to_have_text("Killed")
    assert time.monotonic() - began < 15


async def test_following_pauses_when_scrolled_up(tab: Page) -> None:
    await run(tab, "seq 300; sleep 2; seq 301 305; sleep 20")
    await expect(output(tab)).to_contain_text("300")
    await output(tab).evaluate("(box) => { box.scrollTop = 0; }")
    newer = tab.get_by_role("button", name="new lines")
    await expect(newer).to_have_text("5 new lines ↓")
    assert await output(tab).evaluate("(box) => box.scrollTop") == 0
    await newer.click()
    await expect(newer).to_be_hidden()
    assert await output(tab).evaluate(
        "(box) => box.scrollHeight - box.scrollTop - box.clientHeight < 12"
    )


async def test_output_is_searched_wrapped_and_downloaded(tab: Page) -> None:
    await run(tab, r"seq 500; printf 'nee\e[31mdle\e[0m\n'; seq 3")
    await expect(badge(tab)).to_have_text("0")
    await tab.get_by_role("button", name="Search output").click()
    find = tab.get_by_role("searchbox", name="Find in output")
    await find.fill("50")
    await expect(tab.locator("[data-find] .n")).to_have_text("1 of 6")
    await find.press("Enter")
    await expect(tab.locator("[data-find] .n")).to_have_text("2 of 6")
    await find.press("Shift+Enter")
    await find.press("Shift+Enter")
    await expect(tab.locator("[data-find] .n")).to_have_text("6 of 6")
    # Also where it changes its colour in the middle.
    await find.fill("NEEDLE")
    await expect(tab.locator("[data-find] .n")).to_have_text("1 of 1")
    await find.press("Escape")
    await expect(find).to_be_hidden()
    wrap = tab.get_by_role("button", name="Wrap lines")
    await wrap.click()
    await expect(wrap).to_have_attribute("aria-pressed", "true")
    async with tab.expect_download() as downloading:
        await tab.get_by_role("link", name="Download output").click()
    path = await (await downloading.value).path()
    assert path.read_text().startswith("1\n2\n3\n")


async def test_own_commands_come_back_with_the_key_up(tab: Page) -> None:
    for command in ("echo one", "echo two\necho three"):
        await run(tab, command)
        await expect(badge(tab)).to_have_text("0")
    composer = tab.get_by_role("textbox", name="Command")
    await composer.fill("draft")
    await composer.press("ArrowUp")
    await expect(composer).to_have_value("echo two\necho three")
    # In the last of two lines the key goes to the line above.
    await composer.press("ArrowUp")
    await expect(composer).to_have_value("echo two\necho three")
    await composer.press("ArrowUp")
    await expect(composer).to_have_value("echo one")
    await composer.press("ArrowDown")
    await composer.press("ArrowDown")
    await expect(composer).to_have_value("draft")


async def test_a_command_in_the_address_does_not_run(tab: Page, box: Box) -> None:
    await tab.goto(f"/sandboxes/{box.id}/commands/?command=echo+gotcha")
    await expect(tab.get_by_role("textbox", name="Command")).to_have_value("echo gotcha")
    await expect(tab.get_by_text("It has not run.")).to_be_visible()
    await expect(tab.get_by_text("No commands yet")).to_be_visible()


async def test_hostile_output_runs_nothing(tab: Page, box: Box) -> None:
    dialogs: list[str] = []
    tab.on("dialog", lambda dialog: dialogs.append(dialog.message))
    everything = "\n".join(
        (*XSS, "\x1b]0;</title><script>alert(1)</script>\x07\x1b[999999;999999H")
    )
    box.request("PATCH", "", json={"name": XSS[0], "labels": {"note": XSS[0]}})
    box.run(f"cat <<'END'\n{everything}\nEND", cwd="/workspace")
    await run(tab, f"cat <<'END'\n{everything}\nEND")
    await expect(output(tab)).to_contain_text("<svg onload")
    await tab.reload()
    await expect(output(tab)).to_contain_text("<script>alert(1)</script>")
    await tab.goto(f"/sandboxes/{box.id}/")
    await expect(tab.get_by_role("heading", level=1)).to_have_text(XSS[0])
    await tab.goto(f"/sandboxes/{box.id}/settings/")
    await expect(tab.get_by_role("textbox", name="Labels")).to_have_value(f"note={XSS[0]}")
    assert dialogs == []


async def test_commands_of_the_api_appear_by_themselves(tab: Page, box: Box) -> None:
    await expect(tab.get_by_text("No commands yet")).to_be_visible()
    box.run("echo from the api")
    link = tab.get_by_role("link", name="echo from the api")
    await expect(link).to_be_visible(timeout=5_000)
    await link.click()
    await expect(output(tab)).to_contain_text("from the api")
    await expect(tab.locator("tr[data-open]")).to_contain_text("· API")


async def test_what_cannot_start_says_why(tab: Page, watch: Watch) -> None:
    watch.allow("400")
    await tab.get_by_label("Folder").fill("/nowhere")
    composer = tab.get_by_role("textbox", name="Command")
    await composer.fill("ls")
    await composer.press("Control+Enter")
    await expect(tab.get_by_role("alert")).to_contain_text("/nowhere")
    await expect(composer).to_have_value("ls")


async def test_a_viewer_watches_and_has_nothing_to_press(
    server: Server, tab: Page, box: Box, open_page: OpenPage
) -> None:
    await run(tab, "for i in $(seq 100); do echo line-$i; sleep 0.1; done")
    watching = await open_page()
    await sign_in(watching, *add_viewer(server))
    await watching.goto(tab.url)
    await expect(output(watching)).to_contain_text("line-5")
    await expect(watching.get_by_role("textbox", name="Command")).to_have_count(0)
    for name in ("Kill", "Run again", "Stop", "Pause", "Extend"):
        await expect(watching.get_by_role("button", name=name, exact=True)).to_have_count(0)


async def test_everything_is_there_on_a_phone(phone: Page, box: Box) -> None:
    box.run("echo small")
    await sign_in(phone)
    await phone.goto(f"/sandboxes/{box.id}/commands/")
    await phone.get_by_role("link", name="echo small").click()
    await expect(output(phone)).to_contain_text("small")
    await expect(phone.get_by_role("button", name="Run again")).to_be_visible()
    width = await phone.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 390
    await assert_accessible(phone)
