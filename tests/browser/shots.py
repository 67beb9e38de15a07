"""Takes a picture of every page in every look, for the eye: `make shots ARGS=folder`.

To see a page too, add a line to SHOTS.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.browser import chromium, scene
from tests.browser.steps import sign_in
from tests.server import ROOT, Server

Act = Callable[[Page], Awaitable[object]]


def press(*keys: str) -> Act:
    """Press keys on a page before its picture is taken."""

    async def act(page: Page) -> None:
        for key in keys:
            await page.keyboard.press(key)

    return act


def click(name: str) -> Act:
    """Press the first button of a name."""

    async def act(page: Page) -> None:
        await page.get_by_role("button", name=name).first.click()

    return act


def press_on(*selectors: str) -> Act:
    """Press one thing after the other, each the first of its kind."""

    async def act(page: Page) -> None:
        for selector in selectors:
            await page.locator(selector).first.click()

    return act


async def search(page: Page) -> None:
    """Search the contents of the files below."""
    await page.locator('[data-do="search"]').first.click()
    panel = page.locator("#search-panel")
    await panel.get_by_role("button", name="Content").click()
    await panel.locator('[name="q"]').fill("total|north")
    await page.keyboard.press("Enter")
    await panel.locator("mark").first.wait_for()


async def ask_to_delete(page: Page) -> None:
    await page.locator("#rows .check").first.click()
    await page.keyboard.press("Delete")
    await page.locator("dialog[open]").wait_for()


async def copy_again(page: Page) -> None:
    """Copy a file to where it is already."""
    await page.locator("#left tbody tr", has_text="tenants.csv").locator(".check").check()
    await page.locator('[data-way="left"]').click()
    await page.locator("dialog[open]").wait_for()


async def make_key(page: Page) -> None:
    await page.locator("#name").fill("nightly-etl")
    await page.get_by_role("button", name="Create key").click()
    await page.locator("#token").wait_for()


async def examine(page: Page) -> None:
    await page.get_by_role("button", name="Examine").click()
    await (
        page.get_by_role("button", name="Examine again")
        .and_(page.locator(":enabled"))
        .wait_for(timeout=60_000)
    )


async def ask_to_stop(page: Page) -> None:
    """Choose a sandbox among the records, and an action that asks first."""
    await page.locator("#result_list tbody .action-select").last.check()
    await page.locator('select[name="action"]').select_option("kill")
    await page.locator(".actions .button").click()


@dataclass(frozen=True)
class Shot:
    """A page, or a state of it. The address names what tests/browser/scene.py made."""

    name: str
    address: str
    act: Act | None = None
    signed_in: bool = True


SHOTS = (
    Shot("login", "/login/", signed_in=False),
    Shot("home", "/"),
    Shot("palette", "/", act=press("Control+k")),
    Shot("shortcuts", "/", act=press("?")),
    Shot("sandboxes", "/sandboxes/"),
    Shot("sandboxes-none", "/sandboxes/?q=nothing-is-called-so"),
    Shot("sandboxes-new", "/sandboxes/new/"),
    Shot("sandbox", "/sandboxes/{running}/"),
    Shot("sandbox-stop", "/sandboxes/{running}/", act=click("Stop")),
    Shot("sandbox-paused", "/sandboxes/{paused}/"),
    Shot("sandbox-dead", "/sandboxes/{dead}/"),
    Shot("sandbox-failed", "/sandboxes/{failed}/"),
    Shot("sandbox-settings", "/sandboxes/{running}/settings/"),
    Shot("commands", "/sandboxes/{running}/commands/"),
    Shot("command", "/sandboxes/{running}/commands/?show=failed", act=press_on("[data-opens-run]")),
    Shot("commands-dead", "/sandboxes/{dead}/commands/?show=failed"),
    Shot("terminal", "/sandboxes/{running}/terminals/{terminal}/"),
    Shot("terminal-ended", "/sandboxes/{dead}/terminals/{ended}/"),
    Shot("terminals-dead", "/sandboxes/{dead}/terminal/"),
    Shot("recording", "/sandboxes/{running}/terminals/{terminal}/recording/"),
    Shot("recording-none", "/sandboxes/{dead}/terminals/{ended}/recording/"),
    Shot("sandbox-files", "/sandboxes/{running}/files/workspace/"),
    Shot("sandbox-files-dead", "/sandboxes/{dead}/files/workspace/"),
    Shot("disks", "/disks/"),
    Shot("files", "/disks/{disk}/files/"),
    Shot("files-selected", "/disks/{disk}/files/", act=press_on("#rows .check")),
    Shot("files-delete", "/sandboxes/{running}/files/workspace/", act=ask_to_delete),
    Shot("files-search", "/disks/{disk}/files/", act=search),
    Shot("files-none", "/disks/{disk}/files/?match=nothing"),
    Shot("file-code", "/disks/{disk}/files/query.py"),
    Shot("file-edit", "/disks/{disk}/files/query.py?view=edit"),
    Shot("file-metadata", "/disks/{disk}/files/query.py", act=click("Metadata")),
    Shot("file-markdown", "/disks/{disk}/files/readme.md"),
    Shot("file-table", "/disks/{disk}/files/tenants.csv"),
    Shot("file-json", "/disks/{disk}/files/config.json"),
    Shot("file-picture", "/disks/{disk}/files/dot.png"),
    Shot("file-binary", "/disks/{disk}/files/rows.gz"),
    Shot("file-empty", "/disks/{disk}/files/empty.txt"),
    Shot("trash", "/disks/{disk}/trash/"),
    Shot("disk-settings", "/disks/{disk}/settings/"),
    Shot("transfer", "/transfer/?left=disk:{disk}:/&right=sandbox:{running}:/workspace/"),
    Shot(
        "transfer-asks",
        "/transfer/?left=disk:{disk}:/&right=sandbox:{running}:/workspace/",
        act=copy_again,
    ),
    Shot("activity", "/activity/"),
    Shot("activity-none", "/activity/?actor=nobody"),
    Shot("settings", "/settings/"),
    Shot("members", "/settings/members/"),
    Shot("keys", "/settings/keys/"),
    Shot("keys-made", "/settings/keys/", act=make_key),
    Shot("profile", "/settings/profile/"),
    Shot("welcome", "/welcome/"),
    Shot("not-found", "/nothing/here/"),
    Shot("admin", "/admin/"),
    Shot("admin-list", "/admin/sandboxes/sandbox/"),
    Shot("admin-asks", "/admin/sandboxes/sandbox/", act=ask_to_stop),
    Shot("admin-overview", "/admin/overview/"),
    Shot("admin-doctor", "/admin/doctor/", act=examine),
)
# The same with an engine that does not answer: a red bar, and what the database knows.
AWAY = (
    Shot("away-home", "/"),
    Shot("away-sandboxes", "/sandboxes/"),
    Shot("away-sandbox", "/sandboxes/{running}/"),
    Shot("away-files", "/sandboxes/{running}/files/workspace/"),
    Shot("away-commands", "/sandboxes/{running}/commands/"),
    Shot("away-terminal", "/sandboxes/{running}/terminals/{terminal}/"),
    Shot("away-transfer", "/transfer/?left=disk:{disk}:/&right=sandbox:{running}:/workspace/"),
    Shot("away-overview", "/admin/overview/"),
)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {**chromium.DESK, "color_scheme": "light"},
    "dark": {**chromium.DESK, "color_scheme": "dark"},
    "contrast": {**chromium.DESK, "color_scheme": "light"},
    "phone": {**chromium.PHONE, "color_scheme": "light"},
    "phone-dark": {**chromium.PHONE, "color_scheme": "dark"},
}
# Live parts come after the page. A page that keeps a socket open is never idle.
SETTLE_MILLISECONDS = 400


async def take_all(server: Server, folder: Path) -> None:
    names = await asyncio.to_thread(scene.set_up, server)
    async with async_playwright() as playwright:
        browser = await chromium.start(playwright)
        for look in LOOKS:
            await take_look(browser, server, look, SHOTS, names, folder)
        with scene.engine_away(server):
            for look in LOOKS:
                await take_look(browser, server, look, AWAY, names, folder)
        await browser.close()


async def take_look(
    browser: Browser,
    server: Server,
    look: str,
    shots: tuple[Shot, ...],
    names: dict[str, str],
    folder: Path,
) -> None:
    """Take every page in one look: first what strangers see, then what is behind the sign-in."""
    context = await browser.new_context(base_url=server.url, **LOOKS[look])
    if look == "contrast":
        await context.add_cookies([{"name": "theme", "value": "contrast", "url": server.url}])
    page = await context.new_page()
    signed_in = False
    for shot in sorted(shots, key=lambda shot: shot.signed_in):
        if shot.signed_in and not signed_in:
            await sign_in(page)
            signed_in = True
        await show(page, shot, names)
        await page.screenshot(path=folder / f"{shot.name}.{look}.png", full_page=True)
    await context.close()


async def show(page: Page, shot: Shot, names: dict[str, str]) -> None:
    """Bring a page into the state that a shot is of."""
    await page.goto(shot.address.format(**names))
    await page.wait_for_timeout(SETTLE_MILLISECONDS)
    if shot.act is not None:
        await shot.act(page)
        await page.wait_for_timeout(SETTLE_MILLISECONDS)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "var/shots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        server = Server(Path(data)).start()
        try:
            asyncio.run(take_all(server, folder))
        finally:
            server.end_sandboxes()
            server.stop()
    count = len(SHOTS + AWAY) * len(LOOKS)
    print(f"{count} pictures are in {folder}.")  # noqa: T201


if __name__ == "__main__":
    main()
