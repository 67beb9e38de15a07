"""What an operator does in the admin panel, in a real browser, on a real server and engine."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from sandboxes.engine.base import BoxNotFound, BoxSpec
from sandboxes.engine.docker import DockerEngine
from sandboxes.image.build import default_image_name
from sandboxes.lifecycle import LABEL_INSTANCE
from tests.browser.steps import assert_accessible, sign_in
from tests.browser.watch import Watch
from tests.engine.boxes import SLEEP
from tests.sandboxes.conftest import Box, make_box
from tests.server import Server

# Several looks of ten seconds each, or an examination.
pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(150)]

# A part looks again every ten seconds.
PATIENCE = 20_000
# While somebody else has the lease, the server's own supervisor heals nothing.
TAKE_LEASE = """
from datetime import timedelta
from django.utils import timezone
from project.models import Lease
from sandboxes.lifecycle import installation_id
until = timezone.now() + timedelta(hours=1)
Lease.objects.update_or_create(name="supervisor", defaults={"holder": "x", "expires_at": until})
print(installation_id())
"""
MAKE_MANY = """
from project.models import EndUser, Project
project = Project.objects.first()
EndUser.objects.bulk_create(EndUser(project=project, identifier=f"many-{n}") for n in range(201))
"""
FORGET_MANY = """
from project.models import EndUser
EndUser.objects.filter(identifier__startswith="many-").delete()
"""
GIVE_BACK = "from project.models import Lease; Lease.objects.filter(holder='x').delete()"


@pytest_asyncio.fixture(loop_scope="session")
async def desk(page: Page) -> Page:
    """The administrator's page."""
    await sign_in(page)
    return page


@pytest.fixture
def box(server: Server) -> Iterator[Box]:
    made = make_box(server, name="calm-otter")
    yield made
    made.request("DELETE")


@pytest.fixture
def installation(server: Server) -> Iterator[str]:
    """The id of the server's installation, while its supervisor does nothing."""
    yield server.manage("shell", "-v", "0", "-c", TAKE_LEASE).split()[-1]
    server.manage("shell", "-v", "0", "-c", GIVE_BACK)


@pytest_asyncio.fixture(loop_scope="session")
async def engine() -> AsyncIterator[DockerEngine]:
    engine = DockerEngine()
    yield engine
    await engine.close()


async def plant(engine: DockerEngine, instance: str) -> str:
    """Start a box of an installation that no sandbox stands for."""
    name = f"sandbank-{uuid.uuid4()}"
    labels = {LABEL_INSTANCE: instance}
    await engine.create(BoxSpec(name, default_image_name(), SLEEP, labels))
    await engine.start(name)
    return name


async def is_there(engine: DockerEngine, name: str) -> bool:
    try:
        await engine.get(name)
    except BoxNotFound:
        return False
    return True


@pytest.mark.parametrize(
    "address",
    [
        "/admin/",
        "/admin/sandboxes/sandbox/",
        "/admin/sandboxes/sandbox/{box}/change/",
        "/admin/auth/user/1/change/",
        "/admin/project/apikey/add/",
        "/admin/overview/",
        "/admin/doctor/",
    ],
)
async def test_everybody_can_use_the_pages(desk: Page, box: Box, address: str) -> None:
    await desk.goto(address.format(box=box.id))
    await assert_accessible(desk)


async def test_the_records_have_more_contrast_where_it_is_wanted(
    desk: Page, server: Server
) -> None:
    await desk.context.add_cookies([{"name": "theme", "value": "contrast", "url": server.url}])
    await desk.goto("/admin/sandboxes/sandbox/")
    await expect(desk.locator("html")).to_have_attribute("data-contrast", "more")
    await assert_accessible(desk)


async def test_a_list_of_several_pages(desk: Page, server: Server) -> None:
    server.manage("shell", "-v", "0", "-c", MAKE_MANY)
    try:
        await desk.goto("/admin/project/enduser/?q=many-")
        await expect(desk.get_by_role("button", name="3", exact=True)).to_be_visible()
        await assert_accessible(desk)
    finally:
        server.manage("shell", "-v", "0", "-c", FORGET_MANY)


async def test_the_records_fit_a_phone(phone: Page) -> None:
    await sign_in(phone)
    for address in ("/admin/", "/admin/sandboxes/sandbox/", "/admin/overview/", "/admin/doctor/"):
        await phone.goto(address)
        wide = await phone.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, address
        await assert_accessible(phone)


async def test_there_is_one_theme(desk: Page) -> None:
    await desk.goto("/admin/")
    await expect(desk.locator(".theme-toggle")).to_have_count(0)
    await desk.get_by_role("button", name="Theme").click()
    await desk.get_by_role("menuitemradio", name="Dark").click()
    background = "getComputedStyle(document.body).backgroundColor"
    dark = "rgb(15, 18, 22)"
    assert await desk.evaluate(background) == dark
    await desk.goto("/")
    assert await desk.evaluate(background) == dark
    await desk.goto("/admin/sandboxes/sandbox/")
    assert await desk.evaluate(background) == dark


