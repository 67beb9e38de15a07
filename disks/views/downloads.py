"""Endpoints that answer with the bytes of files: one, many as a zip, and what a search finds."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_http_methods, require_safe

from disks import archive, entries, finding, media
from disks.entries import Entry
from disks.places.base import Place
from disks.views import inputs
from project.downloads import NOTHING, Download, Opener, respond
from project.errors import Conflict, Invalid, Unprocessable
from project.pages import PageRequest, page

# A browser's viewer of PDFs is a page of its own, which a sandbox would keep from running.
PDF_POLICY = (
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"
)
SHOWN_POLICY = f"{NOTHING}; frame-ancestors 'self'"
TEXTS = ("text/", "application/json", "application/x-ndjson", "application/x-yaml")
NO_TEXTS = ("text/html", "text/xml", "application/xhtml")
PLAIN = "text/plain; charset=utf-8"


@require_safe
@xframe_options_sameorigin
@page()
async def raw(request: PageRequest, kind: str, place_id: uuid.UUID, path: str) -> HttpResponseBase:
    """Answer with a file: shown by the browser if that is safe, else saved."""
    place = await inputs.entered(request, kind, place_id)
    entry = await place.stat(inputs.path({"path": f"/{path}"}))
    if entry.is_folder:
        raise Conflict("it is a folder; download it as a zip", tag="is_a_directory")
    if entry.size is None:
        raise Unprocessable("it is no regular file", tag="not_a_file")
    saved = request.GET.get("download") == "1"
    mime = await _mime_of(place, entry)
    shown = None if saved else shown_as(mime)
    return await respond(
        request,
        Download(
            filename=entry.name,
            size=entry.size,
            etag=entry.etag,
            open=_opener(place, entry),
            content_type=shown or _harmless(mime),
            as_attachment=shown is None,
            policy=PDF_POLICY if shown == media.PDF else SHOWN_POLICY if shown else NOTHING,
        ),
    )


async def _mime_of(place: Place, entry: Entry) -> str:
    """Return what the content of a file is; of a disk's it is known."""
    if place.kind == "disk" or not entry.size:
        return entry.mime
    _, chunks = await place.read(entry.path, 0, media.HEAD_BYTES)
    head = b""
    async with aclosing(chunks) as stream:
        async for chunk in stream:
            head += chunk
    return media.detect(head, entry.name, whole=len(head) == entry.size)


def shown_as(mime: str) -> str | None:
    """Return the type that a file is shown as in a browser; None: it is not to be shown."""
    essence = mime.partition(";")[0].strip().lower()
    if essence in media.PICTURES or essence == media.PDF:
        return essence
    if not essence.startswith(TEXTS) or essence.startswith(NO_TEXTS):
        return None
    _, _, charset = mime.partition("charset=")
    if charset and charset.replace("-", "").isalnum():
        return f"text/plain; charset={charset}"
    return PLAIN


def _harmless(mime: str) -> str:
    """Return the type of a file that is saved: players need that of sounds and films.

    So does an `<img>` of an SVG, in which no script runs. Gone to by its address it is saved.
    """
    essence = mime.partition(";")[0].strip().lower()
    if essence == media.SVG or essence.startswith(("audio/", "video/")):
        return essence
    return media.UNKNOWN


def _opener(place: Place, entry: Entry) -> Opener:
    async def open_file(start: int, end: int) -> AsyncGenerator[bytes]:
        now, chunks = await place.read(entry.path, start, end)
        if now.size != entry.size:
            await chunks.aclose()
            raise Conflict("the file changes while it is read; try again", tag="changed")
        return chunks

    return open_file


@require_http_methods(["GET", "HEAD", "POST"])
@page()
async def zipped(request: PageRequest, kind: str, place_id: uuid.UUID) -> HttpResponseBase:
    """Answer with a folder, or with some of what is in it, as a zip."""
    place = await inputs.entered(request, kind, place_id)
    folder, names = _chosen(request)
    for name in names:
        inputs.file_name({"name": name})
    found = await archive.members(place, folder, names)
    title = names[0] if len(names) == 1 else entries.name_of(folder)
    title = place.name if title == "/" else title
    if request.method == "HEAD":
        response: HttpResponseBase = HttpResponse()
    else:
        response = StreamingHttpResponse(archive.stream(place, found))
    response["Content-Type"] = "application/zip"
    disposition = content_disposition_header(True, f"{archive.safe_name(title)}.zip")
    response["Content-Disposition"] = str(disposition)
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = NOTHING
    response["Cache-Control"] = "no-store"
    return response


def _chosen(request: HttpRequest) -> tuple[str, list[str]]:
    """Return a folder and the names in it that are wanted; none: the folder.

    A form has the names in one field, as JSON: more than an address holds, or Django takes fields.
    """
    if request.method != "POST":
        folder = inputs.path({"path": request.GET.get("path", "/")})
        return folder, inputs.names(request.GET.getlist("name"))
    try:
        names = json.loads(request.POST.get("names", "[]"))
    except (ValueError, RecursionError):
        names = None
    return inputs.path({"path": request.POST.get("path", "/")}), inputs.names(names)


@require_safe
@page()
async def search(request: PageRequest, kind: str, place_id: uuid.UUID) -> HttpResponse:
    """Find files by name or by content."""
    place = await inputs.entered(request, kind, place_id)
    folder = inputs.path({"path": request.GET.get("path", "/")})
    query = inputs.text(request.GET, "q")
    mode = request.GET.get("mode", "name")
    if mode not in ("name", "content"):
        raise Invalid("mode: must be name or content")
    wish = finding.Wish(query, folder, mode == "content", request.GET.get("case") == "1")
    found = await finding.find(place, wish)
    results = [
        {
            **asdict(each),
            "modified": each.modified.isoformat() if each.modified else None,
        }
        for each in found.results
    ]
    return JsonResponse(
        {
            "mode": mode,
            "results": results,
            "hits": found.hits,
            "stopped": found.stopped,
            "searched": found.searched,
            "unreadable": found.unreadable,
        }
    )
