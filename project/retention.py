"""What is kept for a while only: one chore deletes it, a little at a time.

SQLite has one writer at a time. So nothing here takes it for longer than one small batch, and
there is a pause before the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, Model, Q, QuerySet, Value, When
from django.utils import timezone

from project import database, idempotency
from project.models import Activity, AttemptCount, IdempotentRequest, Memo, Session
from sandboxes.models import (
    DEAD,
    Command,
    GeneratedFile,
    RecordingPart,
    Sandbox,
    Terminal,
    UsageSample,
)

# Rows in one statement; fewer of those that may be large.
BATCH = 500
SMALLER: dict[type[Model], int] = {RecordingPart: 20, Command: 20}
PAUSE_SECONDS = 0.02
# Of so many sandboxes at once the history is looked through.
GROUP = 50
# Up to which ended sandbox the history was thinned out, oldest first.
THINNED = "history thinned until"

type Work = Callable[[Sequence[Any]], object]


async def purge() -> None:
    """Delete all that was kept long enough. A chore of the supervisor."""
    now = timezone.now()
    await _delete(Session.objects.filter(expire_date__lt=now))
    await _delete(AttemptCount.objects.filter(ends_at__lt=now))
    await _delete(IdempotentRequest.objects.filter(created_at__lt=now - idempotency.KEPT))
    await _delete(Activity.objects.filter(at__lt=now - timedelta(days=settings.ACTIVITY_DAYS)))
    if settings.SANDBOX_DAYS:
        await _forget_sandboxes(now - timedelta(days=settings.SANDBOX_DAYS))
    if settings.HISTORY_DAYS:
        await _thin_history(now - timedelta(days=settings.HISTORY_DAYS))


# --- Sandboxes that ended long ago ------------------------------------------------------------


async def _thin_history(before: datetime) -> None:
    """Delete what sandboxes that ended before then used, showed and said.

    The rows of sandboxes, commands and terminals stay. What was looked through once is not
    looked through again.
    """
    while group := await database.read(_to_thin, before):
        ids = [sandbox.pk for sandbox in group]
        await _delete(UsageSample.objects.filter(sandbox__in=ids))
        await _delete(RecordingPart.objects.filter(terminal__sandbox__in=ids))
        await _in_batches(Terminal.objects.filter(sandbox__in=ids, recorded=True), _note_unrecorded)
        said = Command.objects.filter(~Q(stdout="") | ~Q(stderr=""), sandbox__in=ids)
        await _in_batches(said, _drop_output)
        await database.note(_remember_thinned, group[-1])


def _to_thin(before: datetime) -> list[Sandbox]:
    """Return the next sandboxes whose history is too old."""
    memo = Memo.objects.filter(name=THINNED).first()
    rows = Sandbox.objects.filter(ended_at__lt=before).order_by("ended_at", "pk")
    if memo is not None:
        at, pk = datetime.fromisoformat(memo.value["ended_at"]), memo.value["id"]
        rows = rows.filter(Q(ended_at__gt=at) | Q(ended_at=at, pk__gt=pk), ended_at__gte=at)
    return list(rows.only("ended_at")[:GROUP])


def _remember_thinned(last: Sandbox) -> None:
    assert last.ended_at is not None
    value = {"ended_at": last.ended_at.isoformat(), "id": str(last.pk)}
    Memo.objects.update_or_create(name=THINNED, defaults={"value": value})


def _note_unrecorded(ids: Sequence[Any]) -> None:
    # Nothing leads to a recording that is gone.
    Terminal.objects.filter(pk__in=ids).update(recorded=False)


def _drop_output(ids: Sequence[Any]) -> None:
    note = Value(f"[kept for {settings.HISTORY_DAYS} days, and left out since]\n")
    Command.objects.filter(pk__in=ids).update(
        **{
            stream: Case(When(**{stream: ""}, then=Value("")), default=note)
            for stream in ("stdout", "stderr")
        }
    )


async def _forget_sandboxes(before: datetime) -> None:
    """Delete the rows of sandboxes that ended before then, with all that belongs to them."""

    def find() -> list[Any]:
        rows = Sandbox.objects.filter(ended_at__lt=before, status__in=DEAD).order_by("ended_at")
        return list(rows.values_list("pk", flat=True)[:GROUP])

    while ids := await database.read(find):
        await _delete(UsageSample.objects.filter(sandbox__in=ids))
        await _delete(RecordingPart.objects.filter(terminal__sandbox__in=ids))
        for model in (Terminal, Command, GeneratedFile):
            await _delete(model._default_manager.filter(sandbox__in=ids))
        await _delete(Sandbox.objects.filter(pk__in=ids))


# --- A little at a time -----------------------------------------------------------------------


async def _delete(rows: QuerySet[Any]) -> None:
    model: type[Model] = rows.model

    def delete(ids: Iterable[Any]) -> None:
        model._default_manager.filter(pk__in=ids).delete()

    await _in_batches(rows, delete)


async def _in_batches(rows: QuerySet[Any], work: Work) -> None:
    """Do something to rows, so many in one statement, each row once."""

    size = SMALLER.get(rows.model, BATCH)

    def find(beyond: QuerySet[Any]) -> list[Any]:
        return list(beyond.order_by("pk").values_list("pk", flat=True)[:size])

    ids = await database.read(find, rows)
    while ids:
        # A power cut that takes a batch back costs nothing: it is found again.
        await database.note(work, ids)
        await asyncio.sleep(PAUSE_SECONDS)
        ids = await database.read(find, rows.filter(pk__gt=ids[-1])) if len(ids) == size else []
