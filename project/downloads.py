"""Answer with a file as a stream: ranges, ETags, and headers that keep it from being run.

RFC 9110, sections 13 and 14. One range at a time; several are answered with the whole file.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, parse_etags

from project.envelope import error_response

RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
# More digits than the size of any file has.
MOST_DIGITS = 18
# What may not stand in a header, and does in the names of some files.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# What a file may do in a browser.
NOTHING = "default-src 'none'; sandbox"

type Opener = Callable[[int, int], Awaitable[AsyncGenerator[bytes]]]


@dataclass(frozen=True, slots=True)
class Download:
    """A file to be answered with. `open` gives its bytes from a start up to an end."""

    filename: str
    size: int
    etag: str
    open: Opener
    content_type: str = "application/octet-stream"
    as_attachment: bool = True
    policy: str = NOTHING


async def respond(request: HttpRequest, download: Download) -> HttpResponse | StreamingHttpResponse:
    """Build the answer: 200, 206 for a range, 304 if the caller has it, 416 for no such range."""
    quoted = f'"{download.etag}"'
    if quoted in parse_etags(request.headers.get("If-None-Match", "")):
        response = HttpResponse(status=304)
        return _with_headers(response, download, quoted)
    wanted = None
    if request.headers.get("If-Range", quoted) == quoted:
        wanted = _parse_range(request.headers.get("Range", ""), download.size)
    if wanted is not None and wanted[0] >= wanted[1]:
        refused = error_response(416, f"no such range: the file has {download.size} bytes")
        refused["Content-Range"] = f"bytes */{download.size}"
        return refused
    start, end = wanted or (0, download.size)
    if request.method == "HEAD":
        answer: HttpResponse | StreamingHttpResponse = HttpResponse(status=200)
    else:
        chunks = await download.open(start, end)
        answer = StreamingHttpResponse(_closing(chunks), status=206 if wanted else 200)
    if wanted:
        answer["Content-Range"] = f"bytes {start}-{end - 1}/{download.size}"
    answer["Content-Length"] = str(end - start)
    return _with_headers(answer, download, quoted)


async def _closing(chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(chunks) as stream:
        async for chunk in stream:
            yield chunk


def _parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the start and end that are asked for; None for the whole. Empty if there is no such."""
    match = RANGE.fullmatch(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - _number(last)), size
    if last and _number(last) < _number(first):
        return None
    return _number(first), min(_number(last) + 1, size) if last else size


def _number(digits: str) -> int:
    """Return a position. One of any length counts, and Python reads none of 5000 digits."""
    digits = digits.lstrip("0")
    return int(digits or 0) if len(digits) <= MOST_DIGITS else 10**MOST_DIGITS


def disposition(filename: str, *, as_attachment: bool = True) -> str:
    """Return the header that says what a file is saved as; "" if there is nothing to say."""
    return content_disposition_header(as_attachment, CONTROL.sub("_", filename)) or ""


def _with_headers[R: HttpResponseBase](response: R, download: Download, etag: str) -> R:
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    response["Content-Type"] = download.content_type
    named = disposition(download.filename, as_attachment=download.as_attachment)
    if named:
        response["Content-Disposition"] = named
    # What a stranger wrote must never run in a browser as ours.
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = download.policy
    response["Cache-Control"] = "private, no-cache"
    return response
