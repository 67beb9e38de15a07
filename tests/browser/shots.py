"""Takes a picture of every page in every look, for the eye: `make shots ARGS=folder`.

To see a page too, add a line to SHOTS.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.browser import chromium
from tests.browser.steps import sign_in
from tests.server import ROOT, Server

# Where a page is; or what makes it ready on the server, and says then where it is.
Address = str | Callable[[Server], str]


@dataclass(frozen=True)
class Shot:
    name: str
    address: Address
    signed_in: bool = True


SHOTS = (
    Shot("login", "/login/", signed_in=False),
    Shot("home", "/"),
    Shot("not-found", "/nothing/here/"),
    Shot("admin", "/admin/"),
    Shot("admin-list", "/admin/sandboxes/sandbox/"),
    Shot("admin-overview", "/admin/overview/"),
    Shot("admin-doctor", "/admin/doctor/"),
)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {**chromium.DESK, "color_scheme": "light"},
    "dark": {**chromium.DESK, "color_scheme": "dark"},
    "phone": {**chromium.PHONE, "color_scheme": "light"},
    "phone-dark": {**chromium.PHONE, "color_scheme": "dark"},
}
# Live parts come after the page. A page that keeps a socket open is never idle.
SETTLE_MILLISECONDS = 400


async def take_all(server: Server, folder: Path) -> None:
    addresses = {shot: address_of(shot, server) for shot in SHOTS}
    async with async_playwright() as playwright:
        browser = await chromium.start(playwright)
        for look in LOOKS:
            await take_look(browser, server, look, addresses, folder)
        await browser.close()


def address_of(shot: Shot, server: Server) -> str:
    return shot.address if isinstance(shot.address, str) else shot.address(server)


async def take_look(
    browser: Browser, server: Server, look: str, addresses: dict[Shot, str], folder: Path
) -> None:
    """Take every page in one look: first what strangers see, then what is behind the sign-in."""
    page = await (await browser.new_context(base_url=server.url, **LOOKS[look])).new_page()
    strangers_first = sorted(addresses, key=lambda shot: shot.signed_in)
    signed_in = False
    for shot in strangers_first:
        if shot.signed_in and not signed_in:
            await sign_in(page)
            signed_in = True
        await take(page, addresses[shot], folder / f"{shot.name}.{look}.png")
    await page.context.close()


async def take(page: Page, address: str, file: Path) -> None:
    await page.goto(address)
    await page.wait_for_timeout(SETTLE_MILLISECONDS)
    await page.screenshot(path=file, full_page=True)


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
    print(f"{len(SHOTS) * len(LOOKS)} pictures are in {folder}.")  # noqa: T201


if __name__ == "__main__":
    main()
