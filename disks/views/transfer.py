"""The transfer page: two sides, what is copied between them, and what becomes of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from disks import collisions, jobs, places
from disks.collisions import Collisions
from disks.jobs import Wish
from disks.models import OnConflict, Transfer
from disks.models import Place as PlaceKind
from disks.places.base import Place
from disks.views import inputs, sides
from disks.views.inputs import entry_json
from disks.views.job_rows import JobRow, rows_of, summary_of
from disks.views.sides import Side
from project import database, events
from project.errors import NotFound
from project.pages import PageRequest, done, enter, note, page, render, wants_json
from project.policy import Right
from project.words import plural

# The session remembers which two sides were looked at last.
PAIR = "transfer"


@require_safe
@page()
async def transfer(request: PageRequest) -> HttpResponse:
    """Show two sides and the transfers of the project, or one part of that."""
    part = request.GET.get("part", "")
    if part == "jobs":
        return await render(request, "disks/parts/jobs.html", {"jobs": _Jobs(request)})
    pair = await _pair(request, part)
    left, right, found = pair.left, pair.right, pair.found
    if part in ("left", "right"):
        side = await _side(request, part, pair)
        await _remember(request, left, right)
        context = {"side": side, "left": left, "right": right, "found": found}
        return await render(request, "disks/parts/panel.html", context)
    shown = [await _side(request, "left", pair), await _side(request, "right", pair)]
    await _remember(request, shown[0].spec, shown[1].spec)
    context = {
        "sides": shown,
        "left": shown[0].spec,
        "right": shown[1].spec,
        "found": found,
        "jobs": _Jobs(request),
        "swapped": sides.address_of(shown[1].spec, shown[0].spec),
    }
    return await render(request, "disks/transfer.html", context)


async def _remember(request: PageRequest, left: str, right: str) -> None:
    """Keep which sides are looked at. A page looks at the same ones every few seconds."""
    if await request.session.aget(PAIR) != [left, right]:
        await request.session.aset(PAIR, [left, right])


class _Jobs:
    """The list of transfers, looked up when a template asks for it."""

    def __init__(self, request: PageRequest) -> None:
        self.project = request.member.project

    @property
    def rows(self) -> list[JobRow]:
        return rows_of(self.project)

    @property
    def summary(self) -> str:
        return summary_of(self.project)


@dataclass(frozen=True, slots=True)
class _Pair:
    """What the two sides are to show, what they could, and what is not there any more."""

    left: str
    right: str
    found: list[sides.Choice]
    missing: frozenset[str]


async def _pair(request: PageRequest, part: str) -> _Pair:
    """Return what is wanted, or else what was looked at last.

    Raises NotFound if nothing of what is wanted is there; one side that is gone says so itself.
    """
    wanted = request.GET.get("left", ""), request.GET.get("right", "")
    missing: dict[str, NotFound] = {}
    for spec in filter(None, wanted):
        try:
            await _find(request, spec)
        except NotFound as refusal:
            missing[spec] = refusal
    if not part and missing and all(spec in missing for spec in filter(None, wanted)):
        raise next(iter(missing.values()))
    found = await database.read(sides.choices, request.member.project)
    known = {(choice.kind, choice.id) for choice in found}
    saved = await request.session.aget(PAIR) or ["", ""]
    usual = [spec if spec and sides.parse(spec)[:2] in known else "" for spec in saved]
    first = sides.first_pair(found)
    left, right = (
        wanted[number] or usual[number] or first[number] for number in range(len(wanted))
    )
    return _Pair(left, right, found, frozenset(missing))


async def _find(request: PageRequest, spec: str, right: Right = Right.LOOK) -> tuple[Place, str]:
    """Return the place and the folder that are meant, and go on in the place's project."""
    kind, place_id, path = sides.parse(spec)
    place = await places.find(kind, place_id)
    await enter(request, place.project_id, right)
    return place, path


async def _side(request: PageRequest, key: str, pair: _Pair) -> Side:
    spec = pair.left if key == "left" else pair.right
    if not spec:
        return Side(key)
    if spec in pair.missing:
        return Side(key, trouble=sides.GONE)
    text = request.GET.get("count", "")
    count = int(text) if text.isdecimal() and len(text) < 6 else sides.SHOWN
    side = await sides.look(key, spec, min(max(count, sides.SHOWN), sides.MOST_SHOWN))
    if side.place is None or side.place.project_id != request.member.project.pk:
        raise NotFound("both sides must be in the same project")
    return side


# --- Started --------------------------------------------------------------------------------


@require_POST
@page()
async def start(request: PageRequest) -> HttpResponseBase:
    """Begin a transfer; ask first if names are taken and nobody said what to do then."""
    wish, policy = await _wish(request)
    jobs.check(wish)
    if policy is None:
        found = await collisions.find(wish)
        if found:
            return await _ask(request, wish, found)
    started = await jobs.create(request.member.project, wish, by=request.member.name)
    await _note(request, "transfer.start", started)
    what = JobRow(started).what
    verb = "Moving" if wish.moves else "Copying"
    to = sides.address_of(
        sides.spec_of(wish.source, wish.source_folder),
        sides.spec_of(wish.target, wish.target_folder),
    )
    return await done(request, f"{verb} {what} to {wish.target.name}.", to, id=str(started.pk))


async def _wish(request: PageRequest) -> tuple[Wish, OnConflict | None]:
    form = inputs.posted(request)
    source, source_folder = await _find(request, inputs.text(form, "source"), Right.WORK)
    target, target_folder = await _find(request, inputs.text(form, "target"), Right.WORK)
    if source.project_id != target.project_id:
        raise NotFound("both sides must be in the same project")
    policy = inputs.policy(form)
    wish = Wish(
        source,
        source_folder,
        inputs.names(form.get("names", [])),
        target,
        target_folder,
        moves=form.get("moves") == "1",
        on_conflict=policy or OnConflict.REPLACE,
    )
    return wish, policy


