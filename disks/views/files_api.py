"""Endpoints of the file browser: look, make, move, copy, delete, save, describe.

The same for disks and sandboxes. Answers are JSON for scripts; a form gets its page back.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from disks import artifacts, entries
from disks.entries import Entry
from disks.models import OnConflict
from disks.places.base import Place
from disks.views import inputs
from project.errors import Conflict, Invalid, NotFound, Refused, TooLarge
from project.pages import PageRequest, done, note, page, wants_json
from project.policy import Right

# What an editor may save at once.
CONTENT_BYTES = 8 * 1024 * 1024
CHUNK = 256 * 1024
MOST_LISTED = 1_000

type Data = Mapping[str, Any]
type Action = Callable[[PageRequest, Place, Data], Awaitable[HttpResponseBase]]


@require_safe
@page()
async def listing(request: PageRequest, kind: str, place_id: uuid.UUID) -> HttpResponse:
    """Return a page of a folder."""
    place = await inputs.entered(request, kind, place_id)
    folder = inputs.path({"path": request.GET.get("path", place.start)})
    sort = request.GET.get("sort", "name")
    if sort.removeprefix("-") not in entries.SORTS:
        raise Invalid(f"sort: must be one of {', '.join(entries.SORTS)}, with a minus or without")
    found = await place.listing(
        folder,
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        offset=inputs.number(request.GET, "offset", 0, 10**9),
        limit=max(1, inputs.number(request.GET, "limit", entries.PAGE, MOST_LISTED)),
        hidden=request.GET.get("hidden", "1") != "0",
        match=inputs.text({"match": request.GET.get("match", "")}, "match"),
    )
    return JsonResponse(
        {
            "place": inputs.place_json(place),
            "path": folder,
            "entries": [inputs.entry_json(entry) for entry in found.entries],
            "total": found.total,
            "more": found.more,
            "cut": found.cut,
        }
    )


@require_safe
@page()
async def stat(request: PageRequest, kind: str, place_id: uuid.UUID) -> HttpResponse:
    """Return what is at a path."""
    place = await inputs.entered(request, kind, place_id)
    path = inputs.path(request.GET)
    entry = await place.stat(path)
    meta = await place.meta(path) if place.kind == "disk" and entry.kind == "file" else None
    return JsonResponse({"entry": inputs.entry_json(entry), "meta": meta})


@require_POST
@page()
async def act(
    request: PageRequest, kind: str, place_id: uuid.UUID, action: str
) -> HttpResponseBase:
    """Change files."""
    place = await inputs.entered(request, kind, place_id, Right.WORK)
    step = ACTIONS.get(action)
    if step is None:
        raise NotFound("there is no such action on files")
    return await step(request, place, inputs.posted(request))


def _new_path(data: Data) -> str:
    """Return the path of what is to be made: a whole path, or a folder and a name in it."""
    folder = inputs.path(data)
    return entries.join(folder, inputs.file_name(data)) if "name" in data else folder


async def _mkdir(request: PageRequest, place: Place, data: Data) -> HttpResponse:
    path = _new_path(data)
    exist_ok = data.get("exist_ok") in (True, "1", "true")
    entry = await place.mkdir(path, exist_ok=exist_ok)
    return await _made(request, place, data, "folder.create", entry, "is made")


async def _create(request: PageRequest, place: Place, data: Data) -> HttpResponse:
    path = _new_path(data)
    content = _content(data)
    entry = await place.write(path, _pieces(content), size=len(content), expected_etag="")
    assert entry is not None
    return await _made(request, place, data, "file.create", entry, "is made")


async def _save(request: PageRequest, place: Place, data: Data) -> HttpResponse:
    """Write a text, if the file is still as it was when it was opened."""
    path = inputs.path(data)
    content = _content(data)
    etag = data.get("etag")
    if etag is not None and not isinstance(etag, str):
        raise Invalid("etag: must be text, or null")
    try:
        entry = await place.write(path, _pieces(content), size=len(content), expected_etag=etag)
    except Conflict as refusal:
        if refusal.tag not in ("changed", "exists") or not wants_json(request):
            raise
        now = await place.find(path)
        return inputs.refusal_json(refusal, entry=now and inputs.entry_json(now))
    assert entry is not None
    return await _made(request, place, data, "file.save", entry, "is saved")


def _content(data: Data) -> bytes:
    value = data.get("content", "")
    if not isinstance(value, str):
        raise Invalid("content: must be text")
    try:
        content = value.encode()
    except UnicodeEncodeError:
        raise Invalid("content: holds half a character") from None
    if len(content) > CONTENT_BYTES:
        raise TooLarge(
            f"the text is over the limit of {CONTENT_BYTES / 2**20:g} MiB; upload it as a file"
        )
    return content


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]


async def _rename(request: PageRequest, place: Place, data: Data) -> HttpResponseBase:
    path = inputs.path(data)
    to = entries.join(entries.parent_of(path), inputs.file_name(data))
    return await _carry(request, place, data, {path: to}, moves=True)


async def _move(request: PageRequest, place: Place, data: Data) -> HttpResponseBase:
    return await _carry(request, place, data, _targets(data), moves=True)


async def _copy(request: PageRequest, place: Place, data: Data) -> HttpResponseBase:
    return await _carry(request, place, data, _targets(data), moves=False)


def _targets(data: Data) -> dict[str, str]:
    folder = inputs.path(data, "to")
    return {
        path: entries.join(folder, entries.name_of(path)) for path in inputs.several_paths(data)
    }


@dataclass(slots=True)
class Carried:
    """What a move or copy has done so far."""

    now: list[Entry] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


async def _carry(
    request: PageRequest, place: Place, data: Data, targets: dict[str, str], *, moves: bool
) -> HttpResponseBase:
    """Move or copy files and folders to new paths."""
    on_conflict = inputs.policy(data)
    if not moves and all(path == to for path, to in targets.items()):
        # A copy in its own folder is one beside.
        on_conflict = OnConflict.RENAME
        targets = {path: await place.name_beside(path) for path in targets}
    if on_conflict is None:
        conflicts = await _conflicts(place, targets)
        if conflicts:
            refusal = Conflict(_taken(conflicts), tag="exists")
            if not wants_json(request):
                raise refusal
            return inputs.refusal_json(refusal, conflicts=conflicts)
    carried = Carried()
    try:
        await _carry_each(place, targets, on_conflict, carried, moves=moves)
    finally:
        if carried.now:
            await _noted(request, place, "file.move" if moves else "file.copy", carried.now)
    word = "moved" if moves else "copied"
    shown = [inputs.entry_json(entry) for entry in carried.now]
    return await done(
        request,
        f"{_name_them(carried.now)} {word}." if shown else "Nothing to do: all were skipped.",
        inputs.back(request, data, inputs.page_of(place, _parent(targets))),
        entry=shown[0] if shown else None,
        entries=shown,
        skipped=carried.skipped,
    )


async def _carry_each(
    place: Place,
    targets: dict[str, str],
    on_conflict: OnConflict | None,
    carried: Carried,
    *,
    moves: bool,
) -> None:
    step = place.move if moves else place.copy
    for path, to in targets.items():
        try:
            entry = await step(path, to, on_conflict)
        except Refused as refusal:
            if carried.now:
                refusal.message += f"; {len(carried.now)} of {len(targets)} were done before that"
            raise
        if entry is None:
            carried.skipped.append(path)
        else:
            carried.now.append(entry)


def _parent(targets: dict[str, str]) -> str:
    return entries.parent_of(next(iter(targets.values())))


async def _conflicts(place: Place, targets: dict[str, str]) -> list[dict[str, Any]]:
    """Return what stands where something is to go."""
    found = []
    for path, to in targets.items():
        old = await place.find(to)
        if old is not None and path != to:
            new = await place.stat(path)
            found.append(
                {
                    "path": path,
                    "to": to,
                    "old": inputs.entry_json(old),
                    "new": inputs.entry_json(new),
                }
            )
    return found


def _taken(conflicts: list[dict[str, Any]]) -> str:
    name = conflicts[0]["old"]["name"]
    if len(conflicts) == 1:
        return f"there is something named {name} already"
    return f"there is something named {name} already, and {len(conflicts) - 1} more names are taken"


async def _delete(request: PageRequest, place: Place, data: Data) -> HttpResponse:
    paths = inputs.several_paths(data)
    token = await place.remove(paths, request.member.name)
    gone = [Entry(path, entries.name_of(path), "file") for path in paths]
    await _noted(request, place, "file.delete", gone)
    url = inputs.back(request, data, inputs.page_of(place, entries.parent_of(paths[0])))
    undo = reverse("disks:trash_undo", args=[place.id, token]) if token else ""
    where = "moved to the trash" if token else "deleted"
    return await done(request, f"{_name_them(gone)} {where}.", url, undo=undo)


async def _meta(request: PageRequest, place: Place, data: Data) -> HttpResponse:
    path = inputs.path(data)
    given = data.get("meta")
    if not isinstance(given, str):
        given = json.dumps(given)
    meta = artifacts.parse_meta(given)
    entry = await place.set_meta(path, meta)
    return await _made(request, place, data, "file.describe", entry, "is described", meta=meta)


async def _made(
    request: PageRequest,
    place: Place,
    data: Data,
    verb: str,
    entry: Entry,
    what: str,
    **more: Any,
) -> HttpResponse:
    await _noted(request, place, verb, [entry])
    url = inputs.back(request, data, inputs.page_of(place, entries.parent_of(entry.path)))
    answer = inputs.entry_json(entry)
    return await done(request, f"{entry.name} {what}.", url, entry=answer, **more)


async def _noted(request: PageRequest, place: Place, verb: str, changed: list[Entry]) -> None:
    """Write the line of activity, and tell the pages that show the place."""
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    name = f"{place.name}: {changed[0].path}{more}"
    await note(request, verb, object_id=place.id, object_name=name)
    await inputs.changed(place)


def _name_them(changed: list[Entry]) -> str:
    if len(changed) == 1:
        return f"{changed[0].name} is"
    return f"{len(changed)} items are"


ACTIONS: dict[str, Action] = {
    "mkdir": _mkdir,
    "create": _create,
    "rename": _rename,
    "move": _move,
    "copy": _copy,
    "delete": _delete,
    "save": _save,
    "meta": _meta,
}