async def test_a_sandbox_is_killed_after_a_question(desk: Page, server: Server) -> None:
    box = make_box(server, name="doomed")
    await desk.goto("/admin/sandboxes/sandbox/?q=doomed")
    await desk.locator("#result_list tbody input[type=checkbox]").check()
    await desk.locator("select[name=action]").first.select_option("kill")
    await desk.get_by_role("button", name="Run").first.click()
    await expect(desk.get_by_role("heading", name="Stop sandboxes?")).to_be_visible()
    assert box.data("GET")["sandbox_status"] == "running"
    await assert_accessible(desk)
    await desk.get_by_role("button", name="Stop").click()
    await expect(desk.locator(".messagelist")).to_contain_text("Stopped: doomed.")
    told = box.data("GET")
    assert (told["sandbox_status"], told["reason"]) == ("killed", "killed")
    await desk.goto("/admin/project/activity/?q=sandbox.kill")
    await expect(desk.locator("#result_list tbody tr").first).to_contain_text("admin panel")


async def test_orphans_are_repaired_and_strangers_left_alone(
    desk: Page, engine: DockerEngine, installation: str
) -> None:
    lost, another = await plant(engine, installation), await plant(engine, installation)
    theirs = await plant(engine, str(uuid.uuid4()))
    try:
        await desk.goto("/admin/overview/")
        orphans = desk.locator(".orphans tbody tr")
        await expect(orphans).to_have_count(2)
        await assert_accessible(desk)
        await orphans.filter(has_text=lost).get_by_role("button", name="Repair").click()
        await expect(orphans).to_have_count(1, timeout=PATIENCE)
        assert not await is_there(engine, lost)
        third = await plant(engine, installation)
        await expect(orphans).to_have_count(2, timeout=PATIENCE)
        await desk.get_by_role("button", name="Repair all 2").click()
        await desk.get_by_role("dialog").get_by_role("button", name="Repair all").click()
        await expect(desk.get_by_text("Every box has its sandbox")).to_be_visible(timeout=PATIENCE)
        assert not await is_there(engine, another)
        assert not await is_there(engine, third)
        assert await is_there(engine, theirs)
    finally:
        for name in (lost, another, theirs):
            await engine.remove(name)


async def test_what_is_typed_survives_the_look_every_ten_seconds(desk: Page) -> None:
    await desk.goto("/admin/overview/")
    await desk.get_by_label("Type stop all sandboxes").fill("stop a")
    await desk.get_by_text("Show as table").click()
    async with desk.expect_response("**part=live**"):
        pass
    await expect(desk.get_by_label("Type stop all sandboxes")).to_have_value("stop a")
    await expect(desk.locator(".hours + details")).to_have_attribute("open", "")


async def test_all_sandboxes_are_stopped_after_the_words(
    desk: Page, server: Server, watch: Watch
) -> None:
    watch.allow("400")
    server.end_sandboxes()
    boxes = [make_box(server), make_box(server)]
    boxes[1].request("POST", "/pause")
    await desk.goto("/admin/overview/")
    await expect(desk.locator("[data-alive]")).to_have_text("2 alive now")
    words = desk.get_by_label("Type stop all sandboxes")
    await words.fill("stop")
    await desk.get_by_role("button", name="Stop all").click()
    await expect(desk.get_by_role("alert")).to_contain_text("Type stop all sandboxes")
    await words.fill("stop all sandboxes")
    await desk.get_by_role("button", name="Stop all").click()
    await expect(desk.locator("[data-alive]")).to_have_text("0 alive now", timeout=PATIENCE)
    assert [box.data("GET")["sandbox_status"] for box in boxes] == ["killed", "killed"]


async def test_the_doctor_examines_this_engine(desk: Page) -> None:
    await desk.goto("/admin/doctor/")
    await desk.get_by_role("button", name="Examine").click()
    await expect(desk.get_by_role("heading", name="As text")).to_be_visible(timeout=45_000)
    await expect(desk.get_by_text("A guest runs a command", exact=True)).to_be_visible()
    await expect(desk.locator(".findings .badge-err")).to_have_count(0)
    # What this machine's kernel lacks is advised, with what to do.
    for advised in await desk.locator(".findings tr:has(.badge-warn)").all():
        await expect(advised.locator(".advice")).not_to_be_empty()
    await expect(desk.locator("#report")).to_contain_text("✔ right    a guest runs a command")
    await assert_accessible(desk)
    await desk.set_viewport_size({"width": 390, "height": 844})
    assert await desk.evaluate("document.documentElement.scrollWidth") <= 390
