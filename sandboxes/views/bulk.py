"""What is done to several sandboxes at once, with a result for each."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse

from project import database
from project.errors import Invalid, Refused
from project.models import Project
from project.pages import PageRequest, done, note, page, render
from project.policy import Right
from sandboxes import lifecycle
from sandboxes.models import Sandbox

MOST = 200
PARALLEL = 8
DONE_WORDS = {"stop": "stopped", "pause": "paused", "resume": "resumed", "extend": "extended"}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one of them; `problem` is empty if it was done."""

    sandbox: Sandbox
    problem: str


@page(needs=Right.WORK)
async def bulk(request: PageRequest) -> HttpResponse:
    """Stop, pause, resume or extend what was selected. Stopping is asked for twice."""
    act, seconds, ids = _asked(request)
    chosen = await database.read(_chosen, request.member.project, ids)
    if act == "stop" and not request.POST.get("sure"):
        return await render(request, "sandboxes/confirm_stop.html", {"chosen": chosen})
    results = await _each(request, chosen, act, seconds)
    failed = [{"name": str(it.sandbox), "problem": it.problem} for it in results if it.problem]
    message = _summary(act, results, len(ids) - len(chosen))
    return await done(request, message, reverse("sandboxes:list"), failed=failed)


def _asked(request: PageRequest) -> tuple[str, int, list[uuid.UUID]]:
    """Return the act, its seconds, and the ids. Raises Invalid."""
    only = request.POST.get("stop", "")
    act, _, seconds = ("stop" if only else request.POST.get("act", "")).partition(":")
    if act not in DONE_WORDS:
        raise Invalid("say what to do with the sandboxes")
    try:
        ids = [uuid.UUID(text) for text in ([only] if only else request.POST.getlist("ids"))]
        added = int(seconds or 0)
    except ValueError:
        raise Invalid("the selection cannot be read") from None
    if not ids:
        raise Invalid("select at least one sandbox")
    if len(ids) > MOST:
        raise Invalid(f"select {MOST} sandboxes at the most")
    if act == "extend" and not 0 < added <= settings.SANDBOX_MAX_SECONDS:
        raise Invalid("say by how much to extend them")
    return act, added, ids


def _chosen(project: Project, ids: list[uuid.UUID]) -> list[Sandbox]:
    return list(Sandbox.objects.filter(project=project, id__in=ids).order_by("name", "id"))


def _action(act: str, seconds: int, by: str) -> Callable[[Sandbox], Awaitable[object]]:
    async def stop(sandbox: Sandbox) -> None:
        with suppress(lifecycle.EndsLater):
            if not await lifecycle.kill(sandbox, by=by):
                raise Invalid("it had ended already")

    async def extend(sandbox: Sandbox) -> None:
        await lifecycle.extend(sandbox, lifecycle.longer(sandbox, seconds))

    return {
        "stop": stop,
        "pause": lifecycle.pause,
        "resume": lifecycle.resume,
        "extend": extend,
    }[act]


async def _each(
    request: PageRequest, chosen: list[Sandbox], act: str, seconds: int
) -> list[Result]:
    """Act on each, a few at a time, and note each as soon as it is done."""
    places = asyncio.Semaphore(PARALLEL)
    action = _action(act, seconds, request.member.name)
    verb = f"sandbox.{'kill' if act == 'stop' else act}"

    async def do(sandbox: Sandbox) -> Result:
        async with places:
            try:
                await action(sandbox)
            except Refused as refusal:
                return Result(sandbox, refusal.message)
            await note(request, verb, object_id=sandbox.pk, object_name=str(sandbox))
            return Result(sandbox, "")

    return list(await asyncio.gather(*(do(sandbox) for sandbox in chosen)))


def _summary(act: str, results: list[Result], missing: int) -> str:
    """Say what was done to how many, and to whom not, such as `2 stopped, 1 failed: …`."""
    failed = [result for result in results if result.problem]
    parts = [f"{len(results) - len(failed)} {DONE_WORDS[act]}"]
    if failed:
        reasons = "; ".join(f"{result.sandbox}: {result.problem}" for result in failed)
        parts.append(f"{len(failed)} failed: {reasons}")
    if missing:
        parts.append(f"{missing} not found")
    return f"{', '.join(parts)}."
