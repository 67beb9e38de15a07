"""Members and keys, as an owner and a viewer see them."""

from __future__ import annotations

import re
import secrets

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.steps import sign_in
from tests.browser.watch import Watch
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.docker]


async def test_an_owner_adds_a_viewer_who_sees_and_cannot_touch(
    page: Page, open_page: OpenPage, watch: Watch, server: Server
) -> None:
    watch.allow("403")
    name = f"viewer-{secrets.token_hex(3)}"
    await sign_in(page)
    await page.goto("/settings/members/")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Role", exact=True).select_option("viewer")
    await page.get_by_label("Make the account").check()
    await page.get_by_role("button", name="Add").click()
    password = await page.get_by_label(f"Password of {name}").input_value()
    await expect(page.get_by_role("row", name=name)).to_be_visible()

    viewers = await open_page()
    await sign_in(viewers, name, password)
    await expect(viewers.get_by_text("choose one that only you know")).to_be_visible()
    await viewers.goto("/settings/members/")
    await expect(viewers.get_by_role("row", name=name)).to_contain_text("Viewer")
    await expect(viewers.get_by_role("heading", name="Add somebody")).to_have_count(0)
    answer = await viewers.goto("/sandboxes/new/")
    assert answer is not None
    assert answer.status == 403

    await page.goto("/settings/members/")
    await page.get_by_role("button", name=f"Remove {name}").click()
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    await page.locator("#confirm").get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("row", name=name)).to_have_count(0)


async def test_the_last_owner_is_told_why_it_stays(page: Page, watch: Watch) -> None:
    await sign_in(page)
    await page.goto("/settings/members/")
    await page.get_by_role("button", name="Remove admin").click()
    await page.locator("#confirm").get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("The last owner is admin")).to_be_visible()


async def test_a_key_is_shown_once_and_does_what_it_may(
    page: Page, server: Server, watch: Watch
) -> None:
    name = f"key-{secrets.token_hex(3)}"
    await sign_in(page)
    await page.goto("/settings/keys/")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Only what is ticked here").check()
    await page.get_by_role("group", name="Disks").get_by_label("Read", exact=True).check()
    await page.get_by_role("button", name="Create key").click()
    token = await page.get_by_label("API key", exact=True).input_value()
    assert token.startswith("sk-ac-")

    def call(path: str) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{server.api_url}{path}", headers=bearer)

    assert call("/disk").status_code == 200
    assert call("/sandbox").status_code == 403
    await page.goto("/settings/keys/")
    row = page.get_by_role("row", name=name)
    await expect(row).to_contain_text("disks:read")
    assert token not in await page.content()

    await row.get_by_role("button", name=re.compile("Revoke")).click()
    await page.locator("#confirm").get_by_role("button", name="Revoke").click()
    await expect(row).to_contain_text("Revoked")
    assert call("/disk").status_code == 401
