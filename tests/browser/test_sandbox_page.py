"""Journeys on the page of one sandbox, in a real browser, on a real server and engine."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import add_person, add_viewer
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.watch import Watch
from tests.sandboxes.conftest import Box, make_box
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser]


@pytest.fixture
def box(server: Server) -> Iterator[Box]:
    made = make_box(server, name="calm-otter", env={"API_TOKEN": "s3cr3t"}, timeout=1200)
    yield made
    made.request("DELETE")


async def open_sandbox(page: Page, box: Box) -> None:
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/")


async def test_what_it_uses_and_what_runs_is_shown_and_kept_true(page: Page, box: Box) -> None:
    box.run("(setsid sleep 301 &) ; head -c 20000000 /dev/zero > big")
    await open_sandbox(page, box)
    await expect(page.locator("#usage canvas")).to_have_count(4, timeout=20_000)
    await expect(page.locator('[data-chart="memory"] [data-summary]')).to_contain_text("now")
    processes = page.get_by_role("region", name="Processes")
    await expect(processes).to_contain_text("sleep 301")
    box.run("(setsid sleep 302 &) ; (setsid yes >/dev/null &)")
    await expect(processes).to_contain_text("sleep 302", timeout=15_000)
    first = processes.locator("tbody tr").first
    await expect(first).to_contain_text("yes")
    await expect(first).to_contain_text(re.compile(r"\d\d %"))
    await expect(page.locator("#recent")).to_contain_text("sleep 302")
    await page.get_by_text("Show as table").click()
    await expect(page.locator("#usage tbody tr").first).to_be_visible()
    await assert_accessible(page)


async def test_values_are_hidden_until_shown(page: Page, box: Box) -> None:
    await open_sandbox(page, box)
    value = page.locator('[data-variable="API_TOKEN"]')
    assert "s3cr3t" not in await page.content()
    await page.get_by_role("button", name="Show values").click()
    await expect(value).to_have_text("s3cr3t")
    await page.get_by_role("button", name="Hide values").click()
    await expect(value).to_have_text("••••••••")


async def test_time_is_extended_from_the_menu(page: Page, box: Box) -> None:
    await open_sandbox(page, box)
    timer = page.get_by_role("timer")
    await expect(timer).to_contain_text("19 m")
    await page.locator(".facts").get_by_role("button", name="Extend").click()
    await page.get_by_role("menuitem", name="By 1 hour").click()
    await expect(timer).to_contain_text("1 h 19 m")
    await expect(page.get_by_role("status").get_by_text("left now")).to_be_visible()
    await page.locator(".facts").get_by_role("button", name="Extend").click()
    await page.get_by_role("menuitem", name="Another time").click()
    await page.get_by_label("Minutes from now").fill("4")
    await page.get_by_role("dialog").get_by_role("button", name="Extend").click()
    await expect(page.locator(".facts .tight")).to_contain_text("3 m 5")


async def test_it_is_paused_and_goes_on(page: Page, box: Box) -> None:
    await open_sandbox(page, box)
    state = page.locator(".facts .state")
    await page.get_by_role("button", name="Pause", exact=True).first.click()
    await expect(state).to_have_text("Paused")
    await page.get_by_role("button", name="Resume", exact=True).first.click()
    await expect(state).to_have_text("Running")


async def test_stopping_names_the_loss_and_leaves_the_page(page: Page, box: Box) -> None:
    box.data("POST", "/process", json={"command": "sleep 300"})
    await open_sandbox(page, box)
    await page.get_by_role("button", name="Stop", exact=True).click()
    dialog = page.get_by_role("dialog", name="Stop calm-otter?")
    await expect(dialog).to_contain_text(
        "The files in it and 1 running process are lost. Disks are kept."
    )
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".facts .state")).to_have_text("Running")
    await page.get_by_role("button", name="Stop", exact=True).click()
    await dialog.get_by_role("button", name="Stop").click()
    await expect(page.locator(".ended")).to_contain_text("Stopped by admin")
    await expect(page.locator(".facts .state")).to_have_text("Stopped")
    for name in ("Stop", "Pause", "Extend"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    await expect(page.get_by_role("link", name="New like this").first).to_be_visible()
    await assert_accessible(page)


async def test_it_expires_while_somebody_looks(page: Page, server: Server) -> None:
    short = make_box(server, name="short-lived", timeout=10)
    await sign_in(page)
    await page.goto(f"/sandboxes/{short.id}/")
    await page.evaluate("() => { window.sameDocument = true; }")
    await expect(page.locator(".facts .tight")).to_be_visible()
    ended = page.locator(".ended")
    await expect(ended).to_contain_text("Stopped by its time limit", timeout=30_000)
    await expect(page.get_by_role("timer")).to_have_count(0)
    await expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    for name in ("Run one", "Edit"):
        await expect(page.get_by_role("link", name=name, exact=True)).to_be_hidden()
    assert await page.evaluate("() => window.sameDocument")


async def test_settings_are_saved_and_bad_labels_refused(
    page: Page, box: Box, watch: Watch
) -> None:
    watch.allow("400")
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/settings/")
    labels = page.get_by_role("textbox", name="Labels")
    await labels.fill("no equals")
    await page.get_by_role("button", name="Save").first.click()
    await expect(page.get_by_role("alert").get_by_text("is no label")).to_be_visible()
    await labels.fill("team=blue")
    await page.get_by_role("textbox", name="Name", exact=True).fill("brave-otter")
    await page.get_by_role("button", name="Save").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("brave-otter")
    records = page.get_by_role("checkbox", name="Record terminals")
    await records.check()
    # What is saved elsewhere on the page leaves this alone.
    await page.get_by_role("button", name="Save").nth(1).click()
    await expect(page.get_by_role("status").get_by_text("Saved.").last).to_be_visible()
    await expect(records).to_be_checked()
    await page.get_by_role("button", name="Save").last.click()
    await expect(page.get_by_role("status").get_by_text("Saved.")).to_have_count(3)
    await page.reload()
    await expect(records).to_be_checked()
    await assert_accessible(page)


async def test_a_viewer_sees_and_cannot_touch(
    server: Server, box: Box, page: Page, watch: Watch
) -> None:
    watch.allow("403")
    await sign_in(page, *add_viewer(server))
    await page.goto(f"/sandboxes/{box.id}/")
    await expect(page.get_by_role("heading", level=1)).to_have_text("calm-otter")
    for name in ("Stop", "Pause", "Extend", "Show values"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    status = await page.evaluate(
        """async (address) => {
          const token = document.querySelector('meta[name="csrf-token"]').content;
          const shown = document.querySelector("[data-project]").dataset.project;
          const headers = {
            "X-CSRFToken": token, "X-Project": shown, Accept: "application/json",
          };
          return (await fetch(address, {method: "POST", headers})).status;
        }""",
        f"/sandboxes/{box.id}/stop/",
    )
    assert status == 403
    assert box.data("GET")["sandbox_status"] == "running"


async def test_another_projects_address_leads_nowhere(
    server: Server, box: Box, open_page: OpenPage, watch: Watch
) -> None:
    watch.allow("404")
    page = await open_page()
    await sign_in(page, *add_person(server, ""))
    for tab in ("", "commands/", "settings/", "terminal/"):
        answer = await page.goto(f"/sandboxes/{box.id}/{tab}")
        assert answer is not None
        assert answer.status == 404
        await expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Nothing here"))


async def test_everything_is_there_on_a_phone(phone: Page, box: Box) -> None:
    await open_sandbox(phone, box)
    await expect(phone.get_by_role("timer")).to_be_visible()
    await expect(phone.get_by_role("link", name="Terminal").first).to_be_visible()
    for tab in ("", "settings/"):
        await phone.goto(f"/sandboxes/{box.id}/{tab}")
        assert await phone.evaluate("() => document.documentElement.scrollWidth") <= 390
        await assert_accessible(phone)
