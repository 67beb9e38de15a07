"""What a refused sandbox is told of an engine that is away or unfit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from project.errors import Unavailable
from sandboxes import fitness, selftest
from sandboxes.engine.base import EngineUnavailable, ImageNotFound
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
