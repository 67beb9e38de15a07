"""Files as answers: which part of one is wanted, and what its name may do to a header."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from project.downloads import Download, respond

DATA = b"0123456789"


async def ask(filename: str = "a.txt", **headers: str) -> HttpResponse | StreamingHttpResponse:
    async def open_part(start: int, end: int) -> AsyncGenerator[bytes]:
        async def part() -> AsyncGenerator[bytes]:
            yield DATA[start:end]

        return part()

    request = RequestFactory().get("/", headers=headers)
    return await respond(request, Download(filename, len(DATA), "tag", open_part))


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("bytes=2-4", b"234"),
        ("bytes=8-", b"89"),
        ("bytes=-3", b"789"),
        ("bytes=8-99", b"89"),
        (f"bytes=8-{'9' * 5000}", b"89"),
        (f"bytes=-{'9' * 5000}", DATA),
        (f"bytes={'0' * 5000}8-", b"89"),
    ],
)
async def test_a_part_is_told(wanted: str, told: bytes) -> None:
    answer = await ask(Range=wanted)
    assert isinstance(answer, StreamingHttpResponse)
    assert answer.status_code == 206
    assert b"".join([piece async for piece in answer]) == told


@pytest.mark.parametrize(
    "wanted", ["bytes=4-2", "bytes=-", "lines=1-2", "bytes=1-2,4-5", "bytes=²-"]
)
async def test_what_is_no_part_gives_the_whole(wanted: str) -> None:
    assert (await ask(Range=wanted)).status_code == 200


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=-0", f"bytes={'1' * 5000}-"])
async def test_a_part_behind_the_end_is_416(wanted: str) -> None:
    answer = await ask(Range=wanted)
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */10")


@pytest.mark.parametrize("name", ["a\n", "a\r\nSet-Cookie: b", "ä\n\x7f"])
async def test_a_name_with_line_breaks_is_told_without(name: str) -> None:
    answer = await ask(name)
    assert answer.status_code == 200
    assert "_" in answer["Content-Disposition"]
