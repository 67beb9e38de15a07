"""Chores that last: done apart from the loop, a batch at a time, as long as the lease is ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from project import database
from project.models import Lease
from sandboxes import supervisor
from sandboxes.models import Sandbox

type Work = Callable[[], Awaitable[object]]


@pytest.fixture
async def start(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> AsyncIterator[Callable[[Work], None]]:
    """Starts the supervisor with a single chore, which is due once an hour and done apart."""
    settings.SUPERVISOR_SECONDS = 0.02
    monkeypatch.setattr(supervisor, "_chores", {})

    def start_with(work: Work) -> None:
        supervisor.add_chore("a long one", 3600, work, apart=True)
        supervisor.start()

    yield start_with
    await supervisor.stop()


def _give_away() -> None:
    later = timezone.now() + timedelta(hours=1)
    Lease.objects.filter(name=supervisor.LEASE).update(holder="another", expires_at=later)


async def test_what_has_more_to_do_goes_on_at_once(start: Callable[[Work], None]) -> None:
    left, done = [3, 2, 1], asyncio.Event()

    async def work() -> bool:
        left.pop()
        if not left:
            done.set()
        return bool(left)

    start(work)
    await asyncio.wait_for(done.wait(), 10)


@pytest.mark.slow
async def test_no_turn_waits_for_it(
    start: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, turns = asyncio.Event(), asyncio.Semaphore(0)

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def expire() -> None:
        turns.release()

    monkeypatch.setattr(supervisor, "expire", expire)
    start(work)
    await asyncio.wait_for(begun.wait(), 10)
    for _ in range(3):
        await asyncio.wait_for(turns.acquire(), 10)


async def test_who_has_lost_the_lease_does_not_go_on(start: Callable[[Work], None]) -> None:
    begun: list[None] = []
    lost = asyncio.Event()

    async def work() -> bool:
        begun.append(None)
        await database.write(_give_away)
        lost.set()
        return True

    start(work)
    await asyncio.wait_for(lost.wait(), 10)
    # A write that waits in the same queue comes behind any that would take the lease again.
    for _ in range(5):
        await database.write(lambda: None)
    assert len(begun) == 1


async def test_a_sandbox_that_answers_too_slowly_holds_no_other_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "PARALLEL", 1)
    monkeypatch.setattr(supervisor, "PATIENCE_SECONDS", 0.05)
    slow, quick = Sandbox(), Sandbox()
    done: list[Sandbox] = []

    async def work(sandbox: Sandbox) -> None:
        if sandbox is slow:
            await asyncio.Event().wait()
        done.append(sandbox)

    async with asyncio.timeout(5):
        await supervisor._each([slow, quick], work)
    assert done == [quick]
    assert f"sandbox {slow.id} has to wait: it took too long" in caplog.text


def test_what_lasts_is_done_apart() -> None:
    assert apps.is_installed("disks")
    for name in ("the trash", "expired uploads", "the sweep of blobs"):
        assert supervisor._chores[name].apart
