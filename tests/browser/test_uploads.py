"""Journeys of uploads: folders, large files, lost connections, reloads and taken names."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import add_viewer
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.test_files import DiskOnServer, row, toast, visit
from tests.browser.watch import Watch
from tests.browser.wire import wire_to
from tests.sandboxes.conftest import Box, make_box
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser]

GIB = 2**30
MIB = 2**20
# What a drop of files looks like to a page. Each is [path, text].
DROP = """async ([selector, files]) => {
  const data = new DataTransfer();
  for (const [name, text] of files) data.items.add(new File([text], name));
  const target = document.querySelector(selector);
  const options = {dataTransfer: data, bubbles: true, cancelable: true};
  target.dispatchEvent(new DragEvent("dragover", options));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const shown = !document.getElementById("drop-here").hidden;
  target.dispatchEvent(new DragEvent("drop", options));
  return shown;
}"""


@pytest.fixture
def disk(server: Server) -> DiskOnServer:
    return DiskOnServer(server)


def make_folder(at: Path, count: int) -> Path:
    """A folder of small files in sub-folders."""
    top = at / "photos"
    for number in range(count):
        path = top / f"day {number % 4}" / f"{number:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"picture {number}\n")
    return top


async def say_done(page: Page, words: str, timeout: float = 30_000) -> None:
    await expect(page.locator("#uploads h2")).to_have_text(words, timeout=timeout)


async def choose(page: Page, *files: Any) -> None:
    await page.locator("#pick-files").set_input_files(list(files))


def small(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


@pytest.mark.timeout(240)
async def test_a_folder_of_200_files(page: Page, disk: DiskOnServer, tmp_path: Path) -> None:
    folder = make_folder(tmp_path, 200)
    await sign_in(page)
    await visit(page, disk)
    began = time.monotonic()
    await page.locator("#pick-folder").set_input_files(str(folder))
    await expect(page.locator("#uploads")).to_be_visible()
    await expect(page.locator("#uploads [data-sum]")).to_contain_text("%")
    await assert_accessible(page)
    # The page stays usable meanwhile.
    await expect(row(page, "photos")).to_be_visible(timeout=20_000)
    await row(page, "photos").get_by_role("link").click()
    await expect(page.locator("#path [aria-current]")).to_have_text("photos")
    await say_done(page, "200 files uploaded", 150_000)
    took = time.monotonic() - began
    await expect(page.locator("#rows > tr")).to_have_count(4)
    assert len(disk.names("/photos/day 0/")) == 50
    assert disk.text("/photos/day 3/003.txt") == "picture 3\n"
    assert took < 150, f"200 files took {took:.1f} s"


async def test_files_are_dropped_into_a_folder(page: Page, disk: DiskOnServer) -> None:
    disk.put("/inbox/old.txt")
    await sign_in(page)
    await visit(page, disk)
    assert await page.evaluate(DROP, ["#listing", [["a.txt", "a"], ["b.txt", "b"]]])
    await say_done(page, "2 files uploaded")
    await expect(page.locator("#drop-here")).to_be_hidden()
    await expect(row(page, "a.txt")).to_be_visible()
    target = '#rows > tr[data-name="inbox"] th'
    await page.evaluate(DROP, [target, [["c.txt", "c"]]])
    await say_done(page, "1 file uploaded")
    assert disk.names("/inbox/") == ["c.txt", "old.txt"]
    assert disk.names() == ["a.txt", "b.txt"]


async def test_names_that_are_taken_are_asked_about(
    page: Page, disk: DiskOnServer, watch: Watch
) -> None:
    watch.allow("409")
    for name in "abcd":
        disk.put(f"/{name}.txt", b"old")
    await sign_in(page)
    await visit(page, disk)
    dialog = page.locator("#conflict-dialog")

    await choose(page, small("a.txt", "newer"))
    await expect(dialog.locator("h2")).to_have_text("a.txt is already in /")
    await expect(dialog.locator("[data-old]")).to_contain_text("3 B")
    await expect(dialog.locator("[data-new]")).to_contain_text("5 B")
    await expect(dialog.get_by_role("button", name="Keep both")).to_be_focused()
    await assert_accessible(page)
    await dialog.get_by_role("button", name="Skip").click()
    await say_done(page, "0 files uploaded, 1 skipped")
    assert disk.text("/a.txt") == "old"

    await choose(page, small("a.txt", "newer"))
    await dialog.get_by_role("button", name="Keep both").click()
    await say_done(page, "1 file uploaded")
    assert len(disk.names()) == 5
    assert disk.text("/a.txt") == "old"

    await choose(page, *(small(f"{name}.txt", "for all") for name in "abcd"))
    await dialog.locator("#conflict-all").check()
    await dialog.get_by_role("button", name="Replace").click()
    await say_done(page, "4 files uploaded")
    assert [disk.text(f"/{name}.txt") for name in "abcd"] == ["for all"] * 4
    await expect(dialog).to_be_hidden()


@pytest.mark.slow
@pytest.mark.timeout(420)
async def test_a_gigabyte_survives_a_reload(page: Page, disk: DiskOnServer, tmp_path: Path) -> None:
    path = tmp_path / "ledger.bin"
    with path.open("wb") as file:
        file.truncate(GIB)
        file.seek(GIB - 4)
        file.write(b"last")
    await sign_in(page)
    await visit(page, disk)
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await choose(page, path)
    percent = re.compile(r"^([5-9]|[1-9]\d) %")
    await expect(page.locator("#uploads [data-sum]")).to_have_text(percent, timeout=60_000)
    await expect(page.locator("#uploads [data-speed]")).to_contain_text("left", timeout=20_000)
    await page.reload()
    question = page.locator("#unfinished")
    await expect(question.locator("h2")).to_have_text("Resume 1 upload?")
    await expect(question.locator("li")).to_contain_text(re.compile(r"[1-9]\d* % of 1.0 GB"))
    await assert_accessible(page)
    async with page.expect_file_chooser() as choosing:
        await question.get_by_role("button", name="Choose again").click()
    await (await choosing.value).set_files(path)
    await expect(question).to_be_hidden()
    await say_done(page, "1 file uploaded", 170_000)
    await expect(row(page, "ledger.bin")).to_contain_text("1.0 GB")
    answer = disk.server.request(
        "GET", f"/disk/{disk.id}/artifact", params={"file_path": "/ledger.bin"}
    ).json()
    facts = answer["data"]["artifact"]["meta"]["__artifact_info__"]
    assert facts["size"] == GIB


@pytest.mark.timeout(180)
async def test_a_lost_connection_is_mended(
    open_page: OpenPage, server: Server, disk: DiskOnServer, watch: Watch, tmp_path: Path
) -> None:
    path = tmp_path / "large.bin"
    data = bytes(range(256)) * (40 * MIB // 256)
    path.write_bytes(data)
    async with wire_to(server.port) as wire:
        watch.host = urlsplit(wire.url).netloc
        watch.allow("ERR_|WebSocket|Failed to fetch|503|409")
        page = await open_page(base_url=wire.url)
        await sign_in(page)
        await visit(page, disk)
        await choose(page, path)
        await expect(page.locator("#uploads [data-sum]")).to_have_text(
            re.compile(r"^[1-9]\d? %"), timeout=30_000
        )
        wire.cut()
        await expect(page.locator("#uploads .pct").first).to_have_text(
            "Connection lost, trying again"
        )
        wire.mend()
        await say_done(page, "1 file uploaded", 60_000)
    answer = server.request(
        "GET", f"/disk/{disk.id}/artifact/download", params={"file_path": "/large.bin"}
    )
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(data).digest()


async def test_pause_cancel_and_go_on(page: Page, disk: DiskOnServer, tmp_path: Path) -> None:
    paths = []
    for name in ("a.bin", "b.bin"):
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(200 * MIB)
        paths.append(path)
    await sign_in(page)
    await visit(page, disk)
    await choose(page, *paths)
    card = page.locator("#uploads")
    await expect(card.locator("[data-sum]")).to_have_text(re.compile(r"^[1-9]\d? %"))
    await card.get_by_role("button", name="Pause all").click()
    await expect(card.locator('li[data-state="paused"]')).to_have_count(2)
    await card.get_by_role("button", name="Cancel b.bin").click()
    await expect(card.locator('li[data-state="cancelled"]')).to_have_count(1)
    await card.get_by_role("button", name="Resume all").click()
    await say_done(page, "1 file uploaded", 60_000)
    assert disk.names() == ["a.bin"]
    await page.reload()
    await expect(row(page, "a.bin")).to_be_visible()
    await expect(page.locator("#unfinished")).to_be_hidden()


async def test_the_next_page_says_that_an_upload_waits(
    page: Page, disk: DiskOnServer, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    with path.open("wb") as file:
        file.truncate(GIB)
    await sign_in(page)
    await visit(page, disk)
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await choose(page, path)
    await expect(page.locator("#uploads [data-sum]")).to_have_text(re.compile(r"^[1-9]\d? %"))
    await page.goto("/activity/")
    said = toast(page, "1 upload to")
    await expect(said).to_contain_text("waits to go on")
    await said.get_by_role("link", name="Go back").click()
    await expect(page.locator("#unfinished h2")).to_have_text("Resume 1 upload?")
    await expect(said).to_have_count(0)
    await page.locator("#unfinished").get_by_role("button", name="Discard").click()
    await expect(page.locator("#unfinished")).to_be_hidden()
    # Said once.
    await page.goto("/activity/")
    await page.wait_for_timeout(500)
    await expect(toast(page, "waits to go on")).to_have_count(0)


async def test_what_is_left_behind_is_offered_to_nobody_else(
    page: Page, disk: DiskOnServer, watch: Watch, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.bin"
    with path.open("wb") as file:
        file.truncate(100 * MIB)
    await sign_in(page)
    await visit(page, disk)
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await choose(page, path)
    card = page.locator("#uploads")
    await expect(card.locator("[data-sum]")).to_have_text(re.compile(r"^[1-9]\d? %"))
    await card.get_by_role("button", name="Pause all").click()
    # What is paused stays when another file is added, and that one is sent.
    await choose(page, small("note.txt", "hello"))
    await expect(card.locator('li[data-state="done"]')).to_have_count(1)
    await expect(card.locator('li[data-state="paused"]')).to_have_count(1)
    await expect(card.locator("h2")).to_have_text("Paused: 1 of 2")

    # The first page holds it: no other is asked about it.
    second = await page.context.new_page()
    async with second.expect_response("**/uploads/"):
        await visit(second, disk)
    await second.wait_for_timeout(600)
    await expect(second.locator("#unfinished")).to_be_hidden()

    await page.close()
    await second.reload()
    question = second.locator("#unfinished")
    await expect(question.locator("h2")).to_have_text("Resume 1 upload?")
    # A file of that name and size that was written since is another one.
    os.utime(path, (1_000_000_000, 1_000_000_000))
    async with second.expect_file_chooser() as choosing:
        await question.get_by_role("button", name="Choose again").click()
    await (await choosing.value).set_files(path)
    await expect(question).to_contain_text("ledger.bin was changed since")
    await expect(second.locator("#uploads")).to_be_hidden()

    await second.route("**/uploads/*-*", lambda route: route.abort())
    watch.allow("ERR_FAILED")
    await question.get_by_role("button", name="Discard").click()
    await expect(toast(second, "1 upload could not be discarded")).to_be_visible()
    await second.unroute_all()
    await question.get_by_role("button", name="Discard").click()
    await expect(question).to_be_hidden()
    async with second.expect_response("**/uploads/") as listed:
        await second.reload()
    assert (await (await listed.value).json())["uploads"] == []


async def test_what_cannot_be_is_said_at_once(
    page: Page, disk: DiskOnServer, watch: Watch, tmp_path: Path
) -> None:
    watch.allow("409")
    disk.put("/photos/a.txt")
    disk.put("/notes")
    await sign_in(page)
    await visit(page, disk)
    dialog = page.locator("#conflict-dialog")

    await choose(page, small("photos", "a file"))
    await expect(dialog.locator("[data-old]")).to_have_text("a folder")
    # Moments are written as the server writes them.
    written = re.compile(r" · \d\d [A-Z][a-z]{2} \d{4}, \d\d:\d\d:\d\d$")
    await expect(dialog.locator("[data-new]")).to_have_text(written)
    await expect(dialog.get_by_role("button", name="Replace")).to_be_hidden()
    await dialog.get_by_role("button", name="Skip").click()
    await say_done(page, "0 files uploaded, 1 skipped")

    for relative in ("notes/b.txt", "photos/deep/b.txt"):
        path = tmp_path / relative
        path.parent.mkdir(parents=True)
        path.write_text("text")
    await page.locator("#pick-folder").set_input_files(str(tmp_path / "notes"))
    word = page.locator('#uploads li[data-state="failed"] .pct')
    await expect(word).to_have_attribute("title", "A file named notes is where a folder has to be")

    # The question names the folder that the file goes to.
    disk.put("/photos/deep/b.txt")
    await page.locator("#pick-folder").set_input_files(str(tmp_path / "photos"))
    await expect(dialog.locator("h2")).to_have_text("b.txt is already in /photos/deep/")
    await dialog.get_by_role("button", name="Skip").click()


async def test_refusals_are_said_in_words(page: Page, disk: DiskOnServer, watch: Watch) -> None:
    watch.allow("413|404|500")
    await sign_in(page)
    await visit(page, disk)
    await page.evaluate(
        """() => {
          const file = new File(["x"], "huge.bin");
          Object.defineProperty(file, "size", {value: 2 ** 45});
          const data = {types: ["Files"], files: [file], items: []};
          const event = new Event("drop", {bubbles: true, cancelable: true});
          Object.defineProperty(event, "dataTransfer", {value: data});
          document.querySelector("#listing").dispatchEvent(event);
        }"""
    )
    word = page.locator('#uploads li[data-state="failed"] .pct')
    await expect(word).to_have_attribute("title", re.compile("GiB|GB"))
    assert await word.evaluate("(it) => it.scrollWidth - it.clientWidth") <= 0
    await expect(page.locator("#uploads h2")).to_have_text("0 files uploaded, 1 failed")


async def test_files_go_into_a_sandbox(page: Page, server: Server) -> None:
    box: Box = make_box(server, name="calm-otter")
    await sign_in(page)
    await page.goto(f"/sandboxes/{box.id}/files/")
    await expect(page.get_by_role("heading", name="This folder is empty")).to_be_visible()
    await choose(page, small("a.txt", "hello\n"))
    await say_done(page, "1 file uploaded")
    await expect(row(page, "a.txt")).to_be_visible(timeout=10_000)
    assert box.run("cat a.txt")["stdout"] == "hello\n"
    box.request("DELETE")


async def test_a_viewer_drops_nothing(page: Page, server: Server, disk: DiskOnServer) -> None:
    await sign_in(page, *add_viewer(server))
    await visit(page, disk)
    assert not await page.evaluate(DROP, ["#listing", [["a.txt", "a"]]])
    await page.wait_for_timeout(300)
    assert disk.names() == []
