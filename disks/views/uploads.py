"""tus 1.0 at /uploads/: core, creation, termination, expiration and checksum.

https://tus.io/protocols/resumable-upload. The session's cookie and the CSRF header say who it is.
"""

from __future__ import annotations

import base64
import binascii
import functools
import unicodedata
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Concatenate
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.http import require_http_methods

from disks import entries, paths, tus
from disks.entries import Entry
from disks.models import OnConflict, Upload
from disks.places.base import Place
from disks.tus import Checksum, Finished, OffsetMismatch, Wish
from disks.views import inputs
from project import database
from project.errors import Conflict, Invalid, NoSpace, NotFound, Refused, Unprocessable
from project.pages import PageRequest, enter, note, page
from project.policy import Right
from sandboxes import guests

VERSION = "1.0.0"
EXTENSIONS = "creation,termination,expiration,checksum"
ALGORITHMS = ("sha1", "sha256")
PIECE = "application/offset+octet-stream"
MAX_METADATA = 16 * 1024
MAX_DIGITS = 15
CHUNK = 256 * 1024
NOT_A_DIRECTORY = "not_a_directory"

type View[**P] = Callable[Concatenate[PageRequest, P], Awaitable[HttpResponseBase]]


class WrongVersion(Refused):
    status = 412
    tag = "tus_version"


class WrongType(Refused):
    status = 415
    tag = "content_type"


def answers_scripts[**P](view: View[P]) -> View[P]:
    """Answer refusals as JSON, whatever the script says it takes, and name the protocol."""

    @functools.wraps(view)
    async def wrapped(
        request: PageRequest, /, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        try:
            response = await view(request, *args, **kwargs)
        except Refused as refusal:
            response = inputs.refusal_json(refusal)
            if isinstance(refusal, OffsetMismatch):
                response["Upload-Offset"] = str(refusal.offset)
            if isinstance(refusal, WrongVersion):
                response["Tus-Version"] = VERSION
        response["Tus-Resumable"] = VERSION
        response["Cache-Control"] = "no-store"
        return response

    return wrapped


def _method(request: HttpRequest) -> str:
    """Return what is asked for: some networks let only GET and POST through."""
    if request.method != "POST":
        # Only a POST has proved with its token that it comes from a page of ours.
        return request.method or ""
    return request.headers.get("X-HTTP-Method-Override", "POST").upper()


def _check_version(request: HttpRequest) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise WrongVersion(f"this server speaks version {VERSION} of tus; say so in Tus-Resumable")


@require_http_methods(["GET", "HEAD", "POST", "OPTIONS"])
@page()
@answers_scripts
async def uploads(request: PageRequest) -> HttpResponseBase:
    """Begin an upload, or tell what is possible, or which uploads are unfinished."""
    method = _method(request)
    if method == "OPTIONS":
        return _capabilities()
    if method == "POST":
        return await _begin(request)
    if method != "GET":
        return _not_allowed("GET, POST, OPTIONS")
    found = await database.read(tus.unfinished_of, request.member.project, request.member.name)
    shown = [await _upload_json(upload) for upload in found]
    return JsonResponse({"uploads": shown})


async def _upload_json(upload: Upload) -> dict[str, Any]:
    return {
        "url": reverse("disks:upload", args=[upload.pk]),
        "filename": upload.filename,
        "folder": upload.folder,
        "place": upload.place,
        "place_id": str(upload.place_id),
        "size": upload.size,
        "offset": await tus.offset_of(upload),
        "expires_at": upload.expires_at.isoformat(),
    }


def _capabilities() -> HttpResponse:
    response = HttpResponse(status=204)
    response["Tus-Version"] = VERSION
    response["Tus-Extension"] = EXTENSIONS
    response["Tus-Max-Size"] = str(settings.UPLOAD_MAX_BYTES)
    response["Tus-Checksum-Algorithm"] = ",".join(ALGORITHMS)
    return response


def _not_allowed(allowed: str) -> HttpResponse:
    response = JsonResponse({"error": "this is not possible here", "tag": "method"}, status=405)
    response["Allow"] = allowed
    return response


async def _begin(request: PageRequest) -> HttpResponseBase:
    _check_version(request)
    size = _count(request, "Upload-Length")
    told = _metadata(request.headers.get("Upload-Metadata", ""))
    try:
        place_id = uuid.UUID(told.get("place_id", ""))
    except ValueError:
        raise Invalid("Upload-Metadata: place_id must be the id of a place") from None
    place = await inputs.entered(request, told.get("place", ""), place_id, Right.WORK)
    path = _target(told)
    policy = inputs.policy(told)
    refusal = await _taken(place, path, policy)
    if refusal is not None:
        return refusal
    await _check_room(place, path, size)
    # Without a policy nothing stood there; what comes meanwhile is kept beside.
    policy = policy or OnConflict.RENAME
    upload = await tus.begin(Wish(place, path, size, policy, request.member.name))
    response = HttpResponse(status=201)
    if size == 0:
        async with tus.writing(upload) as writing:
            await _told(request, response, await writing.finish())
    response["Location"] = reverse("disks:upload", args=[upload.pk])
    response["Upload-Expires"] = http_date(upload.expires_at.timestamp())
    response["Upload-Offset"] = "0"
    return response


def _count(request: HttpRequest, name: str) -> int:
    """Return the number in a header. Raises Invalid."""
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdecimal()) or len(text) > MAX_DIGITS:
        raise Invalid(f"{name}: must be a number of bytes")
    return int(text)


