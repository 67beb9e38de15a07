"""The file browser: one folder of a disk or of a sandbox. One page for both kinds of places."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from disks import entries, places
from disks.models import Place as PlaceKind
from disks.places.base import Entry, Listing, Place
from disks.views import viewer
from disks.views.entries import Crumb, base_of, crumbs_of, row_of, url_of
from disks.views.shared import find_disk, head_of
from project.errors import NotFound, Refused
from project.pages import PageRequest, page, render, sentence
from sandboxes.models import Sandbox, Status
from sandboxes.views.shared import context_for, find_sandbox

SHOWN = 200
MOST_SHOWN = 10_000
SORTS = ("name", "size", "modified")
# For a phone, which has no heads of columns.
ORDERS = (
    ("name", "A to Z"),
    ("-name", "Z to A"),
    ("-modified", "Newest first"),
    ("modified", "Oldest first"),
    ("-size", "Largest first"),
    ("size", "Smallest first"),
)
YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a folder is to be listed, as its address says."""

    sort: str
    descending: bool
    match: str
    hidden: bool
    count: int

    @property
    def order(self) -> str:
        return f"{'-' if self.descending else ''}{self.sort}"


def wanted_by(request: PageRequest) -> Wanted:
    sort = request.GET.get("sort", "name")
    count = request.GET.get("count", "")
    hidden = request.GET.get("hidden") or request.COOKIES.get("hidden", "1")
    return Wanted(
        sort.removeprefix("-") if sort.removeprefix("-") in SORTS else "name",
        descending=sort.startswith("-"),
        match=request.GET.get("match", "").replace("\x00", "").strip()[:200],
        hidden=hidden != "0",
        count=min(max(int(count), SHOWN), MOST_SHOWN)
        if count.isdecimal() and len(count) < 6
        else SHOWN,
    )


@require_safe
@page()
async def disk(request: PageRequest, disk_id: uuid.UUID) -> HttpResponseBase:
    """Lead from the address of a disk to its files."""
    await find_disk(request, disk_id)
    return HttpResponseRedirect(reverse("disks:files", args=(disk_id, "")))


@require_safe
@page()
async def disk_files(request: PageRequest, disk_id: uuid.UUID, path: str = "") -> HttpResponseBase:
    """Show a folder or a file of a disk."""
    disk = await find_disk(request, disk_id)
    place = await places.find(PlaceKind.DISK, disk_id)
    tab = "search" if "search" in request.GET else "files"
    return await _show(request, place, path, head_of(disk, tab))


@require_safe
@page()
async def sandbox_files(
    request: PageRequest, sandbox_id: uuid.UUID, path: str = ""
) -> HttpResponseBase:
    """Show a folder or a file of a sandbox."""
    sandbox = await find_sandbox(request, sandbox_id)
    context = context_for(sandbox, "files")
    place = await places.find(PlaceKind.SANDBOX, sandbox_id)
    if not path and "at" not in request.GET and place.start != "/":
        query = request.META.get("QUERY_STRING", "")
        url = url_of(place, f"{place.start.rstrip('/')}/")
        return HttpResponseRedirect(f"{url}?{query}" if query else url)
    if sandbox.status != Status.RUNNING:
        return await _away(request, place, path, context, sandbox)
    return await _show(request, place, path, context)


async def _show(
    request: PageRequest, place: Place, path: str, context: dict[str, Any]
) -> HttpResponseBase:
    if not path or path.endswith("/"):
        return await _show_folder(request, place, f"/{path}", context)
    try:
        entry = await place.stat(f"/{path}")
    except NotFound:
        return await _gone(request, place, f"/{path}", context)
    if entry.is_folder:
        return HttpResponseRedirect(url_of(place, f"/{path}/"))
    try:
        return await viewer.show(request, place, entry, {**context, **_common(request, place)})
    except Refused as refusal:
        if "part" in request.GET:
            raise
        return await _refused_file(request, place, entry, context, refusal)


async def _show_folder(
    request: PageRequest, place: Place, folder: str, context: dict[str, Any]
) -> HttpResponseBase:
    wanted = wanted_by(request)
    try:
        listing = await place.listing(
            folder.rstrip("/") or "/",
            sort=wanted.sort,
            descending=wanted.descending,
            limit=wanted.count,
            hidden=wanted.hidden,
            match=wanted.match,
        )
    except NotFound:
        return await _gone(request, place, folder, context)
    except Refused as refusal:
        return await _refused(request, place, folder, context, refusal)
    context |= _common(request, place) | _folder_context(place, folder, wanted, listing)
    response = await render(request, _template(request), context)
    if "hidden" in request.GET:
        response.set_cookie(
            "hidden", "1" if wanted.hidden else "0", max_age=YEAR_SECONDS, samesite="Lax"
        )
    return response


