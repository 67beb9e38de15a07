"""What has no counterpart: boxes without a row, rows said alive without a box, left probes.

The reconciler heals these by itself, at the second scan that sees them. Here they can be seen,
and healed at once by somebody who does not want to wait, or whose supervisor does not run.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from project import database
from project.errors import Conflict, NotFound, Refused
from sandboxes import guests, lifecycle, selftest
from sandboxes.engine import get_engine
from sandboxes.engine.base import Box, BoxNotFound
from sandboxes.models import DEAD, Reason, Sandbox, Status


class Kind(StrEnum):
    """The kinds of orphans, each with its remedy."""

    BOX = "box"
    ROW = "row"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Orphan:
    """One thing without its counterpart. `key` finds it again: a box's name, or a row's id."""

    kind: Kind
    key: str
    name: str
    # What it is, and what a repair does, each in a sentence.
    what: str
    remedy: str
    since: datetime | None = None
    project_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """The orphans of this installation, and how many boxes belong to others."""

    orphans: Sequence[Orphan]
    # Boxes of other installations on the same engine, and what is neither theirs nor a probe.
    foreign: int


async def survey() -> Survey:
    """Compare every box with every row, now. Changes nothing. Raises Refused."""
    instance = await database.write(lifecycle.installation_id)
    with guests.refusals():
        boxes = await get_engine().list({})
    ours = {box.name: box for box in boxes if _is_ours(box, instance)}
    # Rows are read after the boxes: a row is written before its box is made.
    rows = await database.read(_rows, list(ours))
    # A sandbox may have ended since, and its box have gone with it.
    orphans = [one for one in _boxes(ours.values(), rows) if await _is_there(one.key)]
    orphans += [_probe(box) for box in boxes if _is_left(box)]
    orphans += [_row(row) for row in await _without_box(rows, ours)]
    probes = sum(selftest.PROBE_LABEL in box.labels for box in boxes)
    return Survey(orphans, len(boxes) - len(ours) - probes)


async def repair(kind: str, key: str) -> Orphan:
    """Remove an orphan's box, or end its row. Looks again first.

    Raises NotFound or Conflict if it is no orphan any more, and Unavailable.
    """
    for orphan in (await survey()).orphans:
        if (orphan.kind, orphan.key) == (kind, key):
            await _repair(orphan)
            return orphan
    raise NotFound("it is no orphan any more: somebody, or the supervisor, was faster")


async def repair_all() -> list[tuple[Orphan, str]]:
    """Repair every orphan there is. Return each with its problem, or ""."""
    return [(orphan, await _attempt(orphan)) for orphan in (await survey()).orphans]


async def _attempt(orphan: Orphan) -> str:
    try:
        await _repair(orphan)
    except Refused as refusal:
        return refusal.message
    return ""


async def _repair(orphan: Orphan) -> None:
    if orphan.kind == Kind.ROW:
        await _end_row(uuid.UUID(orphan.key))
        return
    row = await database.read(_row_of, orphan.key)
    if row is not None and orphan.kind == Kind.BOX:
        if row.status not in DEAD:
            raise Conflict("its sandbox is alive")
        await lifecycle.remove_box(row)
        return
    with guests.refusals():
        await get_engine().remove(orphan.key)


async def _end_row(sandbox_id: uuid.UUID) -> None:
    sandbox = await database.read(lambda: Sandbox.objects.get(pk=sandbox_id))
    if await _is_there(sandbox.box_name):
        raise Conflict("its box is there again")
    await lifecycle.end_lost(sandbox, Reason.LOST, "an administrator noted that it was gone")


def _is_ours(box: Box, instance: str) -> bool:
    return box.labels.get(lifecycle.LABEL_INSTANCE) == instance


def _is_left(box: Box) -> bool:
    """Is it the probe of an examination that nobody waits for any more?"""
    if selftest.PROBE_LABEL not in box.labels or box.created_at is None:
        return False
    return datetime.now(UTC) - box.created_at > selftest.LEFT_OVER_AFTER


def _rows(box_names: Iterable[str]) -> list[Sandbox]:
    """Return every sandbox that should have a box, and every one that a box stands for."""
    should = list(Sandbox.objects.filter(status__in=(Status.RUNNING, Status.PAUSED)))
    known = {sandbox.box_name for sandbox in should}
    others = [
        found for name in box_names if name not in known and (found := Sandbox.id_of_box(name))
    ]
    return should + list(Sandbox.objects.filter(pk__in=others))


def _row_of(box_name: str) -> Sandbox | None:
    sandbox_id = Sandbox.id_of_box(box_name)
    return Sandbox.objects.filter(pk=sandbox_id).first() if sandbox_id else None


def _boxes(boxes: Iterable[Box], rows: Iterable[Sandbox]) -> list[Orphan]:
    by_name = {row.box_name: row for row in rows}
    found = []
    for box in boxes:
        row = by_name.get(box.name)
        if row is None:
            what = "A box of this installation that no sandbox stands for."
        elif row.status in DEAD:
            what = "The box of a sandbox that has ended."
        else:
            continue
        remedy = "Removes the box with all it holds."
        found.append(
            Orphan(
                Kind.BOX,
                box.name,
                str(row or box.name),
                what,
                remedy,
                box.created_at,
                row.project_id if row else None,
            )
        )
    return found


def _probe(box: Box) -> Orphan:
    what = "A probe that a server left behind in the middle of a self-test."
    return Orphan(Kind.PROBE, box.name, box.name, what, "Removes the box.", box.created_at)


def _row(sandbox: Sandbox) -> Orphan:
    return Orphan(
        Kind.ROW,
        str(sandbox.pk),
        str(sandbox),
        f"A sandbox said to be {sandbox.status}, and the engine has no box for it.",
        "Ends the sandbox, with the reason that the engine lost its box.",
        sandbox.updated_at,
        sandbox.project_id,
    )


async def _without_box(rows: Iterable[Sandbox], boxes: dict[str, Box]) -> list[Sandbox]:
    missing = [
        row
        for row in rows
        if row.status in (Status.RUNNING, Status.PAUSED) and row.box_name not in boxes
    ]
    # It may have been made after the list was.
    return [row for row in missing if not await _is_there(row.box_name)]


async def _is_there(box_name: str) -> bool:
    with guests.refusals():
        try:
            await get_engine().get(box_name)
        except BoxNotFound:
            return False
    return True
