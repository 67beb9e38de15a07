"""Samples of usage: read from running sandboxes, thinned as they grow old."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from project import database
from project.models import Project
from sandboxes import guests, lifecycle, sampling
from sandboxes.engine import close_engine, get_engine
from sandboxes.models import Reason, Sandbox, Status, UsageSample
from sandboxes.options import NewSandbox
from sandboxes.sampling import Reading

pytestmark = pytest.mark.slow

MIB = 2**20
NOW = timezone.now().replace(second=0, microsecond=0)


def make_row(project: Project, **fields: Any) -> Sandbox:
    wish: dict[str, Any] = {
        "project": project,
        "image": "default",
        "cpus": 1,
        "memory_bytes": 512 * MIB,
        "workspace_bytes": 100 * MIB,
        "pids": 64,
        "status": Status.RUNNING,
        "created_at": NOW - timedelta(hours=30),
    }
    return Sandbox.objects.create(**{**wish, **fields})


def add_samples(sandbox: Sandbox, *, first: timedelta, count: int) -> None:
    """Add samples 5 s apart from so long ago on."""
    UsageSample.objects.bulk_create(
        UsageSample(
            sandbox=sandbox,
            at=NOW - first + timedelta(seconds=5 * number),
            cpu_percent=number,
            memory_bytes=MIB,
            workspace_bytes=0,
            processes=1,
        )
        for number in range(count)
    )


@pytest.fixture
async def engine(settings, transactional_db) -> AsyncIterator[None]:
    """The engine without isolation, with its sandboxes gone afterwards."""
    settings.SANDBOX_ENGINE = "local"
    get_engine.cache_clear()
    sampling._readings.clear()
    sampling._silent_until.clear()
    yield
    await guests.close_all()
    await close_engine()
    get_engine.cache_clear()


@pytest.fixture(autouse=True)
def from_the_start() -> None:
    sampling._thinned_until = None


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        (Reading(10.0, 1.0), Reading(15.0, 2.0), 20.0),
        (Reading(10.0, 1.0), Reading(15.0, 11.0), 200.0),
        # A guest that counts backwards, and two readings at once.
        (Reading(10.0, 5.0), Reading(15.0, 1.0), 0.0),
        (Reading(10.0, 1.0), Reading(10.0, 2.0), 0.0),
    ],
)
def test_percent_is_of_one_core(before: Reading, after: Reading, percent: float) -> None:
    assert sampling.cpu_percent(before, after) == percent


async def test_running_sandboxes_are_sampled(engine, project):
    sandbox = await lifecycle.create(project, NewSandbox())
    paused = await lifecycle.create(project, NewSandbox())
    await lifecycle.pause(paused)

    await sampling.sample()
    await sampling.sample()

    samples = await database.read(lambda: list(UsageSample.objects.all()))
    assert [sample.sandbox_id for sample in samples] == [sandbox.id, sandbox.id]
    assert all(sample.memory_bytes > 0 for sample in samples)


async def test_guest_that_does_not_answer_is_left_alone(engine, project, settings, monkeypatch):
    monkeypatch.setattr(sampling, "ANSWER_SECONDS", 0.2)
    stuck = await lifecycle.create(project, NewSandbox())
    fine = await lifecycle.create(project, NewSandbox())
    # Frozen behind our back: the row says that it runs, and its guest stands still.
    await get_engine().pause(stuck.box_name)

    await sampling.sample()
    await sampling.sample()

    samples = await database.read(lambda: list(UsageSample.objects.all()))
    assert [sample.sandbox_id for sample in samples] == [fine.id, fine.id]
    assert stuck.id in sampling._silent_until
    await get_engine().resume(stuck.box_name)


async def test_an_old_sandbox_has_no_pace_before_the_second_reading(engine, project):
    sandbox = await lifecycle.create(project, NewSandbox())
    age = timezone.now() - timedelta(hours=5)
    await database.write(Sandbox.objects.filter(pk=sandbox.pk).update, created_at=age)

    await sampling.sample()

    assert not await database.read(UsageSample.objects.exists)
    await sampling.sample()
    assert await database.read(UsageSample.objects.count) == 1


def test_the_last_hour_is_kept_whole_and_the_day_in_minutes(project):
    sandbox = make_row(project)
    add_samples(sandbox, first=timedelta(minutes=50), count=24)
    add_samples(sandbox, first=timedelta(hours=5), count=24)
    add_samples(sandbox, first=timedelta(hours=26), count=24)

    async_to_sync(sampling.thin)()

    kept = list(UsageSample.objects.values_list("at", "cpu_percent"))
    assert len([at for at, _ in kept if at > NOW - timedelta(hours=1)]) == 24
    # Of each minute the last, and nothing of yesterday.
    assert [percent for at, percent in kept if at < NOW - timedelta(hours=1)] == [11, 23]


def test_a_dead_sandbox_keeps_its_minutes(project):
    ended = NOW - timedelta(hours=20)
    sandbox = make_row(project, status=Status.KILLED, reason=Reason.KILLED, ended_at=ended)
    add_samples(sandbox, first=timedelta(hours=30), count=12)
    add_samples(sandbox, first=timedelta(hours=21), count=24)

    async_to_sync(sampling.thin)()
    async_to_sync(sampling.thin)()

    assert UsageSample.objects.count() == 12 + 2


def test_thinning_goes_on_where_it_stopped(project):
    sandbox = make_row(project)
    add_samples(sandbox, first=timedelta(minutes=3), count=36)

    first = sampling.surplus(sandbox.id, NOW - timedelta(minutes=9), NOW - timedelta(seconds=90))
    UsageSample.objects.filter(id__in=first).delete()
    assert len(first) == 11
    second = sampling.surplus(sandbox.id, NOW - timedelta(seconds=90), NOW)

    assert len(second) == 22


def test_samples_of_others_stay(project):
    sandbox = make_row(project)
    add_samples(sandbox, first=timedelta(hours=5), count=24)

    assert sampling.surplus(uuid.uuid4(), NOW - timedelta(hours=9), NOW) == []
