"""Everybody can use every page, in both themes, at a desk and on a phone; none breaks a rule."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.browser import scene
from tests.browser.conftest import OpenPage
from tests.browser.shots import LOOKS, SHOTS, show
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.watch import Watch
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def names(server: Server) -> dict[str, str]:
    return await asyncio.to_thread(scene.set_up, server)


@pytest.mark.parametrize("look", ["light", "phone"])
async def test_everybody_can_use_it(
    open_page: OpenPage, watch: Watch, names: dict[str, str], look: str
) -> None:
    # The page that is not there says so in the console too, and so do names that are taken.
    watch.allow("404|409")
    page: Page = await open_page(**LOOKS[look])
    problems: list[str] = []
    for shot in sorted(SHOTS, key=lambda shot: shot.signed_in):
        if shot.signed_in and page.url.endswith("/login/"):
            await sign_in(page)
        await show(page, shot, names)
        try:
            await assert_accessible(page)
        except AssertionError as error:
            problems.append(f"{shot.name}: {error}")
    assert not problems, "\n\n".join(problems)
