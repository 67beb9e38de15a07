"""Bring rows and boxes together again, whatever a crash, an operator or the engine did to them.

For each state of a row (down) and of its box (across), what is done:

            absent        created      running          paused        exited
creating    error*        remove*      remove*          remove*       remove*
running     error**       error        ok               set paused    error, with how it ended
paused      error**       error        set running      ok            error, with how it ended
stopping    set killed    remove       remove           remove        remove
dead        ok            remove       remove           remove        remove
no row      -             remove***    remove***        remove***     remove***

*   only when it has been creating for longer than that may take
**  only when it was missing at an earlier scan too
*** only our own installation's boxes, seen at two scans
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from project import database
from project.errors import Refused
from sandboxes import lifecycle, news
from sandboxes.engine import get_engine
from sandboxes.engine.base import Box, BoxState, EngineError
from sandboxes.models import UNFINISHED, Reason, Sandbox, Status

logger = logging.getLogger(__name__)

# A box without a row waits for a second scan, at least so much later.
STRANGE_SECONDS = 5.0
# What one turn removes at the most: a turn stays short whatever has piled up.
MAX_REMOVALS = 50


# Boxes of ours that no row knew at the last scan, and since when.
_strangers: dict[str, float] = {}


async def reconcile() -> int:
    """Compare every unfinished row with every box of ours and heal what differs.

    Returns how many were healed. Raises EngineError if the engine cannot be asked; nothing is
    concluded from silence.
    """
    instance = await database.write(lifecycle.installation_id)
    boxes = {box.name: box for box in await get_engine().list({lifecycle.LABEL_INSTANCE: instance})}
    rows = await database.read(_rows_for, set(boxes))
    healed = 0
    for sandbox in rows:
        try:
            healed += await _heal(sandbox, boxes.get(sandbox.box_name))
        except (Refused, EngineError) as error:
            logger.warning("sandbox %s could not be healed now: %s", sandbox.id, error)
    known = {sandbox.box_name for sandbox in rows}
    return healed + await _remove_strangers(
        [box for box in boxes.values() if box.name not in known]
    )


def _rows_for(box_names: set[str]) -> list[Sandbox]:
    """Return every unfinished sandbox, and every one that a box stands for.

    Read after the boxes were listed: a row is written before its box is made, so a box that
    was seen has its row by now.
    """
    unfinished = list(Sandbox.objects.filter(status__in=UNFINISHED))
    known = {sandbox.box_name for sandbox in unfinished}
    others = [Sandbox.id_of_box(name) for name in box_names - known]
    return unfinished + list(Sandbox.objects.filter(id__in=[i for i in others if i is not None]))


async def _heal(sandbox: Sandbox, box: Box | None) -> bool:
    """Do what the table says for one row; True if anything was to do."""
    if sandbox.status == Status.CREATING:
        return await _heal_creating(sandbox)
    if sandbox.status in (Status.RUNNING, Status.PAUSED):
        return await _heal_living(sandbox, box)
    if sandbox.status == Status.STOPPING:
        await lifecycle.finish_kill(sandbox)
        return True
    if box is not None:
        await lifecycle.remove_box(sandbox)
    return box is not None


async def _heal_creating(sandbox: Sandbox) -> bool:
    age = timezone.now() - sandbox.created_at
    if age < timedelta(seconds=settings.SANDBOX_CREATE_SECONDS + 5):
        return False
    await lifecycle.end_lost(
        sandbox, Reason.FAILED_TO_START, "the server went away while it was being made"
    )
    return True


async def _heal_living(sandbox: Sandbox, box: Box | None) -> bool:
    if box is None:
        return await _heal_missing(sandbox)
    if sandbox.missed_at is not None:
        await database.write(_note_missed, sandbox, missed=False)
    if box.state == BoxState.RUNNING and sandbox.status == Status.PAUSED:
        return await _correct(sandbox, Status.PAUSED, Status.RUNNING)
    if box.state == BoxState.PAUSED and sandbox.status == Status.RUNNING:
        return await _correct(sandbox, Status.RUNNING, Status.PAUSED)
    if box.state in (BoxState.RUNNING, BoxState.PAUSED):
        return False
    await lifecycle.end_lost(sandbox, *await _how_it_exited(sandbox))
    return True


async def _correct(sandbox: Sandbox, frm: Status, to: Status) -> bool:
    corrected = await database.write(lifecycle.move, sandbox.id, within=[frm], to=to)
    if corrected:
        await news.sandbox_changed(sandbox)
    return corrected


async def _heal_missing(sandbox: Sandbox) -> bool:
    if sandbox.missed_at is None:
        await database.write(_note_missed, sandbox, missed=True)
        return False
    await lifecycle.end_lost(sandbox, Reason.LOST, "somebody removed it, or the engine was reset")
    return True


def _note_missed(sandbox: Sandbox, *, missed: bool) -> None:
    Sandbox.objects.filter(pk=sandbox.pk).update(missed_at=timezone.now() if missed else None)


async def _how_it_exited(sandbox: Sandbox) -> tuple[Reason, str]:
    end = await get_engine().end_of(sandbox.box_name)
    if end.out_of_memory:
        return Reason.OUT_OF_MEMORY, ""
    deadline = sandbox.guest_deadline_at
    if deadline is not None and timezone.now() >= deadline:
        return Reason.EXPIRED, "no server was there to renew it"
    return Reason.EXITED, f"exit code {end.exit_code}; was the engine restarted?"


async def _remove_strangers(boxes: list[Box]) -> int:
    """Remove our own boxes that no row knows, once they were seen twice."""
    now = time.monotonic()
    for name in set(_strangers) - {box.name for box in boxes}:
        del _strangers[name]
    removed = 0
    for box in boxes:
        if now - _strangers.setdefault(box.name, now) < STRANGE_SECONDS or removed >= MAX_REMOVALS:
            continue
        logger.warning("removing the box %s, which no sandbox stands for", box.name)
        await get_engine().remove(box.name)
        del _strangers[box.name]
        removed += 1
    return removed
