"""What a refused sandbox is told of an engine that is away or unfit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from project import database
from project.errors import Unavailable
from project.models import Project
from sandboxes import fitness, lifecycle, selftest
from sandboxes.engine.base import EngineUnavailable, ImageNotFound
from sandboxes.models import Sandbox
from sandboxes.options import NewSandbox
from sandboxes.selftest import Finding


class Engine:
    name = "docker"


@pytest.fixture(autouse=True)
def examined(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fitness, "get_engine", Engine)
    fitness.forget()
    yield
    fitness.forget()


def find(monkeypatch: pytest.MonkeyPatch, finding: Finding) -> None:
    async def run(*arguments: object) -> list[Finding]:
        return [finding]

    monkeypatch.setattr(selftest, "run", run)


async def test_engine_that_is_away_is_told_in_plain_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = selftest._no_probe(EngineUnavailable("The engine cannot be reached."))
    find(monkeypatch, away)
    with pytest.raises(Unavailable) as refusal:
        await fitness.require_fit("python:3.13")
    assert refusal.value.message.startswith(
        "no sandbox can be made now. The engine cannot be reached. Is the engine running"
    )


async def test_engine_that_is_unfit_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    find(monkeypatch, Finding("seccomp filter", False, "on", "off", "Switch it on."))
    with pytest.raises(
        Unavailable, match=r"seccomp filter is off, and should be on\. Switch it on\."
    ):
        await fitness.require_fit("python:3.13")


async def test_all_who_wait_share_one_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, answers = 0, asyncio.Event()

    async def run(*_: object) -> list[Finding]:
        nonlocal begun
        begun += 1
        await answers.wait()
        return [selftest._no_probe(EngineUnavailable("The engine cannot be reached."))]

    monkeypatch.setattr(selftest, "run", run)
    waiting = [asyncio.create_task(fitness.require_fit("python:3.13")) for _ in range(3)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await fitness.require_fit("python:3.13")
    answers.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in told] == [Unavailable] * 3
    assert begun == 1
    # What could not be found out is asked again.
    with pytest.raises(Unavailable):
        await fitness.require_fit("python:3.13")
    assert begun == 2


async def test_who_makes_a_sandbox_waits_so_long_for_the_examination_and_no_longer(
    project: Project, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    async def hang(*_: object) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(selftest, "run", hang)
    settings.SANDBOX_CREATE_SECONDS = 0.05
    with pytest.raises(Unavailable, match=r"did not start within 0\.05 seconds"):
        async with asyncio.timeout(5):
            await lifecycle.create(project, NewSandbox())
    assert not await database.read(Sandbox.objects.exists)


async def test_only_images_that_are_on_the_engine_are_offered(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    class Has(Engine):
        async def image(self, name: str) -> None:
            if name != "python:3.13":
                raise ImageNotFound(f"There is no image {name!r}.")

    settings.SANDBOX_IMAGES = ["python:3.13", "node:22"]
    monkeypatch.setattr(fitness, "get_engine", Has)
    assert await fitness.offered() == ["python:3.13"]


async def test_all_images_are_offered_while_the_engine_is_away(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    class Away(Engine):
        async def image(self, name: str) -> None:
            raise EngineUnavailable("The engine cannot be reached.")

    settings.SANDBOX_IMAGES = ["python:3.13"]
    monkeypatch.setattr(fitness, "get_engine", Away)
    assert await fitness.offered() == ["python:3.13"]


async def test_what_is_under_way_is_broken_off_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, removed = asyncio.Event(), asyncio.Event()

    async def examined() -> str:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            removed.set()
        return ""

    waiting = asyncio.create_task(fitness._known("an image", examined))
    await begun.wait()
    await fitness.stop()
    assert removed.is_set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert fitness._under_way == {}
