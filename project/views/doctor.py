"""The doctor of the admin panel: looks at everything when asked, and says what to do."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_POST

from project import activity, database, doctor, examinations
from project.examinations import Examination
from project.pages import StaffRequest, done, render, staff_page
from sandboxes.selftest import Finding

WORDS = {"ok": "Right", "warn": "Advised", "err": "Wrong"}


@staff_page
async def show(request: StaffRequest) -> HttpResponseBase:
    part = "#results" if request.GET.get("part") == "results" else ""
    last = await database.read(examinations.last)
    context = _context(last) if last else {"examination": None}
    return await render(request, f"project/doctor.html{part}", context)


@staff_page
async def report(request: StaffRequest) -> HttpResponseBase:
    last = await database.read(examinations.last)
    text = _report(last) if last else "Nothing was examined yet.\n"
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@require_POST
@staff_page
async def start(request: StaffRequest) -> HttpResponseBase:
    """Begin to look; one examination at a time."""
    by = request.staff.get_username()
    if await examinations.start(by):
        await database.note(
            activity.record,
            None,
            "server.examine",
            actor=by,
            door=activity.Door.ADMIN,
            address=activity.address_of(request),
        )
    return await done(request, "", reverse("admin_doctor"))


def _context(last: Examination) -> dict[str, Any]:
    tones = [doctor.tone(finding) for finding in last.findings]
    return {
        "examination": last,
        "sections": [
            (section.title, [_shown(one) for one in section.findings]) for section in last.sections
        ],
        "to_do": _to_do(last),
        "wrong": tones.count("err"),
        "advised": tones.count("warn"),
        "right": tones.count("ok"),
        "done": len(last.sections),
        "parts": len(doctor.PARTS),
        "report": _report(last),
    }


def _report(last: Examination) -> str:
    return doctor.report(last.sections, last.heard_at)


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