def _common(request: PageRequest, place: Place) -> dict[str, Any]:
    return {
        "place": place,
        "base": base_of(place),
        "is_disk": place.kind == "disk",
        "may_work": request.member.may_work,
        "frame": "disks/frame.html" if place.kind == "disk" else "disks/in_sandbox.html",
    }


def _folder_context(place: Place, folder: str, wanted: Wanted, listing: Listing) -> dict[str, Any]:
    rows = [row_of(place, entry) for entry in listing.entries]
    return {
        "folder": folder,
        "folder_path": folder.rstrip("/") or "/",
        "crumbs": crumbs_of(place, folder),
        "parent": None if folder == "/" else crumbs_of(place, folder)[-2].url,
        "rows": rows,
        "listing": listing,
        "wanted": wanted,
        "bytes": sum(row.entry.size or 0 for row in rows if not row.is_folder),
        "next_count": min(wanted.count + SHOWN, MOST_SHOWN),
        "columns": (
            ("name", "Name", "c-name"),
            ("size", "Size", "c-size end"),
            ("modified", "Modified", "c-mod"),
        ),
        "orders": ORDERS,
        "most_shown": MOST_SHOWN,
        "clipped": listing.more and wanted.count < MOST_SHOWN,
    }


def _template(request: PageRequest) -> str:
    if request.GET.get("part") == "rows":
        return "disks/listing.html"
    return "disks/files.html"


async def _gone(
    request: PageRequest, place: Place, path: str, context: dict[str, Any]
) -> HttpResponse:
    """Say that there is no such file or folder, and go up to the nearest folder that is."""
    for crumb in reversed(crumbs_of(place, path)[:-1]):
        try:
            await place.stat(crumb.path.rstrip("/") or "/")
        except Refused:
            continue
        break
    else:
        crumb = crumbs_of(place, "/")[0]
    context |= _common(request, place) | {
        "folder": path,
        "crumbs": crumbs_of(place, path),
        "trouble": "gone",
        "nearest": crumb,
        "wanted": wanted_by(request),
    }
    return await render(request, _template(request), context, status=404)


async def _refused(
    request: PageRequest, place: Place, folder: str, context: dict[str, Any], refusal: Refused
) -> HttpResponse:
    """Show the page with the reason why the folder cannot be read."""
    crumbs = crumbs_of(place, folder)
    context |= _common(request, place) | {
        "folder": folder,
        "crumbs": crumbs,
        "trouble": "denied" if refusal.status == 403 else "refused",
        "trouble_words": sentence(refusal.message),
        "nearest": crumbs[-2] if len(crumbs) > 1 else None,
        "wanted": wanted_by(request),
    }
    return await render(request, _template(request), context, status=refusal.status)


async def _refused_file(
    request: PageRequest, place: Place, entry: Entry, context: dict[str, Any], refusal: Refused
) -> HttpResponse:
    """Show the page of the folder with the reason why a file in it cannot be looked at."""
    folder = f"{entries.parent_of(entry.path).rstrip('/')}/"
    crumbs = crumbs_of(place, folder)
    context |= _common(request, place) | {
        "folder": folder,
        "crumbs": [*crumbs, Crumb(entry.name, entry.path, url_of(place, entry.path))],
        "entry": entry,
        "trouble": _trouble_of(entry, refusal),
        "trouble_words": sentence(refusal.message),
        "nearest": crumbs[-1],
        "wanted": wanted_by(request),
    }
    return await render(request, "disks/files.html", context, status=refusal.status)


def _trouble_of(entry: Entry, refusal: Refused) -> str:
    if entry.kind == "link" and not entry.leads_to:
        return "broken"
    if "other" in (entry.kind, entry.leads_to):
        return "special"
    return "denied" if refusal.status == 403 else "refused"


async def _away(
    request: PageRequest, place: Place, path: str, context: dict[str, Any], sandbox: Sandbox
) -> HttpResponse:
    """Show the page of a sandbox whose files cannot be read now, or never again."""
    trouble = sandbox.state if sandbox.state in ("paused", "starting") else "stopped"
    context |= _common(request, place) | {
        "folder": f"/{path}",
        "crumbs": crumbs_of(place, f"/{path}"),
        "trouble": trouble,
        "wanted": wanted_by(request),
    }
    return await render(request, _template(request), context)
