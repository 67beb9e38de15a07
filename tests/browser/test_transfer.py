"""Journeys on the transfer page: by pointer, by keyboard, and from the file browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import add_viewer
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.test_files import ATTACKS, DiskOnServer
from tests.browser.watch import Watch
from tests.sandboxes.conftest import Box, make_box
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(120)]

END_MS = 20_000


@pytest.fixture
def disk(server: Server) -> DiskOnServer:
    return DiskOnServer(server)


@pytest.fixture
def box(server: Server) -> Iterator[Box]:
    made = make_box(server, name="calm-otter")
    yield made
    made.request("DELETE")


def address(disk: DiskOnServer, box: Box, folder: str = "/", into: str = "/workspace") -> str:
    return f"/transfer/?left=disk:{disk.id}:{folder}&right=sandbox:{box.id}:{into}"


def row(page: Page, side: str, name: str) -> Locator:
    return page.locator(f'#{side} tbody tr[data-name="{name}"]')


def newest(page: Page) -> Locator:
    return page.locator("#jobs [data-job]").first


async def drag(page: Page, what: Locator, to: Locator) -> None:
    await what.drag_to(to, source_position={"x": 300, "y": 10}, target_position={"x": 200, "y": 90})


async def test_dragged_to_a_sandbox_and_back(page: Page, disk: DiskOnServer, box: Box) -> None:
    disk.put("/in/a.txt", b"from the disk\n")
    disk.put("/in/deep/b.txt")
    await sign_in(page)
    await page.goto(address(disk, box))

    await drag(page, row(page, "left", "in"), page.locator("#right .scroll"))

    await expect(row(page, "right", "in")).to_be_visible(timeout=END_MS)
    await expect(newest(page)).to_contain_text("2 copied", timeout=END_MS)
    assert box.run("cat in/a.txt; find in -type f | sort")["stdout"] == (
        "from the disk\nin/a.txt\nin/deep/b.txt\n"
    )

    box.run("echo made here > result.txt")
    await expect(row(page, "right", "result.txt")).to_be_visible(timeout=END_MS)
    await drag(page, row(page, "right", "result.txt"), page.locator("#left .scroll"))

    await expect(row(page, "left", "result.txt")).to_be_visible(timeout=END_MS)
    assert disk.text("/result.txt") == "made here\n"
    assert box.run("cat result.txt")["stdout"] == "made here\n"


async def test_shift_moves_what_is_dragged_into_a_folder(
    page: Page, disk: DiskOnServer, box: Box
) -> None:
    disk.put("/a.txt")
    box.run("mkdir -p into")
    await sign_in(page)
    await page.goto(address(disk, box))

    await row(page, "left", "a.txt").hover()
    await page.mouse.down()
    await row(page, "right", "into").hover()
    await page.keyboard.down("Shift")
    await row(page, "right", "into").hover(position={"x": 200, "y": 12})
    await page.mouse.up()
    await page.keyboard.up("Shift")

    await expect(newest(page)).to_contain_text("1 moved", timeout=END_MS)
    await expect(row(page, "left", "a.txt")).to_have_count(0)
    assert box.run("ls into")["stdout"] == "a.txt\n"
    assert disk.names() == []


async def test_a_side_that_is_gone_leaves_the_other_alive(
    page: Page, server: Server, disk: DiskOnServer
) -> None:
    other = DiskOnServer(server)
    for each in (disk, other):
        for name in "abcd":
            each.put(f"/{name}.txt")
    disk.put("/folder/inside.txt")
    await sign_in(page)
    await page.goto(f"/transfer/?left=disk:{disk.id}:/&right=disk:{other.id}:/")
    # With Shift, going back takes rows out again.
    await row(page, "left", "a.txt").focus()
    for key in ("ArrowDown",) * 3 + ("ArrowUp",) * 2:
        await page.keyboard.press(f"Shift+{key}")
    await expect(page.locator("#left [data-picked]")).to_contain_text("2 selected")

    server.request("DELETE", f"/disk/{other.id}").raise_for_status()
    await page.locator("#right [data-refresh]").click()
    await expect(page.locator("#right")).to_contain_text("What was here is gone")
    await row(page, "left", "folder").get_by_role("link").click()
    await expect(row(page, "left", "inside.txt")).to_be_visible()
    await page.goto(f"/transfer/?left=disk:{disk.id}:/&right=disk:{other.id}:/")
    await expect(page.locator("#right")).to_contain_text("What was here is gone")
    await row(page, "left", "a.txt").focus()
    await page.keyboard.press("F5")
    await expect(page.locator(".toast")).to_contain_text("Choose a place on both sides first.")


async def test_the_keyboard_alone_copies(page: Page, disk: DiskOnServer, box: Box) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        disk.put(f"/{name}")
    box.run("mkdir folder; touch folder/inside")
    await sign_in(page)
    await page.goto(address(disk, box))

    await row(page, "left", "a.txt").focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Space")
    await expect(page.locator("#left [data-picked]")).to_contain_text("2 selected")
    await page.keyboard.press("F5")

    await expect(newest(page)).to_contain_text("2 copied", timeout=END_MS)
    await expect(row(page, "right", "b.txt")).to_be_visible(timeout=END_MS)
    await row(page, "left", "a.txt").focus()
    await page.keyboard.press("Tab")
    await expect(row(page, "right", "folder")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(row(page, "right", "inside")).to_be_focused()
    assert "folder" in page.url
    await page.keyboard.press("F6")
    await expect(newest(page)).to_contain_text("1 moved", timeout=END_MS)
    assert disk.names() == ["a.txt", "b.txt", "c.txt", "inside"]
    assert box.run("ls . folder")["stdout"].split() == [".:", "a.txt", "b.txt", "folder", "folder:"]
    await page.go_back()
    await expect(row(page, "right", "folder")).to_be_visible()
    await page.keyboard.press("Shift+Tab")


@pytest.mark.parametrize(
    ("button", "old", "new", "result"),
    [
        ("Replace", "new", None, "2 copied"),
        ("Skip", "old", None, "1 copied, 1 skipped"),
        ("Keep both", "old", "new", "2 copied"),
    ],
)
async def test_taken_names_are_asked_about_first(
    page: Page,
    watch: Watch,
    disk: DiskOnServer,
    box: Box,
    button: str,
    old: str,
    new: str | None,
    result: str,
) -> None:
    watch.allow("409")
    disk.put("/a.txt", b"new")
    disk.put("/b.txt", b"new")
    box.run("printf old > a.txt")
    await sign_in(page)
    await page.goto(address(disk, box))
    await page.locator("#left [data-all]").check()

    await page.locator('[data-way="left"]').click()
    dialog = page.locator("#conflict")
    await expect(dialog).to_contain_text("1 file of the same name is there already")
    await expect(dialog.get_by_text("a.txt")).to_be_visible()
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await dialog.get_by_role("button", name=button).click()

    await expect(newest(page)).to_contain_text(result, timeout=END_MS)
    assert box.run("cat a.txt")["stdout"] == old
    assert box.run("cat 'a (2).txt'")["stdout"] == (new or "")


async def test_nothing_starts_when_the_question_is_cancelled(
    page: Page, watch: Watch, disk: DiskOnServer, box: Box
) -> None:
    watch.allow("409")
    disk.put("/quarter.txt", b"new")
    box.run("printf old > quarter.txt")
    await sign_in(page)
    await page.goto(address(disk, box))
    before = await page.locator("#jobs [data-job]").count()
    await row(page, "left", "quarter.txt").focus()
    await page.keyboard.press("F5")
    await expect(page.locator("#conflict")).to_be_visible()
    name = page.locator("#conflict .examples td").first
    # The text itself, not its cell, has a box for each line.
    lines = "(it) => { const all = new Range(); all.selectNodeContents(it); return all.getClientRects().length }"
    assert await name.evaluate(lines) == 1
    await page.keyboard.press("Escape")
    await expect(page.locator("#conflict")).to_be_hidden()

    await page.reload()

    assert await page.locator("#jobs [data-job]").count() == before
    assert box.run("cat quarter.txt")["stdout"] == "old"


async def test_a_big_one_tells_its_progress_and_is_cancelled(
    page: Page, disk: DiskOnServer, box: Box
) -> None:
    box.run("mkdir big; for i in 1 2 3 4; do head -c 80M /dev/urandom > big/$i; done")
    await sign_in(page)
    await page.goto(address(disk, box))
    await row(page, "right", "big").locator(".check").check()
    await page.locator('[data-way="right"]').click()
    job = newest(page)
    await expect(job).to_have_attribute("data-status", "running", timeout=END_MS)
    await expect(job.locator("progress")).to_be_visible()

    await job.get_by_role("button", name="Cancel").click()

    await expect(newest(page)).to_have_attribute("data-status", "cancelled", timeout=END_MS)
    await expect(newest(page)).to_contain_text("Cancelled")
    assert len(disk.names("/big/")) < 4


async def test_what_failed_is_told_and_can_be_run_again(
    page: Page, disk: DiskOnServer, box: Box
) -> None:
    box.run("mkdir in; echo x > in/a; ln -s a in/link; mkfifo in/pipe")
    await sign_in(page)
    await page.goto(address(disk, box))
    await row(page, "right", "in").locator(".check").check()
    await page.locator('[data-way="right"]').click()
    await expect(newest(page)).to_contain_text("1 copied, 2 skipped", timeout=END_MS)

    await newest(page).get_by_role("link", name="Details").click()
    await expect(page.get_by_text("/workspace/in/link")).to_be_visible()
    await expect(page.get_by_text("it is a symbolic link").first).to_be_visible()
    await assert_accessible(page)
    await page.get_by_role("button", name="Run again").click()

    await expect(page.locator("#jobs [data-job]").nth(1)).to_be_visible()
    await page.get_by_role("button", name="Clear finished").click()
    await expect(page.locator('#jobs [data-status="done"]')).to_have_count(0, timeout=END_MS)


async def test_a_sandbox_that_stops_while_looked_at_says_so(
    page: Page, disk: DiskOnServer, box: Box
) -> None:
    await sign_in(page)
    await page.goto(address(disk, box))

    box.request("DELETE")

    await expect(page.locator("#right")).to_contain_text("stopped by the API key", timeout=END_MS)
    await expect(page.locator("#right").get_by_role("link", name="New like this")).to_be_visible()


async def test_sides_are_swapped_and_the_address_says_so(
    page: Page, disk: DiskOnServer, box: Box
) -> None:
    disk.put("/a.txt")
    await sign_in(page)
    await page.goto(address(disk, box))

    await page.get_by_role("link", name="Swap").click()

    await expect(row(page, "right", "a.txt")).to_be_visible()
    await page.reload()
    await expect(row(page, "right", "a.txt")).to_be_visible()
    await page.goto("/transfer/")
    await expect(row(page, "right", "a.txt")).to_be_visible()


async def test_names_that_attack_do_nothing(page: Page, disk: DiskOnServer, box: Box) -> None:
    for name in ATTACKS:
        disk.put(f"/{name}")
    await sign_in(page)
    await page.goto(address(disk, box))
    await page.locator("#left [data-all]").check()
    await page.locator('[data-way="left"]').click()

    await expect(newest(page)).to_contain_text(f"{len(ATTACKS)} copied", timeout=END_MS)
    await expect(page.locator("#right tbody tr")).to_have_count(len(ATTACKS), timeout=END_MS)

    assert await page.evaluate("window.hit") is None


async def test_a_viewer_sees_and_cannot_copy(
    page: Page, watch: Watch, server: Server, disk: DiskOnServer, box: Box
) -> None:
    watch.allow("403")
    disk.put("/a.txt")
    await sign_in(page, *add_viewer(server))
    await page.goto(address(disk, box))

    await expect(row(page, "left", "a.txt")).to_be_visible()
    await row(page, "left", "a.txt").click()
    await expect(page.locator('[data-way="left"]')).to_be_disabled()
    status = await page.evaluate(
        """async ([source, target]) => {
          const token = document.querySelector('meta[name="csrf-token"]').content;
          const data = new URLSearchParams({source, target, names: "a.txt"});
          const shown = document.querySelector("[data-project]").dataset.project;
          const headers = {
            "X-CSRFToken": token, "X-Project": shown, Accept: "application/json",
          };
          return (await fetch("/transfer/start/", {method: "POST", body: data, headers})).status;
        }""",
        [f"disk:{disk.id}:/", f"sandbox:{box.id}:/workspace"],
    )
    assert status == 403
    assert box.run("ls")["stdout"] == ""


async def test_without_scripts_the_form_works(
    open_page: OpenPage, disk: DiskOnServer, box: Box
) -> None:
    disk.put("/a.txt")
    page = await open_page(java_script_enabled=False)
    await sign_in(page)
    await page.goto(address(disk, box))

    await page.locator('input[name="names"][value="a.txt"]').check()
    await page.locator('[data-way="left"]').click()

    await expect(page.locator("#jobs [data-job]").first).to_be_visible()
    assert "a.txt" in box.run("sleep 1; ls")["stdout"]


async def test_from_the_file_browser_to_a_sandbox(page: Page, disk: DiskOnServer, box: Box) -> None:
    disk.put("/in/a.txt")
    box.run("mkdir -p data/deep")
    await sign_in(page)
    await page.goto(disk.url)
    await page.locator('tr[data-name="in"] .check').check()
    await page.locator("[data-transfer-selection]").click()
    dialog = page.locator("#goes-to")
    await dialog.locator("select").select_option(f"sandbox:{box.id}")
    await dialog.get_by_role("button", name="data", exact=True).click()
    await expect(dialog.locator("[name=folder]")).to_have_value("/workspace/data")
    await expect(dialog.get_by_role("button", name="deep", exact=True)).to_be_visible()
    await assert_accessible(page)

    await dialog.get_by_role("button", name="Copy", exact=True).click()

    await expect(dialog).to_be_hidden()
    await expect(page.locator(".toast").filter(has_text="1 copied")).to_be_visible(timeout=END_MS)
    assert box.run("cat data/in/a.txt")["stdout"] == "text\n"


async def test_everybody_can_use_it(page: Page, disk: DiskOnServer, box: Box) -> None:
    disk.put("/folder/a.txt")
    disk.put("/b.txt")
    await sign_in(page)
    await page.goto(address(disk, box))
    await row(page, "left", "b.txt").click()
    await assert_accessible(page)


async def test_a_phone_shows_one_side_at_a_time(phone: Page, disk: DiskOnServer, box: Box) -> None:
    disk.put("/a.txt")
    await sign_in(phone)
    await phone.goto(address(disk, box))
    await expect(phone.locator("#right")).to_be_hidden()
    await assert_accessible(phone)

    await row(phone, "left", "a.txt").locator(".check").tap()
    await phone.locator('[data-way="left"]').tap()
    await expect(newest(phone)).to_contain_text("1 copied", timeout=END_MS)
    await phone.locator('[data-shows="right"]').tap()

    await expect(row(phone, "right", "a.txt")).to_be_visible(timeout=END_MS)
    await expect(phone.locator("#left")).to_be_hidden()


async def test_a_strangers_side_is_not_found(page: Page, watch: Watch, disk: DiskOnServer) -> None:
    watch.allow("404")
    await sign_in(page)
    answer = await page.goto("/transfer/?left=disk:00000000-0000-4000-8000-000000000000:/")
    assert answer is not None
    assert answer.status == 404