async def _ask(request: PageRequest, wish: Wish, found: Collisions) -> HttpResponse:
    """Ask what becomes of files whose names are taken."""
    words = _in_the_way(found)
    if wants_json(request):
        answer = {
            "error": words,
            "tag": "exists",
            "examples": _told(found),
            "may_replace": found.may_replace,
        }
        return JsonResponse(answer, status=409)
    context = {
        "wish": wish,
        "source": sides.spec_of(wish.source, wish.source_folder),
        "target": sides.spec_of(wish.target, wish.target_folder),
        "words": words,
        "examples": found.examples,
        "may_replace": found.may_replace,
    }
    return await render(request, "disks/transfer_conflict.html", context, status=409)


def _told(found: Collisions) -> list[dict[str, Any]]:
    return [
        {"path": one.path, "new": entry_json(one.new), "old": entry_json(one.old)}
        for one in found.examples
    ]


def _in_the_way(found: Collisions) -> str:
    counts = [(found.files, "file"), (found.folders, "folder")]
    names = " and ".join(plural(count, word) for count, word in counts if count)
    least = "at least " if found.more else ""
    verb = "is" if found.files + found.folders == 1 else "are"
    words = f"{least}{names} of the same name {verb} there already"
    if not found.mixed:
        return words
    of_them = "it is" if found.files + found.folders == found.mixed == 1 else f"{found.mixed} are"
    return (
        f"{words}; {of_them} a file on one side and a folder on the other, and cannot be replaced"
    )


@require_safe
@page()
async def dialog(request: PageRequest) -> HttpResponse:
    """Ask where what is chosen in the file browser is to go: to a place of the other kind."""
    source = request.GET.get("source", "")
    place, _ = await _find(request, source, Right.WORK)
    wants = PlaceKind.DISK if place.kind == PlaceKind.SANDBOX else PlaceKind.SANDBOX
    found = await database.read(sides.choices, request.member.project)
    choices = [choice for choice in found if choice.kind == wants]
    context = {
        "source": source,
        "source_kind": place.kind,
        "wants": wants,
        "choices": choices,
        "recent": await database.read(sides.recent_targets, request.member.project, choices),
    }
    return await render(request, "disks/parts/transfer_dialog.html", context)


# --- One transfer ---------------------------------------------------------------------------


async def _transfer(
    request: PageRequest, transfer_id: uuid.UUID, right: Right = Right.LOOK
) -> Transfer:
    rows = Transfer.objects.select_related("project").filter(pk=transfer_id)
    found = await database.read(rows.first)
    if found is None:
        # In the words that a stranger's gets.
        raise NotFound("there is no such page, or it is in a project you are not a member of")
    await enter(request, found.project_id, right)
    return found


@require_safe
@page()
async def detail(request: PageRequest, transfer_id: uuid.UUID) -> HttpResponse:
    """Show one transfer with everything that was not copied."""
    row = JobRow(await _transfer(request, transfer_id))
    if wants_json(request):
        return JsonResponse(
            {
                "id": str(row.transfer.pk),
                "status": row.status,
                "is_finished": not row.is_unfinished,
                "result": row.result,
                "had_problems": row.had_problems,
                "url": reverse("disks:transfer_detail", args=[row.transfer.pk]),
            }
        )
    return await render(request, "disks/transfer_detail.html", {"job": row})


@require_POST
@page()
async def cancel(request: PageRequest, transfer_id: uuid.UUID) -> HttpResponse:
    """Have a transfer end."""
    found = await _transfer(request, transfer_id, Right.WORK)
    if not await jobs.cancel(found):
        return await done(request, "The transfer had already ended.", _back(request))
    await _note(request, "transfer.cancel", found)
    return await done(request, "Cancelling the transfer.", _back(request))


@require_POST
@page()
async def again(request: PageRequest, transfer_id: uuid.UUID) -> HttpResponse:
    """Begin a transfer once more, with the same wish."""
    before = await _transfer(request, transfer_id, Right.WORK)
    wish = Wish(
        await places.find(before.source, before.source_id),
        before.source_folder,
        before.names,
        await places.find(before.target, before.target_id),
        before.target_folder,
        before.moves,
        OnConflict(before.on_conflict),
    )
    started = await jobs.create(request.member.project, wish, by=request.member.name)
    await _note(request, "transfer.start", started)
    return await done(request, "Started again.", _back(request), id=str(started.pk))


@require_POST
@page(needs=Right.WORK)
async def clear(request: PageRequest) -> HttpResponse:
    """Take the finished transfers off the list. Nothing that was copied is touched."""
    count = await database.write(jobs.forget_finished, request.member.project)
    what = plural(count, "finished transfer")
    if count:
        await note(request, "transfer.clear", detail=what)
    await events.changed(request.member.project.pk, "transfer")
    return await done(request, f"{what} cleared.", reverse("disks:transfer"))


async def _note(request: PageRequest, verb: str, about: Transfer) -> None:
    row = JobRow(about)
    detail = (
        f"{row.what}: {about.source_name}:{about.source_folder} "
        f"to {about.target_name}:{about.target_folder}"
    )
    await note(request, verb, object_id=about.pk, object_name=str(about), detail=detail)


def _back(request: HttpRequest) -> str:
    back: Any = request.POST.get("back", "")
    return back if back.startswith("/transfer/") else reverse("disks:transfer")
