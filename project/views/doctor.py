"""The doctor of the admin panel: looks at everything when asked, and says what to do."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from project import activity, database, doctor
from project.pages import StaffRequest, done, render, staff_page
from sandboxes import fitness
from sandboxes.selftest import Finding

logger = logging.getLogger(__name__)

WORDS = {"ok": "Right", "warn": "Advised", "err": "Wrong"}


@dataclass
class Examination:
    """One look at everything, under way or done. Kept in the process that makes it."""

    by: str
    started_at: datetime
    sections: list[doctor.Section] = field(default_factory=list)
    finished_at: datetime | None = None

    @property
    def under_way(self) -> str:
        """Return the part that is looked at now."""
        parts = doctor.PARTS[len(self.sections) :]
        return parts[0].title if parts and self.finished_at is None else ""

    @property
    def findings(self) -> list[Finding]:
        return [finding for section in self.sections for finding in section.findings]


_last: Examination | None = None
_task: asyncio.Task[None] | None = None


@staff_page
async def show(request: StaffRequest) -> HttpResponseBase:
    part = "#results" if request.GET.get("part") == "results" else ""
    return await render(request, f"project/doctor.html{part}", _context())


@staff_page
async def report(request: StaffRequest) -> HttpResponseBase:
    text = doctor.report(_last.sections) if _last else "Nothing was examined yet.\n"
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@require_POST
@staff_page
async def start(request: StaffRequest) -> HttpResponseBase:
    """Begin to look; one examination at a time."""
    global _last, _task
    if _task is None or _task.done():
        _last = Examination(request.staff.get_username(), timezone.now())
        _task = asyncio.create_task(_examine(_last), name="doctor")
        await database.note(
            activity.record,
            None,
            "server.examine",
            actor=_last.by,
            door=activity.Door.ADMIN,
            address=activity.address_of(request),
        )
    return await done(request, "", reverse("admin_doctor"))


async def _examine(examination: Examination) -> None:
    try:
        # What was found unfit before may have been repaired since.
        fitness.forget()
        async for section in doctor.examine():
            examination.sections.append(section)
    except Exception as error:
        logger.exception("the doctor broke off at: %s", examination.under_way)
        examination.sections.append(_broken_off(examination.under_way, error))
    finally:
        examination.finished_at = timezone.now()


def _broken_off(at: str, error: Exception) -> doctor.Section:
    """Return a part that says, on the page and in the report, that others are missing."""
    finding = Finding(
        "all parts are looked at",
        False,
        "the last part",
        f"broke off at “{at}”: {str(error) or type(error).__name__}",
        "What comes after it was not looked at. The server's log has the whole error.",
    )
    return doctor.Section("The examination itself", [finding])


def _context() -> dict[str, Any]:
    if _last is None:
        return {"examination": None}
    tones = [doctor.tone(finding) for finding in _last.findings]
    return {
        "examination": _last,
        "sections": [
            (section.title, [_shown(one) for one in section.findings]) for section in _last.sections
        ],
        "to_do": _to_do(_last),
        "wrong": tones.count("err"),
        "advised": tones.count("warn"),
        "right": tones.count("ok"),
        "done": len(_last.sections),
        "parts": len(doctor.PARTS),
        "report": doctor.report(_last.sections),
    }


def _to_do(examination: Examination) -> list[tuple[int, Finding, str, str]]:
    """Return what is not right with the number of its part: what is needed first."""
    found = [
        (number, *_shown(finding))
        for number, section in enumerate(examination.sections, start=1)
        for finding in section.findings
        if not finding.ok
    ]
    return sorted(found, key=lambda one: not one[1].required)


def _shown(finding: Finding) -> tuple[Finding, str, str]:
    tone = doctor.tone(finding)
    return finding, tone, WORDS[tone]
