"""What the views of files read from a request, and how they write an entry as JSON."""

from __future__ import annotations

import json
import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, JsonResponse
from django.utils.http import url_has_allowed_host_and_scheme

from disks import entries, places
from disks.entries import Entry
from disks.models import OnConflict
from disks.places.base import Place
from project import events, request_id, words
from project.errors import Invalid, Refused
from project.pages import PageRequest, enter
from project.policy import Right

# How many files one request may change; each costs a while in which nobody else writes.
MOST_PATHS = 1_000
# How many it may name: as many as a page shows.
MOST_NAMES = 10_000
MAX_TEXT = 4_096
LISTS = frozenset({"paths", "names", "ids"})


async def entered(
    request: PageRequest, kind: str, place_id: uuid.UUID, right: Right = Right.LOOK
) -> Place:
    """Return a place, and go on in its project. Raises NotFound, Forbidden."""
    place = await places.find(kind, place_id)
    await enter(request, place.project_id, right)
    return place


async def changed(place: Place) -> None:
    """Tell the pages that show a place."""
    what = "disk" if place.kind == "disk" else "files"
    await events.changed(place.project_id, what, place.id)


def posted(request: HttpRequest) -> Mapping[str, Any]:
    """Return what a script or a form sent. Raises Invalid."""
    if request.content_type == "application/json":
        try:
            data = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            raise Invalid("the body must be a JSON object") from None
        if not isinstance(data, dict):
            raise Invalid("the body must be a JSON object")
        return data
    form: dict[str, Any] = {}
    for name in request.POST:
        form[name] = request.POST.getlist(name) if name in LISTS else request.POST[name]
    if "content" in form:
        # Browsers send every line break of a form as two characters.
        form["content"] = form["content"].replace("\r\n", "\n")
    return form


def text(data: Mapping[str, Any], name: str, *, most: int = MAX_TEXT) -> str:
    """Return a text that must be there. Raises Invalid."""
    value = data.get(name)
    if not isinstance(value, str):
        raise Invalid(f"{name}: is required, as text")
    if len(value) > most:
        raise Invalid(f"{name}: at most {most} characters")
    if not words.is_whole(value):
        raise Invalid(f"{name}: must be text")
    if "\x00" in value:
        raise Invalid(f"{name}: must not hold a NUL character")
    return value


def path(data: Mapping[str, Any], name: str = "path") -> str:
    return entries.clean(text(data, name))


def file_name(data: Mapping[str, Any], name: str = "name") -> str:
    """Return the name of a file or folder, in composed characters. Raises Invalid."""
    value = unicodedata.normalize("NFC", text(data, name)).strip()
    if value in ("", ".", "..") or "/" in value or "\x00" in value:
        raise Invalid(f"{name}: must be a name, without a slash", tag="invalid_name")
    return value


def several_paths(data: Mapping[str, Any]) -> list[str]:
    value = data.get("paths")
    if not isinstance(value, list) or not value:
        raise Invalid("paths: must be a list with a path at least")
    if len(value) > MOST_PATHS:
        raise too_many("files and folders")
    return [path({"path": each}) for each in dict.fromkeys(map(_hashable, value))]


def ids(data: Mapping[str, Any]) -> list[uuid.UUID]:
    value = data.get("ids")
    if not isinstance(value, list) or not value:
        raise Invalid("ids: must be a list with an id at least")
    if len(value) > MOST_PATHS:
        raise too_many("files")
    try:
        return [uuid.UUID(str(each)) for each in value]
    except ValueError:
        raise Invalid("ids: must be ids of files in the trash") from None


def too_many(what: str, most: int = MOST_PATHS) -> Invalid:
    return Invalid(f"at most {most:,} {what} at once; choose fewer, or the folder they are in")


def names(value: object) -> list[str]:
    """Return the names of what is chosen in a folder, each once. Raises Invalid."""
    if not isinstance(value, list):
        raise Invalid("names: must be a list of names")
    if len(value) > MOST_NAMES:
        raise too_many("files and folders", MOST_NAMES)
    return list(dict.fromkeys(text({"names": each}, "names") for each in value))


def _hashable(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid("paths: must be a list of texts")
    return value


def policy(data: Mapping[str, Any]) -> OnConflict | None:
    """Return what becomes of taken names; None: the caller is asked."""
    value = data.get("on_conflict") or None
    if value is None:
        return None
    try:
        return OnConflict(value)
    except ValueError:
        raise Invalid("on_conflict: must be replace, skip or rename") from None


def number(data: Mapping[str, Any], name: str, default: int, most: int) -> int:
    """Return a number from 0 up. Raises Invalid."""
    value = data.get(name)
    if value in (None, ""):
        return default
    if isinstance(value, int):
        value = str(value)
    if not isinstance(value, str) or not (value.isascii() and value.isdecimal()) or len(value) > 12:
        raise Invalid(f"{name}: must be a number")
    return min(int(value), most)


def entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "name": entry.name,
        "kind": entry.kind,
        "size": entry.size,
        "modified": entry.modified.isoformat() if entry.modified else None,
        "mode": entry.mode,
        "target": entry.target,
        "leads_to": entry.leads_to,
        "etag": entry.etag,
        "mime": entry.mime,
        "items": entry.items,
    }


def place_json(place: Place) -> dict[str, Any]:
    return {"kind": place.kind, "id": str(place.id), "name": place.name}


def page_of(place: Place, file_path: str) -> str:
    """Return the address of the page that shows a file or folder."""
    return (
        f"/{place.kind}{'e' if place.kind == 'sandbox' else ''}s/{place.id}/files{quote(file_path)}"
    )


def back(request: HttpRequest, data: Mapping[str, Any], otherwise: str) -> str:
    """Return where a form without scripts goes afterwards."""
    wanted = data.get("back")
    if isinstance(wanted, str) and url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, request.is_secure()
    ):
        return wanted
    return otherwise


def refusal_json(refusal: Refused, **more: Any) -> JsonResponse:
    """Answer a script with a refusal and what it needs to know besides."""
    body = {
        "error": refusal.message,
        "tag": refusal.tag,
        "request_id": request_id.current(),
        **more,
    }
    return JsonResponse(body, status=refusal.status)
