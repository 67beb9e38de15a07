"""What has no counterpart is found, repaired while it has none, and nobody else's is touched."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from project import database
from project.errors import NotFound, Unavailable
from project.models import Project
from sandboxes import lifecycle, orphans, selftest
from sandboxes.engine import close_engine, get_engine
from sandboxes.engine.base import BoxNotFound, BoxSpec, EngineUnavailable
from sandboxes.engine.local import LocalEngine
from sandboxes.models import Reason, Sandbox, Status
from sandboxes.orphans import Kind
from sandboxes.stop_all import stop_all

pytestmark = pytest.mark.slow

SLEEP = ("python3", "-c", "import time; time.sleep(600)")
type MakeBox = Callable[..., Awaitable[str]]


@pytest.fixture(autouse=True)
async def engine(settings: Any) -> AsyncIterator[None]:
    settings.SANDBOX_ENGINE = "local"
    await close_engine()
    yield
    await close_engine()


@pytest.fixture
async def make_box(project: Project) -> MakeBox:
    instance = await database.write(lifecycle.installation_id)

    async def make(name: str = "", **labels: str) -> str:
        name = name or f"sandbank-{uuid.uuid4()}"
        labels = labels or {lifecycle.LABEL_INSTANCE: instance}
        await get_engine().create(BoxSpec(name=name, image="i", command=SLEEP, labels=labels))
        return name

    return make


async def make_row(project: Project, status: Status) -> Sandbox:
    sandbox = Sandbox(
        project=project,
        image="i",
        cpus=1,
        memory_bytes=1,
        workspace_bytes=1,
        pids=1,
        status=status,
    )
    await database.write(sandbox.save)
    return sandbox


async def found() -> list[tuple[str, str]]:
    return [(orphan.kind, orphan.key) for orphan in (await orphans.survey()).orphans]


async def is_there(name: str) -> bool:
    try:
        await get_engine().get(name)
    except BoxNotFound:
        return False
    return True


async def test_a_pair_is_no_orphan(project: Project, make_box: MakeBox) -> None:
    for status in (Status.RUNNING, Status.PAUSED, Status.CREATING, Status.STOPPING):
        await make_box((await make_row(project, status)).box_name)
    await make_row(project, Status.KILLED)
    # Its box is still to come.
    await make_row(project, Status.CREATING)
    assert await found() == []


async def test_a_box_without_a_row_is_removed(project: Project, make_box: MakeBox) -> None:
    name = await make_box()
    assert await found() == [(Kind.BOX, name)]
    assert (await orphans.repair(Kind.BOX, name)).name == name
    assert not await is_there(name)
    assert await found() == []


async def test_the_box_of_an_ended_sandbox_is_removed(project: Project, make_box: MakeBox) -> None:
    sandbox = await make_row(project, Status.KILLED)
    name = await make_box(sandbox.box_name)
    assert await found() == [(Kind.BOX, name)]
    assert (await orphans.repair(Kind.BOX, name)).project_id == project.pk
    assert not await is_there(name)


async def test_a_box_that_goes_with_its_sandbox_is_no_orphan(
    project: Project, make_box: MakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = await make_row(project, Status.STOPPING)
    name = await make_box(sandbox.box_name)
    read = orphans._rows

    def ended_since(names: Any) -> Any:
        Sandbox.objects.filter(pk=sandbox.pk).update(status=Status.KILLED)
        return read(names)

    monkeypatch.setattr(orphans, "_rows", ended_since)
    # Listed, and then removed before its row was read.
    listed = await get_engine().list({})
    await get_engine().remove(name)

    async def boxes(*_: object) -> Any:
        return listed

    monkeypatch.setattr(LocalEngine, "list", boxes)
    assert await found() == []


async def test_a_row_without_a_box_ends_with_the_reason(project: Project) -> None:
    sandbox = await make_row(project, Status.RUNNING)
    assert await found() == [(Kind.ROW, str(sandbox.pk))]
    await orphans.repair(Kind.ROW, str(sandbox.pk))
    await database.read(sandbox.refresh_from_db)
    assert (sandbox.status, sandbox.reason) == (Status.ERROR, Reason.LOST)
    assert await found() == []


async def test_what_is_no_orphan_any_more_is_left_alone(
    project: Project, make_box: MakeBox
) -> None:
    sandbox = await make_row(project, Status.RUNNING)
    assert await found() == [(Kind.ROW, str(sandbox.pk))]
    await make_box(sandbox.box_name)
    with pytest.raises(NotFound):
        await orphans.repair(Kind.ROW, str(sandbox.pk))
    with pytest.raises(NotFound):
        await orphans.repair(Kind.BOX, sandbox.box_name)
    await database.read(sandbox.refresh_from_db)
    assert sandbox.status == Status.RUNNING
    assert await is_there(sandbox.box_name)


async def test_boxes_of_others_are_counted_and_never_touched(
    project: Project, make_box: MakeBox
) -> None:
    theirs = await make_box(**{lifecycle.LABEL_INSTANCE: str(uuid.uuid4())})
    unknown = await make_box(**{"sandbank.test": "x"})
    survey = await orphans.survey()
    assert (survey.orphans, survey.foreign) == ([], 2)
    for name in (theirs, unknown):
        with pytest.raises(NotFound):
            await orphans.repair(Kind.BOX, name)
    assert await orphans.repair_all() == []
    assert await is_there(theirs)
    assert await is_there(unknown)


async def test_a_probe_is_an_orphan_once_nobody_can_wait_for_it(
    project: Project, make_box: MakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await make_box("sandbank-probe-1", **{selftest.PROBE_LABEL: "1"})
    assert await found() == []
    assert (await orphans.survey()).foreign == 0
    monkeypatch.setattr(selftest, "LEFT_OVER_AFTER", timedelta(0))
    assert await found() == [(Kind.PROBE, name)]
    await orphans.repair(Kind.PROBE, name)
    assert not await is_there(name)


async def test_all_are_repaired_at_once(project: Project, make_box: MakeBox) -> None:
    await make_box()
    await make_box()
    await make_row(project, Status.PAUSED)
    results = await orphans.repair_all()
    assert [problem for _, problem in results] == ["", "", ""]
    assert await found() == []


async def test_an_engine_that_goes_away_midway_is_told(
    project: Project, make_box: MakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await make_box()
    await make_row(project, Status.PAUSED)
    found_before = await orphans.survey()

    async def get(*_: object) -> None:
        raise EngineUnavailable("The engine cannot be reached.")

    async def survey() -> orphans.Survey:
        return found_before

    monkeypatch.setattr(LocalEngine, "get", get)
    with pytest.raises(Unavailable):
        await orphans.survey()
    # What can be repaired is, and the rest is told of.
    monkeypatch.setattr(orphans, "survey", survey)
    problems = {orphan.kind: problem for orphan, problem in await orphans.repair_all()}
    monkeypatch.undo()
    assert "does not answer" in problems.pop(Kind.ROW)
    assert problems == {Kind.BOX: ""}
    assert not await is_there(name)


async def test_stopping_all_ends_every_kind_in_every_project(
    project: Project, stranger: Project, make_box: MakeBox
) -> None:
    rows = [await make_row(project, status) for status in (Status.RUNNING, Status.PAUSED)]
    rows += [await make_row(stranger, status) for status in (Status.RUNNING, Status.CREATING)]
    for row in rows:
        await make_box(row.box_name)
    ended = await make_row(project, Status.ERROR)
    results = await stop_all("admin")
    assert {sandbox.pk for sandbox, _ in results} == {row.pk for row in rows}
    assert [problem for _, problem in results] == [""] * 4
    for row in (*rows, ended):
        await database.read(row.refresh_from_db)
    assert [row.status for row in rows] == [Status.KILLED] * 4
    assert {row.ended_by for row in rows} == {"admin"}
    assert ended.status == Status.ERROR
    assert await get_engine().list({}) == []
