"""Home: the project at a glance, and the first steps in a new one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient
from django.utils import timezone

from disks.models import Disk
from project import activity, database, policy
from project.models import Project, Role
from project.views import home
from sandboxes.models import Terminal, UsageSample
from tests.project.people import AsyncBrowser
from tests.sandboxes.test_sampling import make_row


def client_of(project: Project, role: Role) -> AsyncClient:
    user = User.objects.create_user(str(role), password="x")
    policy.add_member(project, user, role)
    client = AsyncBrowser(project)
    client.force_login(user)
    return client


@pytest.fixture
def member(project: Project) -> AsyncClient:
    return client_of(project, Role.MEMBER)


async def page_of(client: AsyncClient, address: str = "/") -> str:
    answer: Any = await client.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


async def test_new_project_shows_the_first_steps(member):
    page = await page_of(member)

    assert page.count("data-done") == 0
    assert "New disk" in page
    assert "0 running" in page
    assert "Nothing was done in this project yet." in page


async def test_steps_tick_themselves_and_go(member, project):
    sandbox = await database.write(make_row, project)
    assert (await page_of(member)).count("data-done") == 1

    await database.write(Disk.objects.create, project=project, name="reports")
    await database.write(Terminal.objects.create, sandbox=sandbox, name="bash")

    page = await page_of(member)
    assert "First steps" not in page
    assert "reports" in page


async def test_glance_counts_what_is_ours(member, project, stranger):
    sandbox = await database.write(make_row, project, name="ours", cpus=2)
    theirs = await database.write(make_row, stranger, name="theirs")
    for row in (sandbox, theirs):
        await database.write(
            UsageSample.objects.create,
            sandbox=row,
            at=timezone.now(),
            cpu_percent=150.0,
            memory_bytes=200 * 2**20,
            workspace_bytes=0,
            processes=1,
        )
    for place in (project, stranger):
        name = f"box of {place.name}"
        await database.write(
            activity.record, place, "sandbox.create", actor="mara", object_name=name
        )

    part = await page_of(member, "/?part")

    assert "<html" not in part
    assert "1 running" in part
    assert "1.5 <span" in part
    assert "200 MB <span" in part
    assert "theirs" not in part
    assert "box of ours" in part
    assert "somebody else" not in part


async def test_viewer_is_offered_nothing_to_make(project):
    viewer = await database.write(client_of, project, Role.VIEWER)
    await database.write(make_row, project, name="one")

    page = await page_of(viewer)

    assert "one" in page
    assert "/sandboxes/new/" not in page
    assert "New disk" not in page


async def test_glance_adds_up_the_newest_samples(project):
    now = timezone.now()
    for name, shares in (("a", {25: 900.0, 5: 100.0}), ("b", {10: 50.0}), ("stale", {50: 800.0})):
        row = await database.write(make_row, project, name=name)
        for age, share in shares.items():
            await database.write(
                UsageSample.objects.create,
                sandbox=row,
                at=now - timedelta(seconds=age),
                cpu_percent=share,
                memory_bytes=2**20,
                workspace_bytes=0,
                processes=1,
            )

    facts = await database.read(home._facts, project)

    assert (facts.running, facts.cores, facts.memory_bytes) == (3, 1.5, 2 * 2**20)


async def test_glance_reads_no_row_of_each_sandbox(project):
    def rows_read() -> int:
        read = 0

        def count(execute, sql, params, many, context):
            nonlocal read
            cursor = execute(sql, params, many, context)
            read += sql.startswith("SELECT") and "COUNT" not in sql and "SUM" not in sql
            return cursor

        with connection.execute_wrapper(count):
            home._facts(project)
        return read

    await database.write(make_row, project)
    assert await database.read(rows_read) == 0


async def test_empty_home_counts_nothing_out_of_nothing(member):
    page = await page_of(member)

    assert "<h1>Home</h1>" in page
    assert page.count("Nothing runs") == 2
    assert "of 0 B" not in page


@pytest.fixture
def viewer(project: Project) -> AsyncClient:
    return client_of(project, Role.VIEWER)


async def test_viewer_is_not_told_to_take_steps(viewer):
    assert "First steps" not in await page_of(viewer)
    assert "Create a disk" not in await page_of(viewer, "/sandboxes/")


async def test_activity_leads_to_the_sandbox_or_disk_it_was_on(member, project):
    sandbox = await database.write(make_row, project, name="calm-otter")
    disk = await database.write(Disk.objects.create, project=project, name="reports")
    for verb, thing in (
        ("terminal.open", sandbox.pk),
        ("file.save", disk.pk),
        ("file.delete", sandbox.pk),
        ("folder.create", "c0ffee00-0000-4000-8000-000000000000"),
    ):
        told: dict[str, Any] = {"actor": "mara", "object_id": thing, "object_name": verb}
        await database.write(activity.record, project, verb, **told)

    page = await page_of(member)

    for address, name in (
        (f"/sandboxes/{sandbox.pk}/terminal/", "terminal.open"),
        (f"/disks/{disk.pk}/files/", "file.save"),
        (f"/sandboxes/{sandbox.pk}/files/", "file.delete"),
    ):
        assert f'href="{address}">{name}</a>' in page
    # What is not there any more is only named.
    assert ">folder.create</a>" not in page
