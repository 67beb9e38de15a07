"""The last look of the doctor at everything: one at a time, known to every server process.

What was found so far is kept in the database after each part, so that it is there after a
restart, and whichever process answers the page.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from project import database, doctor, leases
from project.models import Memo
from sandboxes import fitness
from sandboxes.selftest import Finding

logger = logging.getLogger(__name__)

# Of the lease and of the memo.
NAME = "doctor"
# Whoever examines says so again after each part; without that for so long, it has died.
LEASE_SECONDS = doctor.SECTION_SECONDS + 30
STOP_SECONDS = 5.0

_task: asyncio.Task[None] | None = None


@dataclass
class Examination:
    """One look at everything, under way or done."""

    by: str
    started_at: datetime
    heard_at: datetime
    sections: list[doctor.Section] = field(default_factory=list)
    finished_at: datetime | None = None

    @property
    def under_way(self) -> str:
        """Return the part that is looked at now; nothing if none is."""
        parts = doctor.PARTS[len(self.sections) :]
        return parts[0].title if parts and self.finished_at is None else ""

    @property
    def findings(self) -> list[Finding]:
        return [finding for section in self.sections for finding in section.findings]


async def start(by: str) -> bool:
    """Begin to look; False if somebody looks already, in whichever process."""
    global _task
    if _looks() or not await database.write(leases.acquire, NAME, LEASE_SECONDS) or _looks():
        return False
    now = timezone.now()
    examination = Examination(by, now, now)
    _task = asyncio.create_task(_examine(examination), name="doctor")
    # The page that comes next shows it under way.
    await database.write(_keep, examination)
    return True


def _looks() -> bool:
    return _task is not None and not _task.done()


async def finished() -> None:
    """Wait until what this process looks at is looked at."""
    if _task is not None:
        await _task


async def stop() -> None:
    """Break off what this process looks at. What was found by then is kept."""
    if _task is not None:
        _task.cancel()
        await asyncio.wait((_task,), timeout=STOP_SECONDS)


def last() -> Examination | None:
    """Return the last one, under way or done; None if there was none yet. Reads."""
    memo = Memo.objects.filter(name=NAME).first()
    if memo is None:
        return None
    try:
        examination = _from_memo(memo.value)
    except (KeyError, TypeError):
        # Another version of Sandbank wrote it.
        return None
    died = timezone.now() - examination.heard_at > timedelta(seconds=LEASE_SECONDS)
    if examination.under_way and died:
        _break_off(examination, "the server that looked has ended")
        examination.finished_at = examination.heard_at
    return examination


async def _examine(examination: Examination) -> None:
    try:
        # What was found unfit before may have been repaired since.
        fitness.forget()
        async for section in doctor.examine():
            examination.sections.append(section)
            await _tell(examination)
    except asyncio.CancelledError:
        _break_off(examination, "the server stops")
        raise
    except Exception as error:
        logger.exception("the doctor broke off at: %s", examination.under_way)
        _break_off(examination, str(error) or type(error).__name__)
    finally:
        examination.finished_at = timezone.now()
        await _tell(examination)


async def _tell(examination: Examination) -> None:
    """Keep what was found so far. A database that is away is a finding of its own."""
    examination.heard_at = timezone.now()
    try:
        await database.write(_keep, examination)
        if examination.finished_at is None:
            await database.write(leases.acquire, NAME, LEASE_SECONDS)
        else:
            await database.write(leases.release, NAME)
    except DatabaseError:
        logger.exception("what the doctor found could not be kept")


def _break_off(examination: Examination, why: str) -> None:
    """Add a part that says, on the page and in the report, that others are missing."""
    finding = Finding(
        "all parts are looked at",
        False,
        "the last part",
        f"broke off at “{examination.under_way}”: {why}",
        "What comes after it was not looked at. The server's log has the whole error.",
    )
    examination.sections.append(doctor.Section("The examination itself", [finding]))


def _keep(examination: Examination) -> None:
    value = {
        "by": examination.by,
        "started_at": examination.started_at.isoformat(),
        "heard_at": examination.heard_at.isoformat(),
        "finished_at": examination.finished_at and examination.finished_at.isoformat(),
        "sections": [
            {"title": section.title, "findings": [asdict(one) for one in section.findings]}
            for section in examination.sections
        ],
    }
    Memo.objects.update_or_create(name=NAME, defaults={"value": value})


def _from_memo(value: dict[str, Any]) -> Examination:
    finished_at = value["finished_at"]
    return Examination(
        value["by"],
        datetime.fromisoformat(value["started_at"]),
        datetime.fromisoformat(value["heard_at"]),
        [
            doctor.Section(section["title"], [Finding(**one) for one in section["findings"]])
            for section in value["sections"]
        ],
        datetime.fromisoformat(finished_at) if finished_at else None,
    )