def _metadata(text: str) -> dict[str, str]:
    """Read pairs of a key and a text in base64. Raises Invalid."""
    if len(text) > MAX_METADATA:
        raise Invalid("Upload-Metadata: is too long")
    told: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, _, value = pair.partition(" ")
        try:
            told[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Invalid(f"Upload-Metadata: {key[:50]!r} must be text in base64") from None
    return told


def _target(told: dict[str, str]) -> str:
    """Return the path of the file to be. Raises Invalid."""
    filename = paths.filename_of(unicodedata.normalize("NFC", told.get("filename", "")))
    relative = unicodedata.normalize("NFC", told.get("relativePath", ""))
    if relative.startswith("/"):
        raise Invalid("Upload-Metadata: relativePath must be relative")
    inner, _, _ = relative.rpartition("/")
    folder = entries.clean(told.get("folder", ""))
    for name in filter(None, inner.split("/")):
        folder = entries.join(folder, paths.filename_of(name))
    return entries.join(folder, filename)


async def _taken(place: Place, path: str, policy: OnConflict | None) -> HttpResponseBase | None:
    """Return the refusal of a name that is taken; no policy asks the person."""
    old = await _present(place, path)
    if old is None:
        await _check_way(place, entries.parent_of(path))
        return None
    conflict = {"old": inputs.entry_json(old)}
    if old.kind == "folder" and policy == OnConflict.REPLACE:
        in_the_way = Conflict(f"there is a folder named {old.name} already", tag="is_a_directory")
        return inputs.refusal_json(in_the_way, conflict=conflict)
    if policy is not None:
        return None
    what = "a folder" if old.kind == "folder" else "a file"
    return inputs.refusal_json(entries.taken(path, what), conflict=conflict)


async def _present(place: Place, path: str) -> Entry | None:
    """Return what is at a path; None: nothing, or a file is on the way to it."""
    try:
        return await place.stat(path)
    except NotFound as missing:
        if missing.tag.startswith("sandbox_"):
            raise
    except Unprocessable as refusal:
        if refusal.tag != NOT_A_DIRECTORY:
            raise
    return None


async def _check_way(place: Place, folder: str) -> None:
    """Raise Conflict, before anything is sent, if a file stands where a folder is to be."""
    while folder != "/":
        entry = await _present(place, folder)
        if entry is not None:
            if not entry.is_folder:
                words = f"a file named {entry.name} is where a folder has to be"
                raise Conflict(words, tag=NOT_A_DIRECTORY)
            return
        folder = entries.parent_of(folder)


async def _check_room(place: Place, path: str, size: int) -> None:
    """Raise NoSpace if a sandbox's workspace could not take it."""
    sandbox = getattr(place, "sandbox", None)
    if sandbox is None or not entries.is_within(path, place.start):
        return
    async with guests.linked(sandbox) as link:
        usage = await link.usage()
    left = max(0, usage.workspace_limit_bytes - usage.workspace_bytes)
    if size > left:
        raise NoSpace(f"the sandbox has room for {left / 2**20:,.0f} MiB more, which is too little")


@require_http_methods(["HEAD", "PATCH", "DELETE", "POST", "OPTIONS"])
@page()
@answers_scripts
async def upload(request: PageRequest, upload_id: uuid.UUID) -> HttpResponseBase:
    """Go on with an upload, ask how far it is, or end it."""
    method = _method(request)
    if method == "OPTIONS":
        return _capabilities()
    steps = {"HEAD": _tell, "PATCH": _take, "DELETE": _end}
    if method not in steps:
        return _not_allowed("HEAD, PATCH, DELETE, OPTIONS")
    _check_version(request)
    found = await database.read(tus.find, upload_id)
    await enter(request, found.project_id, Right.WORK)
    if found.created_by != request.member.name:
        raise NotFound("there is no such upload, or it has expired", tag="upload_not_found")
    return await steps[method](request, found)


async def _tell(request: PageRequest, found: Upload) -> HttpResponse:
    response = HttpResponse(status=200)
    offset = await tus.offset_of(found)
    if offset == found.size:
        # It is all there; whoever asks may have missed that it did not reach its place.
        async with tus.writing(found) as writing:
            await _told(request, response, await writing.finish())
    told = {
        "place": found.place,
        "place_id": str(found.place_id),
        "folder": found.folder,
        "filename": found.filename,
        "on_conflict": found.on_conflict,
    }
    response["Upload-Offset"] = str(offset)
    response["Upload-Length"] = str(found.size)
    response["Upload-Metadata"] = ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in told.items()
    )
    response["Upload-Expires"] = http_date(found.expires_at.timestamp())
    return response


