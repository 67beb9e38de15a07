"""Idempotency keys: once done, the same answer again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse, JsonResponse
from django.utils import timezone

from project import database, idempotency
from project.errors import Conflict, Unavailable, Unprocessable
from project.models import IdempotentRequest


class Maker:
    def __init__(self, *, fails: bool = False) -> None:
        self.made = 0
        self.fails = fails
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> HttpResponse:
        await self.gate.wait()
        self.made += 1
        if self.fails:
            raise Unavailable("later")
        return JsonResponse({"made": self.made}, status=201)


def once(project: Any, make: Maker, request: str = "wish") -> Any:
    return idempotency.once(project, "POST /thing", "key", request, make)


async def test_a_repeat_gets_the_first_answer(project: Any) -> None:
    make = Maker()
    first = await once(project, make)
    again = await once(project, make)
    assert make.made == 1
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Idempotent-Replayed"] == "true"


async def test_another_request_with_the_same_key_is_422(project: Any) -> None:
    make = Maker()
    await once(project, make)
    with pytest.raises(Unprocessable):
        await once(project, make, "another wish")


async def test_a_repeat_while_the_first_is_answered_is_409(project: Any) -> None:
    make = Maker()
    make.gate.clear()
    first = asyncio.create_task(once(project, make))
    await asyncio.sleep(0.1)
    with pytest.raises(Conflict):
        await once(project, make)
    make.gate.set()
    await first
    assert make.made == 1


async def test_a_request_that_failed_may_be_tried_again(project: Any) -> None:
    with pytest.raises(Unavailable):
        await once(project, Maker(fails=True))
    assert (await once(project, Maker())).status_code == 201


async def test_a_request_whose_server_died_may_be_tried_again(project: Any) -> None:
    make = Maker()
    make.gate.clear()
    abandoned = asyncio.create_task(once(project, make))
    await asyncio.sleep(0.1)
    long_ago = timezone.now() - timedelta(minutes=5)
    await database.write(lambda: IdempotentRequest.objects.update(created_at=long_ago))
    make.gate.set()
    assert (await once(project, make)).status_code == 201
    await abandoned


async def test_the_same_key_of_another_project_is_another_key(project: Any, stranger: Any) -> None:
    make = Maker()
    await once(project, make)
    await once(stranger, make)
    assert make.made == 2


async def test_a_key_counts_for_a_day_and_claims_look_at_no_others(project: Any) -> None:
    make = Maker()
    await once(project, make)
    yesterday = timezone.now() - idempotency.KEPT - timedelta(seconds=1)
    await database.write(lambda: IdempotentRequest.objects.update(created_at=yesterday))
    await idempotency.once(project, "POST /thing", "another key", "wish", make)
    # What is too old goes with retention, not while somebody waits.
    assert await database.read(IdempotentRequest.objects.count) == 2
    again = await once(project, make)
    assert (make.made, "Idempotent-Replayed" in again) == (3, False)
