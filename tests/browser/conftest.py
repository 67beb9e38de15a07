"""A real browser on a real server. The index:

browser     Chromium, one for the whole session
watch       what the pages of a test did that no page may do; `watch.allow("404")` expects it
open_page   opens a page in a context of its own: somebody else's browser
page        a page of a desk's size
phone       a page of a phone's size, with touch

After each test, `watch` must have found nothing. Addresses are relative: `page.goto("/login/")`.
All tests here run in one event loop, the browser's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.browser import chromium
from tests.browser.watch import Watch
from tests.server import Server

# Less than a test may take, so that it says what it waited for.
PATIENCE_MILLISECONDS = 15_000
# A journey has many steps, and the first one of a session starts the server too.
JOURNEY_SECONDS = 180
HERE = Path(__file__).parent
OpenPage = Callable[..., Awaitable[Page]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(JOURNEY_SECONDS))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if chromium.find() is None:
        pytest.skip("there is no chromium")
    async with async_playwright() as playwright:
        browser = await chromium.start(playwright)
        yield browser
        await browser.close()


@pytest.fixture
def watch(server: Server) -> Watch:
    return Watch(urlsplit(server.url).netloc)


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, server: Server, watch: Watch) -> AsyncIterator[OpenPage]:
    async with AsyncExitStack() as contexts:

        async def open_page(**options: object) -> Page:
            context = await browser.new_context(
                **{"base_url": server.url, **chromium.DESK, **options}
            )
            contexts.push_async_callback(context.close)
            context.set_default_timeout(PATIENCE_MILLISECONDS)
            await watch.over(context)
            return await context.new_page()

        yield open_page
    assert watch.found() == {}


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage) -> Page:
    return await open_page()


@pytest_asyncio.fixture(loop_scope="session")
async def phone(open_page: OpenPage) -> Page:
    return await open_page(**chromium.PHONE)
