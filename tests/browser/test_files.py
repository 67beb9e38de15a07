"""Journeys in the file browser, in a real browser, on a real server and engine."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Error, Locator, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import add_viewer
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.watch import Watch
from tests.sandboxes.conftest import Box, make_box
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser]

ATTACKS = (
    "<img src=x onerror=window.hit=1>.txt",
    '"><svg onload=window.hit=1>.md',
    "'-window.hit=1-'.csv",
    "javascript:window.hit=1.html",
    "{{7*7}}${7*7}.json",
    "%2e%2e%2fup.txt",
    "name with  two spaces ☃ عربي.txt",
)
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" onload="window.hit=1">'
    b'<style>rect { fill: teal }</style><rect width="40" height="30"/></svg>'
)
ATTACK_TEXT = (
    "<script>window.hit=1</script><img src=x onerror=window.hit=1>\n"
    "[click](javascript:window.hit=1) ![x](javascript:window.hit=1)\n"
    "<a href='javascript:window.hit=1'>click</a>\n"
)

CROWD = """
from disks.models import Artifact
first = Artifact.objects.get(disk={id!r})
more = (dict(disk=first.disk, path="/", filename=f"{{n:04}}.txt") for n in range(1, {count}))
Artifact.objects.bulk_create(Artifact(**each, blob=first.blob, mime=first.mime) for each in more)
"""


class DiskOnServer:
    """A disk of a test's own, filled through the API."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.id = server.request("POST", "/disk").json()["data"]["id"]

    @property
    def url(self) -> str:
        return f"/disks/{self.id}/files/"

    def put(self, path: str, data: bytes = b"text\n") -> None:
        name = path.rpartition("/")[2]
        answer = self.server.request(
            "POST",
            f"/disk/{self.id}/artifact",
            files={"file": (name, data)},
            data={"file_path": path},
        )
        assert answer.is_success, answer.text

    def names(self, folder: str = "/") -> list[str]:
        answer = self.server.request("GET", f"/disk/{self.id}/artifact/ls", params={"path": folder})
        listing: dict[str, Any] = answer.json()["data"]
        return [artifact["filename"] for artifact in listing["artifacts"]]

    def text(self, path: str) -> str:
        answer = self.server.request(
            "GET",
            f"/disk/{self.id}/artifact",
            params={"file_path": path, "with_content": "true", "with_public_url": "false"},
        )
        return str(answer.json()["data"]["content"]["raw"])


@pytest.fixture
def disk(server: Server) -> DiskOnServer:
    return DiskOnServer(server)


@pytest.fixture
def box(server: Server) -> Iterator[Box]:
    made = make_box(server, name="calm-otter")
    yield made
    made.request("DELETE")


def row(page: Page, name: str) -> Locator:
    return page.locator(f'#rows > tr[data-name="{name}"]')


def names(page: Page) -> Locator:
    return page.locator("#rows > tr th a")


def toast(page: Page, words: str) -> Locator:
    return page.locator(".toast", has_text=words)


async def visit(page: Page, disk: DiskOnServer, path: str = "") -> None:
    await page.goto(disk.url + path)
    await expect(page.locator('#rows > tr[tabindex="0"], #listing .blank')).to_have_count(1)


async def fill_name(page: Page, name: str) -> None:
    await page.locator("#name-input").fill(name)
    await page.keyboard.press("Enter")
    await expect(page.locator("#name-dialog")).to_be_hidden()