async def _take(request: PageRequest, found: Upload) -> HttpResponse:
    if request.headers.get("Content-Type") != PIECE:
        raise WrongType(f"the Content-Type of a piece is {PIECE}")
    offset = _count(request, "Upload-Offset")
    checksum = _checksum(request)
    response = HttpResponse(status=204)
    async with tus.writing(found) as writing:
        if writing.upload.finished_at is not None:
            if offset != found.size:
                raise OffsetMismatch(found.size)
            now = found.size
        else:
            now = await writing.append(offset, _pieces(request), checksum)
        if now == found.size:
            await _told(request, response, await writing.finish())
    response["Upload-Offset"] = str(now)
    response["Upload-Expires"] = http_date(found.expires_at.timestamp())
    return response


def _checksum(request: HttpRequest) -> Checksum | None:
    text = request.headers.get("Upload-Checksum", "")
    if not text:
        return None
    algorithm, _, digest = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise Invalid(f"Upload-Checksum: the algorithm must be {' or '.join(ALGORITHMS)}")
    try:
        return Checksum(algorithm, base64.b64decode(digest, validate=True))
    except binascii.Error:
        raise Invalid("Upload-Checksum: must be in base64") from None


async def _pieces(request: HttpRequest) -> AsyncIterator[bytes]:
    """Give the body as it comes in, or from where it was gathered."""
    incoming: AsyncIterator[bytes] | None = getattr(request, "incoming", None)
    if incoming is None:
        body = request.body
        for start in range(0, len(body), CHUNK):
            yield body[start : start + CHUNK]
        return
    async for piece in incoming:
        yield piece


async def _told(request: PageRequest, response: HttpResponse, finished: Finished) -> None:
    """Say where an upload went, here, in the activity and on the pages that show it."""
    entry = finished.entry
    response["Upload-Outcome"] = "skipped" if entry is None else "written"
    if entry is None:
        return
    response["Upload-Path"] = quote(entry.path)
    if finished.is_new:
        name = f"{finished.place.name}: {entry.path}"
        await note(request, "file.upload", object_id=finished.place.id, object_name=name)
        await inputs.changed(finished.place)


async def _end(request: PageRequest, found: Upload) -> HttpResponse:
    await tus.end(found)
    return HttpResponse(status=204)