async def test_walk_by_keyboard_alone(page: Page, disk: DiskOnServer) -> None:
    for path in ("/a/deep/x.txt", "/b.txt", "/c.txt", "/d.txt", "/zebra.txt"):
        disk.put(path)
    await sign_in(page)
    await visit(page, disk)
    await row(page, "a").focus()
    await page.keyboard.press("End")
    await expect(row(page, "zebra.txt")).to_be_focused()
    await page.keyboard.press("Home")
    await page.keyboard.press("Enter")
    await expect(row(page, "deep")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/files/a/$"))
    await page.keyboard.press("Backspace")
    # The keyboard is on the folder that was left.
    await expect(row(page, "a")).to_be_focused()
    await page.keyboard.type("ze")
    await expect(row(page, "zebra.txt")).to_be_focused()
    await page.keyboard.press("F2")
    await expect(page.locator("#name-input")).to_have_value("zebra.txt")
    await fill_name(page, "apple.txt")
    await expect(row(page, "apple.txt")).to_be_focused()
    await page.keyboard.press("Control+c")
    await page.keyboard.press("Control+v")
    await expect(page.locator("#rows > tr", has_text="apple")).to_have_count(2)
    await page.keyboard.press("Home")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Shift+ArrowDown")
    await expect(page.locator('#rows > tr[aria-selected="true"]')).to_have_count(2)
    await page.keyboard.press("Control+a")
    await expect(page.locator("#picked strong")).to_have_text(re.compile(r"^6 selected"))
    await page.keyboard.press("Escape")
    await expect(page.locator("#picked")).to_be_hidden()
    await page.keyboard.press("Control+l")
    await expect(page.locator("#path-input")).to_be_focused()
    await page.keyboard.type("/a/deep/")
    await page.keyboard.press("Enter")
    await expect(row(page, "x.txt")).to_be_visible()
    await page.go_back()
    await expect(row(page, "d.txt")).to_be_visible()


async def test_letters_lead_to_names_and_not_to_other_pages(page: Page, disk: DiskOnServer) -> None:
    for path in ("/a.txt", "/garden.txt", "/ghost.txt"):
        disk.put(path)
    await sign_in(page)
    await visit(page, disk)
    await row(page, "a.txt").focus()
    await page.keyboard.type("gh")
    await expect(row(page, "ghost.txt")).to_be_focused()
    await page.wait_for_timeout(1_000)
    await page.keyboard.type("ga")
    await expect(row(page, "garden.txt")).to_be_focused()
    assert page.url.endswith(disk.url)


async def test_what_was_made_has_the_keyboard_though_a_look_was_under_way(
    page: Page, disk: DiskOnServer
) -> None:
    disk.put("/a.txt")
    await sign_in(page)
    await visit(page, disk)

    async def answer_late(route: Route) -> None:
        answer = await route.fetch()
        await asyncio.sleep(1.5)
        await route.fulfill(response=answer)

    await page.route("**/files/?part=rows", answer_late, times=1)
    async with page.expect_request("**/files/?part=rows"):
        await page.get_by_role("button", name="Refresh").click()
    await page.get_by_role("button", name="New", exact=True).click()
    await page.get_by_role("menuitem", name="Folder…").click()
    await fill_name(page, "later")
    await expect(row(page, "later")).to_be_focused()


async def test_of_two_visits_the_later_one_is_shown(page: Page, disk: DiskOnServer) -> None:
    disk.put("/a/in-a.txt")
    disk.put("/b/in-b.txt")
    await sign_in(page)
    await visit(page, disk)
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    await page.route("**/files/a/", hold)
    await row(page, "a").get_by_role("link").click()
    await row(page, "b").get_by_role("link").click()
    await expect(row(page, "in-b.txt")).to_be_visible()
    # The keyboard goes along.
    await expect(row(page, "in-b.txt")).to_be_focused()
    for route in held:
        with contextlib.suppress(Error):
            await route.continue_()
    await page.wait_for_timeout(300)
    await expect(row(page, "in-b.txt")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/files/b/$"))


async def test_a_disk_that_was_deleted_is_not_live(
    page: Page, server: Server, disk: DiskOnServer, watch: Watch
) -> None:
    watch.allow("404")
    disk.put("/a.txt")
    await sign_in(page)
    await visit(page, disk)
    await expect(page.locator("#foot [data-live]")).to_be_visible()
    server.request("DELETE", f"/disk/{disk.id}").raise_for_status()
    await page.get_by_role("button", name="Refresh").click()
    await expect(page.locator("#stale")).to_contain_text("This disk was deleted")
    await expect(page.locator("#foot [data-live]")).to_be_hidden()
    await expect(row(page, "a.txt")).to_be_visible()


async def test_names_are_names_and_keys_are_listed(
    page: Page, disk: DiskOnServer, watch: Watch
) -> None:
    watch.allow("400")
    for name in ("a.txt", "b.txt", "c.txt"):
        disk.put(f"/{name}")
    await sign_in(page)
    await visit(page, disk)
    await page.get_by_role("button", name="New", exact=True).click()
    await page.get_by_role("menuitem", name="File…").click()
    await page.locator("#name-input").fill("x/y")
    await page.keyboard.press("Enter")
    await expect(page.locator("#name-error")).to_contain_text("without a slash")
    await fill_name(page, "  d.txt ")
    await expect(row(page, "d.txt")).to_be_focused()
    # Of several, the one with the keyboard gets another name.
    await row(page, "a.txt").focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Space")
    await page.keyboard.press("F2")
    await expect(page.locator("#name-dialog h2")).to_have_text("Rename b.txt")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Delete")
    await page.get_by_role("button", name="Undo").click()
    await expect(row(page, "a.txt")).to_be_focused()
    await page.keyboard.press("?")
    keys = page.locator("#shortcuts [data-page-keys]")
    for words in ("Rename", "Delete", "Select all", "Paste", "One folder up"):
        await expect(keys).to_contain_text(words)
    await assert_accessible(page)


@pytest.fixture
def crowd(disk: DiskOnServer) -> DiskOnServer:
    """A disk with more files than a page shows, or an address holds."""
    disk.put("/0000.txt")
    disk.server.manage("shell", "-c", CROWD.format(id=disk.id, count=1200))
    return disk


async def test_all_of_a_large_folder_is_selected_and_downloaded(
    page: Page, crowd: DiskOnServer, watch: Watch
) -> None:
    watch.allow("400")
    await sign_in(page)
    await visit(page, crowd)
    await expect(names(page)).to_have_count(200)
    await page.get_by_role("link", name="Show more").click()
    await expect(names(page)).to_have_count(400)
    await expect(page.locator("#rows > tr").nth(200)).to_be_focused()
    await page.keyboard.press("Control+a")
    await expect(page.locator("#picked strong")).to_have_text(re.compile("^400 of 1,200 selected"))
    await page.locator("#picked").get_by_role("button", name="Select all 1,200").click()
    await expect(page.locator("#picked strong")).to_have_text(re.compile("^1200 selected"))
    async with page.expect_download() as coming:
        await page.locator("#picked").get_by_role("button", name="Download").click()
    path = await (await coming.value).path()
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 1200
    await page.locator("#picked").get_by_role("button", name="Delete").click()
    refusal = toast(page, "choose fewer, or the folder they are in")
    await expect(refusal).to_be_visible(timeout=20_000)


async def test_a_search_is_there_again_on_the_way_back(page: Page, disk: DiskOnServer) -> None:
    disk.put("/a/one.py", b"needle\n")
    disk.put("/b/two.py", b"nothing\n")
    await sign_in(page)
    await visit(page, disk)
    await page.get_by_role("button", name="Search", exact=True).first.click()
    panel = page.locator("#search-panel")
    await panel.get_by_role("button", name="Content").click()
    await panel.locator('[name="q"]').fill("need.e")
    await page.keyboard.press("Enter")
    await panel.locator("mark").first.click()
    await expect(page.locator(".code [data-hl]")).to_have_text("needle")
    await page.go_back()
    await expect(panel.locator("mark")).to_have_text(["needle"])
    await expect(panel.locator('[name="q"]')).to_have_value("need.e")
    await row(page, "b").get_by_role("link").click()
    await expect(row(page, "two.py")).to_be_visible()
    await expect(panel.locator(".hits li")).to_have_count(0)
    await page.go_back()
    await expect(panel.locator("mark")).to_have_text(["needle"])


async def test_a_pattern_that_cannot_be_read_is_an_error(
    page: Page, disk: DiskOnServer, watch: Watch
) -> None:
    watch.allow("400")
    disk.put("/one.py", b"needle\n")
    await sign_in(page)
    await visit(page, disk)
    title = row(page, "one.py").locator("time")
    await expect(title).to_have_attribute("title", re.compile(r"^\d\d [A-Z]\w\w \d{4}, [\d:]{8}$"))
    await page.get_by_role("button", name="Search", exact=True).first.click()
    panel = page.locator("#search-panel")
    told = panel.locator("[data-result]")
    await panel.get_by_role("button", name="Content").click()
    for pattern, is_error in (("(", True), ("need", False)):
        await panel.locator('[name="q"]').fill(pattern)
        await page.keyboard.press("Enter")
        await expect(told).to_have_text(re.compile("found|hit" if not is_error else "."))
        await expect(told).to_have_class(re.compile(r"\berr\b" if is_error else "muted$"))


async def test_links_and_odd_names_of_a_sandbox(page: Page, box: Box) -> None:
    box.run("mkdir d && echo text > d/real.txt && ln -s d/real.txt link; printf x > $'two\nlines'")
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/files/workspace/link?view=edit")
    await expect(page.get_by_text("a link is not written to")).to_be_visible()
    await page.locator(".banner").get_by_role("link", name="Edit /workspace/d/real.txt").click()
    await expect(page.locator(".cm-content")).to_be_focused()
    await page.goto(f"/sandboxes/{box.id}/files/workspace/two%0Alines")
    await expect(page.locator(".viewer-file .code")).to_contain_text("x")
    await page.goto(f"/sandboxes/{box.id}/files/")
    await page.locator("#rows > tr", has_text="lines").focus()
    await page.keyboard.press("F2")
    await expect(page.locator("#name-input")).to_have_value("two␤lines")
    await expect(page.locator("#name-hint")).to_be_visible()
    await fill_name(page, "three␤lines")
    assert box.run("ls -b")["stdout"].split() == ["d", "link", "three\\nlines"]


async def test_rows_are_selected_as_everywhere(page: Page, disk: DiskOnServer) -> None:
    for name in "abcdef":
        disk.put(f"/{name}.txt", b"x" * 1024)
    await sign_in(page)
    await visit(page, disk)
    await row(page, "a.txt").locator(".c-size").click()
    await row(page, "c.txt").locator(".c-size").click(modifiers=["Shift"])
    await expect(page.locator("#picked strong")).to_have_text("3 selected · 3.0 KB")
    await row(page, "e.txt").locator(".c-size").click(modifiers=["Control"])
    await expect(page.locator("#picked strong")).to_have_text("4 selected · 4.0 KB")
    await row(page, "a.txt").locator(".check").click()
    await expect(page.locator('#rows > tr[aria-selected="true"] th a')).to_have_text(
        ["b.txt", "c.txt", "e.txt"]
    )
    # Rows that are drawn anew stay selected.
    disk.put("/aa.txt")
    await expect(row(page, "aa.txt")).to_be_visible()
    await expect(page.locator("#picked strong")).to_have_text("3 selected · 3.0 KB")
    await page.locator("#select-all").click()
    await expect(page.locator("#picked strong")).to_have_text(re.compile("^7 selected"))


async def test_make_move_and_copy(page: Page, disk: DiskOnServer, watch: Watch) -> None:
    watch.allow("409")
    disk.put("/a.txt", b"from above")
    disk.put("/b.txt")
    await sign_in(page)
    await visit(page, disk)
    await page.get_by_role("button", name="New", exact=True).click()
    await page.get_by_role("menuitem", name="Folder…").click()
    await fill_name(page, "later")
    await expect(row(page, "later")).to_be_focused()
    await page.get_by_role("button", name="New", exact=True).click()
    await page.get_by_role("menuitem", name="File…").click()
    await page.locator("#name-input").fill("a.txt")
    await page.keyboard.press("Enter")
    await expect(page.locator("#name-error")).to_be_visible()
    await fill_name(page, "note.md")
    await row(page, "a.txt").locator(".c-size").click()
    await page.locator("#picked").get_by_role("button", name="Move…").click()
    await page.locator("#folder-dialog").get_by_role("button", name="later").click()
    await page.locator("#folder-dialog").get_by_role("button", name="Move", exact=True).click()
    await expect(row(page, "a.txt")).to_have_count(0)
    assert disk.names("/later/") == ["a.txt"]

    # The name is taken: both are kept.
    disk.put("/a.txt", b"another")
    await expect(row(page, "a.txt")).to_be_visible()
    await row(page, "a.txt").click(button="right")
    await page.locator("#row-menu").get_by_role("menuitem", name="Copy…").click()
    await page.locator("#folder-input").fill("/later/")
    await page.locator("#folder-dialog").get_by_role("button", name="Copy", exact=True).click()
    await expect(page.locator("#conflict-dialog h2")).to_have_text("a.txt is already in /later/")
    await expect(page.locator("#conflict-dialog [data-old]")).to_contain_text("10 B")
    await page.locator("#conflict-dialog").get_by_role("button", name="Keep both").click()
    await expect(page.locator("#folder-dialog")).to_be_hidden()
    assert len(disk.names("/later/")) == 2
    assert disk.text("/later/a.txt") == "from above"


async def test_a_row_dragged_onto_a_folder_is_moved(page: Page, disk: DiskOnServer) -> None:
    for path in ("/a.txt", "/b.txt", "/c.txt", "/later/x.txt"):
        disk.put(path)
    await sign_in(page)
    await visit(page, disk)
    await row(page, "a.txt").locator(".check").click()
    await row(page, "b.txt").locator(".check").click()
    await row(page, "a.txt").locator(".c-size").drag_to(row(page, "later").locator(".c-size"))
    await expect(row(page, "a.txt")).to_have_count(0)
    assert disk.names("/later/") == ["a.txt", "b.txt", "x.txt"]
    assert disk.names() == ["c.txt"]
    await row(page, "later").get_by_role("link").click()
    await row(page, "x.txt").get_by_role("link").drag_to(page.locator("#path a").first)
    await expect(row(page, "x.txt")).to_have_count(0)
    assert disk.names() == ["c.txt", "x.txt"]


async def test_delete_and_undo(page: Page, disk: DiskOnServer) -> None:
    for path in ("/a.txt", "/b/c.txt", "/b/d.txt"):
        disk.put(path)
    await sign_in(page)
    await visit(page, disk)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")
    await expect(page.get_by_role("heading", name="This folder is empty")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(row(page, "b")).to_be_visible()
    assert disk.names("/b/") == ["c.txt", "d.txt"]


async def test_trash_gives_back_and_forgets(page: Page, disk: DiskOnServer, watch: Watch) -> None:
    watch.allow("409")
    disk.put("/reports/a.txt", b"old")
    disk.put("/reports/b.txt")
    await sign_in(page)
    await visit(page, disk, "reports/")
    await row(page, "a.txt").locator(".check").click()
    await row(page, "b.txt").locator(".check").click()
    await page.locator("#picked").get_by_role("button", name="Delete").click()
    await expect(toast(page, "trash")).to_be_visible()
    disk.put("/reports/a.txt", b"new")
    await page.get_by_role("navigation", name="Disk").get_by_role("link", name="Trash").click()
    first = page.locator('#trash tr[data-path="/reports/a.txt"]')
    await expect(first).to_contain_text("admin")
    await assert_accessible(page)
    await first.get_by_role("button", name="Restore").click()
    await page.locator("#restore-dialog").get_by_role("button", name="Keep both").click()
    await expect(first).to_have_count(0)
    assert disk.text("/reports/a.txt") == "new"
    assert len(disk.names("/reports/")) == 2
    await page.get_by_role("button", name="Delete /reports/b.txt for ever").click()
    await expect(page.locator("#confirm h2")).to_have_text("Delete /reports/b.txt for ever?")
    await page.locator("#confirm").get_by_role("button", name="Delete for ever").click()
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()


async def test_trash_gives_back_a_whole_folder(page: Page, disk: DiskOnServer) -> None:
    for path in ("/reports/a.txt", "/reports/b.txt", "/c.txt"):
        disk.put(path)
    await sign_in(page)
    await visit(page, disk)
    for name in ("c.txt", "reports"):
        await row(page, name).locator(".check").click()
        await page.locator("#picked").get_by_role("button", name="Delete").click()
        await expect(row(page, name)).to_have_count(0)
    await page.get_by_role("navigation", name="Disk").get_by_role("link", name="Trash").click()
    await assert_accessible(page)
    await page.get_by_role("button", name="Restore all").click()
    await expect(page.locator("#trash tbody tr")).to_have_count(1)
    assert disk.names("/reports/") == ["a.txt", "b.txt"]
    await page.get_by_role("button", name="Empty the trash").click()
    await expect(page.locator("#confirm")).to_contain_text("1 item (5 B) is lost for ever.")


async def test_two_people_edit_one_file(
    open_page: OpenPage, disk: DiskOnServer, watch: Watch
) -> None:
    watch.allow("409")
    disk.put("/a.txt", b"one\ntwo\nthree\n")
    first, second = await open_page(), await open_page()
    for page in (first, second):
        await sign_in(page)
        await page.goto(f"{disk.url}a.txt?view=edit")
        await expect(page.locator(".cm-content")).to_be_focused()
    await first.keyboard.type("first ")
    await expect(first.locator("#unsaved")).to_be_visible()
    await first.keyboard.press("Control+s")
    await expect(toast(first, "Saved")).to_be_visible()
    await expect(first.locator("#unsaved")).to_be_hidden()
    assert disk.text("/a.txt") == "first one\ntwo\nthree\n"

    await second.keyboard.type("second ")
    await second.keyboard.press("Control+s")
    dialog = second.locator("#changed-dialog")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("button", name="See differences").click()
    await expect(dialog.locator('[data-sign="-"]')).to_have_text("- first one")
    await expect(dialog.locator('[data-sign="+"]')).to_have_text("+ second one")
    await dialog.get_by_role("button", name="Cancel").click()
    assert disk.text("/a.txt") == "first one\ntwo\nthree\n"
    await second.keyboard.press("Control+s")
    await dialog.get_by_role("button", name="Save a copy").click()
    await expect(second).to_have_url(re.compile(r"a%20\(copy\)\.txt"))
    assert disk.text("/a (copy).txt") == "second one\ntwo\nthree\n"

    await second.goto(f"{disk.url}a.txt?view=edit")
    await expect(second.locator(".cm-content")).to_be_focused()
    await first.keyboard.type("again ")
    await first.keyboard.press("Control+s")
    await expect(toast(first, "Saved").nth(1)).to_be_visible()
    await second.keyboard.type("over ")
    await second.keyboard.press("Control+s")
    await dialog.get_by_role("button", name="Overwrite").click()
    await expect(toast(second, "Saved")).to_be_visible()
    assert disk.text("/a.txt") == "over first one\ntwo\nthree\n"


async def test_who_signs_in_again_elsewhere_saves_and_uploads_on(
    page: Page, disk: DiskOnServer, watch: Watch
) -> None:
    watch.allow("403")
    disk.put("/a.txt", b"one\n")
    await sign_in(page)
    files = await page.context.new_page()
    await visit(files, disk)
    await page.goto(f"{disk.url}a.txt?view=edit")
    await expect(page.locator(".cm-content")).to_be_focused()
    await page.keyboard.type("mine ")
    other = await page.context.new_page()
    await page.context.clear_cookies()
    await sign_in(other)

    await page.keyboard.press("Control+s")
    await expect(toast(page, "Saved")).to_be_visible()
    assert disk.text("/a.txt") == "mine one\n"
    upload: Any = {"name": "b.txt", "mimeType": "text/plain", "buffer": b"b"}
    await files.locator("#pick-files").set_input_files(upload)
    await expect(files.locator("#uploads h2")).to_have_text("1 file uploaded")
    assert disk.text("/b.txt") == "b"


async def test_windows_lines_stay_and_tab_leaves(page: Page, disk: DiskOnServer) -> None:
    disk.put("/a.bat", b"one\r\ntwo\r\n")
    await sign_in(page)
    await page.goto(f"{disk.url}a.bat?view=edit")
    await expect(page.locator(".cm-content")).to_be_focused()
    await assert_accessible(page)
    await page.keyboard.type("rem\n")
    await page.keyboard.press("Control+s")
    await expect(toast(page, "Saved")).to_be_visible()
    assert disk.text("/a.bat") == "rem\r\none\r\ntwo\r\n"
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")
    await expect(page.locator(".cm-content")).not_to_be_focused()


async def test_every_kind_of_file_is_shown(page: Page, disk: DiskOnServer) -> None:
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
    disk.put("/code.py", b"import os\n" * 30)
    disk.put("/data.json", b'{"a": [1, 2]}')
    disk.put("/dot.png", png)
    disk.put("/plan.svg", SVG)
    disk.put("/notes.md", b"# Title\n\n- item\n")
    disk.put("/sheet.csv", b"name,count\nx,1\n")
    disk.put("/bytes.bin", bytes(range(256)))
    await sign_in(page)
    await page.goto(f"{disk.url}code.py#L3-L5")
    await expect(page.locator(".code [data-hl]")).to_have_count(3)
    await assert_accessible(page)
    await page.goto(f"{disk.url}data.json")
    await expect(page.locator(".code > span")).to_have_count(6)
    await page.goto(f"{disk.url}dot.png")
    await expect(page.locator("[data-dimensions]")).to_have_text(re.compile("^1 . 1$"))
    # Drawn as a picture, in which no script runs.
    await page.goto(f"{disk.url}plan.svg")
    await expect(page.locator("[data-dimensions]")).to_have_text(re.compile("^40 . 30$"))
    assert await page.evaluate("() => window.hit") is None
    await page.get_by_role("link", name="Source").click()
    await expect(page.locator(".viewer-file .code")).to_contain_text("onload")
    await page.goto(f"{disk.url}notes.md")
    await expect(page.locator(".document h1")).to_have_text("Title")
    await assert_accessible(page)
    await page.goto(f"{disk.url}sheet.csv")
    await expect(page.locator(".sheet tbody td")).to_have_text(["x", "1"])
    await page.get_by_role("link", name="Source").click()
    await expect(page.locator(".code > span")).to_have_count(2)
    await page.goto(f"{disk.url}bytes.bin")
    await expect(page.locator(".hex")).to_contain_text("00000010  10 11 12")


async def test_preview_shows_the_file_that_has_the_keyboard(page: Page, disk: DiskOnServer) -> None:
    disk.put("/a.py", b"import os\n")
    disk.put("/b.md", b"# Title\n")
    await sign_in(page)
    await visit(page, disk)
    await page.get_by_role("button", name="Preview pane").click()
    await row(page, "a.py").focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#preview .document h1")).to_have_text("Title")
    await page.keyboard.press("ArrowUp")
    await expect(page.locator("#preview .code .k")).to_have_text("import")
    await page.locator("#preview").get_by_role("button", name="Metadata").click()
    await page.get_by_role("button", name="Add").click()
    await page.locator('#preview [name="key"]').fill("source")
    await page.locator('#preview [name="value"]').fill("{bad")
    await expect(page.locator("#preview .error")).to_contain_text("no good JSON")
    await page.locator('#preview [name="value"]').fill('{"page": 3}')
    await page.locator("#preview").get_by_role("button", name="Save").click()
    await expect(toast(page, "Metadata saved")).to_be_visible()
    await assert_accessible(page)
    await page.reload()
    await row(page, "a.py").locator(".c-size").click()
    await page.locator("#preview").get_by_role("button", name="Metadata").click()
    await expect(page.locator('#preview [name="value"]')).to_have_value('{"page":3}')


async def test_a_preview_that_comes_late_leaves_the_metadata_alone(
    page: Page, disk: DiskOnServer
) -> None:
    disk.put("/a.py", b"import os\n")
    await sign_in(page)
    await visit(page, disk)

    async def answer_late(route: Route) -> None:
        await asyncio.sleep(1.0)
        with contextlib.suppress(Error):
            await route.continue_()

    await page.route("**/a.py?part=preview", answer_late)
    async with page.expect_request("**/a.py?part=preview"):
        await page.get_by_role("button", name="Preview pane").click()
    await page.locator("#preview").get_by_role("button", name="Metadata").click()
    await page.get_by_role("button", name="Add").click()
    await page.locator('#preview [name="key"]').fill("source")
    await page.wait_for_timeout(1_500)
    await expect(page.locator('#preview [name="key"]')).to_have_value("source")
    await page.unroute_all()


async def test_search_by_name_and_by_content(page: Page, disk: DiskOnServer) -> None:
    disk.put("/a/one.py", b"x = 1\nneedle here\n\nneedle <b>again</b>\n")
    disk.put("/a/two.md", b"no such thing\n")
    await sign_in(page)
    await visit(page, disk)
    await page.get_by_role("button", name="Search", exact=True).first.click()
    panel = page.locator("#search-panel")
    await page.keyboard.type("**/*.md")
    await page.keyboard.press("Enter")
    await expect(panel.locator(".hit-file")).to_have_text(["/a/two.md"])
    await panel.get_by_role("button", name="Content").click()
    await panel.locator('[name="q"]').fill("need.e")
    await page.keyboard.press("Enter")
    await expect(panel.locator("mark")).to_have_text(["needle", "needle"])
    await expect(panel.get_by_role("status")).to_have_text("2 hits in 1 file.")
    await assert_accessible(page)
    await panel.locator("mark").last.click()
    await expect(page.locator(".code [data-hl]")).to_have_text("needle <b>again</b>")


async def test_many_files_come_as_one_zip(page: Page, disk: DiskOnServer) -> None:
    disk.put("/a.txt", b"a")
    disk.put("/b/c.txt", b"c")
    disk.put("/d.txt", b"d")
    await sign_in(page)
    await visit(page, disk)
    await row(page, "a.txt").locator(".check").click()
    await row(page, "b").locator(".check").click()
    async with page.expect_download() as coming:
        await page.locator("#picked").get_by_role("button", name="Download").click()
    download = await coming.value
    path = await download.path()
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert sorted(name for name in archive.namelist() if name[-1] != "/") == [
            "a.txt",
            "b/c.txt",
        ]
        assert archive.read("b/c.txt") == b"c"


async def test_hostile_names_and_contents_run_nothing(
    page: Page, disk: DiskOnServer, watch: Watch
) -> None:
    for name in ATTACKS:
        disk.put(f"/{name}", ATTACK_TEXT.encode())
    await sign_in(page)
    await visit(page, disk)
    await expect(names(page)).to_have_count(len(ATTACKS))
    assert sorted(await names(page).all_inner_texts()) == sorted(ATTACKS)
    await page.get_by_role("button", name="Preview pane").click()
    for name in ATTACKS:
        link = page.locator("#rows").get_by_text(name, exact=True)
        await link.locator("xpath=ancestor::tr").locator(".c-size").click()
        await expect(page.locator("#preview header strong")).to_have_text(name)
        await expect(page.locator("#preview .preview-body > *").first).to_be_visible()
        address = await link.get_attribute("href")
        for view in ("", "?view=raw", "?view=edit"):
            await page.goto(f"{address}{view}")
            await expect(page.locator("#path [aria-current]")).to_have_text(name)
            assert await page.evaluate("() => window.hit") is None
        await visit(page, disk)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")
    await expect(page.get_by_role("heading", name="This folder is empty")).to_be_visible()
    assert await page.evaluate("() => window.hit") is None


async def test_a_viewer_looks_and_changes_nothing(
    page: Page, server: Server, disk: DiskOnServer
) -> None:
    disk.put("/a.txt")
    await sign_in(page, *add_viewer(server))
    await visit(page, disk)
    for name in ("Upload", "New"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    await row(page, "a.txt").locator(".check").click()
    await expect(page.locator("#picked").get_by_role("button", name="Delete")).to_have_count(0)
    await row(page, "a.txt").focus()
    for key in ("Delete", "F2", "Control+x"):
        await page.keyboard.press(key)
    await expect(page.locator("dialog[open]")).to_have_count(0)
    await row(page, "a.txt").get_by_role("link").click()
    await expect(page.locator(".viewer-file .code")).to_contain_text("text")
    await expect(page.get_by_role("link", name="Edit")).to_have_count(0)
    assert disk.names() == ["a.txt"]


async def test_files_of_a_sandbox(page: Page, box: Box) -> None:
    box.run(
        "mkdir -p src/deep && echo hello > src/a.txt && ln -s src/a.txt latest && ln -s no broken"
    )
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/files/")
    await expect(row(page, "src")).to_be_visible()
    await expect(page).to_have_url(re.compile("/files/workspace/$"))
    await expect(row(page, "latest")).to_contain_text("→ src/a.txt")
    await expect(row(page, "broken")).to_contain_text("Broken link")
    await expect(row(page, "src").locator(".c-mode")).to_have_text("rwxr-xr-x")
    await assert_accessible(page)
    # What the box does is seen within a few seconds.
    box.run("echo new > fresh.txt")
    await expect(row(page, "fresh.txt")).to_be_visible(timeout=10_000)
    await row(page, "src").get_by_role("link").click()
    await row(page, "a.txt").get_by_role("link").click()
    await expect(page.locator(".viewer-file .code")).to_contain_text("hello")
    await page.get_by_role("link", name="Edit").click()
    await expect(page.locator(".cm-content")).to_be_focused()
    await page.keyboard.type("oh, ")
    await page.keyboard.press("Control+s")
    await expect(toast(page, "Saved")).to_be_visible()
    assert box.run("cat src/a.txt")["stdout"] == "oh, hello\n"


async def test_names_deceive_nobody(page: Page, box: Box) -> None:
    box.run(r"touch $'gpj.\u202etxt' $'two\nlines' $'caf\xe9'")
    shown = ["caf\ufffd", r"gpj.\u202etxt", r"two\u000alines"]
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/files/")
    await expect(names(page)).to_have_text(shown)
    assert await names(page).nth(1).get_attribute("title") == shown[1]
    await names(page).nth(1).click()
    await expect(page.locator("#path [aria-current]")).to_have_text(shown[1])
    await page.go_back()
    await page.locator("#rows .check").nth(1).click()
    await page.locator("#picked").get_by_role("button", name="Delete").click()
    await expect(page.locator("#confirm h2")).to_have_text(rf"Delete {shown[1]}?")
    await page.locator("#confirm").get_by_role("button", name="Delete").click()
    await expect(toast(page, shown[1])).to_be_visible()
    await expect(names(page)).to_have_text([shown[0], shown[2]])


async def test_what_cannot_be_looked_at_leaves_the_way_back(
    page: Page, box: Box, watch: Watch
) -> None:
    for status in ("403", "404", "422"):
        watch.allow(status)
    box.run("ln -s no broken; mkfifo pipe; touch secret; mkdir locked; chmod 000 secret locked")
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/files/")
    for name, words in (
        ("broken", "This link leads nowhere"),
        ("pipe", "This is a special file"),
        ("secret", "You may not read this file"),
        ("locked", "You may not read this folder"),
    ):
        await row(page, name).get_by_role("link").click()
        await expect(page.get_by_role("heading", name=words)).to_be_visible()
        await expect(page.locator("#path [aria-current]")).to_have_text(name)
        await expect(page.get_by_role("button", name="Upload", exact=True)).to_be_hidden()
        await page.get_by_role("link", name="Go to workspace").click()
        await expect(page.get_by_role("button", name="Upload", exact=True)).to_be_visible()


async def test_a_sandbox_has_no_trash_and_says_so(page: Page, box: Box) -> None:
    box.run("mkdir old && echo x > old/a.txt; mkdir -m 000 locked")
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/files/")
    await row(page, "old").locator(".check").click()
    await page.locator("#picked").get_by_role("button", name="Delete").click()
    await expect(page.locator("#confirm")).to_contain_text("A sandbox has no trash")
    await expect(page.locator("#confirm").get_by_role("button", name="Cancel")).to_be_focused()
    await page.locator("#confirm").get_by_role("button", name="Delete").click()
    await expect(row(page, "old")).to_have_count(0)
    assert "old" not in box.run("ls")["stdout"]


async def test_what_was_there_stays_readable_when_the_sandbox_ends(
    page: Page, box: Box, watch: Watch
) -> None:
    box.run("echo x > a.txt")
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/files/")
    await expect(row(page, "a.txt")).to_be_visible()
    box.request("DELETE")
    await expect(page.locator("#stale")).to_contain_text("Its files are gone", timeout=15_000)
    await expect(row(page, "a.txt")).to_be_visible()
    for name in ("New", "Upload"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_be_hidden()
    await page.reload()
    await expect(page.get_by_role("heading", name="Its files are gone")).to_be_visible()


async def test_disks_are_made_named_and_deleted(page: Page, server: Server) -> None:
    name = f"reports {uuid.uuid4().hex[:6]}"
    await sign_in(page)
    await page.goto("/disks/")
    await page.get_by_role("link", name="New disk").click()
    await page.locator("#disk-name").fill(name)
    await page.get_by_role("button", name="Create disk").click()
    await expect(page.get_by_role("heading", name="This folder is empty")).to_be_visible()
    await assert_accessible(page)
    disk = DiskOnServer.__new__(DiskOnServer)
    disk.server, disk.id = server, page.url.split("/disks/")[1].split("/")[0]
    disk.put("/a.txt")
    await page.get_by_role("navigation", name="Disk").get_by_role("link", name="Settings").click()
    await assert_accessible(page)
    await page.locator("#disk-name").fill(f"{name}!")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"{name}!")
    destroy = page.get_by_role("button", name="Delete disk")
    await expect(destroy).to_be_disabled()
    await page.locator("#delete-name").fill(f"{name}!")
    await destroy.click()
    await expect(page).to_have_url(re.compile("/disks/$"))
    await expect(page.get_by_text(f"{name}!", exact=True)).to_have_count(0)
    await assert_accessible(page)


async def test_phone_orders_and_filters_a_folder(phone: Page, disk: DiskOnServer) -> None:
    for path, size in (("/a.txt", 5), ("/b.txt", 500), ("/c.md", 50)):
        disk.put(path, b"x" * size)
    await sign_in(phone)
    await visit(phone, disk)
    await phone.get_by_role("combobox", name="Order").select_option("Largest first")
    await expect(names(phone)).to_have_text(["b.txt", "c.md", "a.txt"])
    await phone.get_by_role("searchbox", name="Filter this folder").fill(".txt")
    await phone.keyboard.press("Enter")
    await expect(names(phone)).to_have_text(["b.txt", "a.txt"])
    await expect(phone.get_by_role("combobox", name="Order")).to_have_value("-size")
    await assert_accessible(phone)


async def test_phone_closes_the_metadata_of_a_file(phone: Page, disk: DiskOnServer) -> None:
    disk.put("/a.py", b"import os\n")
    await sign_in(phone)
    await phone.goto(f"{disk.url}a.py")
    button = phone.get_by_role("button", name="Metadata", exact=True)
    await button.click()
    await phone.get_by_role("button", name="Add").click()
    await assert_accessible(phone)
    await phone.get_by_role("button", name="Close metadata").click()
    await expect(phone.locator("#meta-panel")).to_be_hidden()
    await expect(button).to_be_focused()
    await button.click()
    await phone.get_by_role("button", name="Add").focus()
    await phone.keyboard.press("Escape")
    await expect(phone.locator(".viewer-file .code")).to_be_visible()
    await expect(phone.locator("#meta-panel")).to_be_hidden()


async def test_phone_browses_and_looks(phone: Page, disk: DiskOnServer) -> None:
    disk.put("/a/b.txt", b"hello\n")
    await sign_in(phone)
    await visit(phone, disk)
    await assert_accessible(phone)
    await row(phone, "a").get_by_role("link").tap()
    await row(phone, "b.txt").get_by_role("button", name="More for b.txt").tap()
    await expect(phone.locator("#row-menu")).to_be_visible()
    await phone.locator("#row-menu").get_by_role("menuitem", name="Open").tap()
    await expect(phone.locator(".viewer-file .code")).to_contain_text("hello")
    wide = "() => document.documentElement.scrollWidth > innerWidth"
    assert not await phone.evaluate(wide)
    await assert_accessible(phone)
