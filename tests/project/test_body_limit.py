"""Bodies are bounded before Django writes any of them to disk."""

from __future__ import annotations

from typing import Any

import pytest

from project.body_limit import SMALL, BodyLimit, limit_for


class Door:
    """Stands for Django behind the limit: takes the body and answers 200, or what was refused."""

    def __init__(self) -> None:
        self.taken = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.taken += len(message.get("body", b""))
            more = message.get("more_body", False)
        status = scope["refusal"].status if "refusal" in scope else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def send_body(
    door: Door, path: str, size: int, *, token: str = "", announced: bool = True, method="POST"
) -> int:
    """Send a body of that size in pieces; return the status of the answer."""
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    length = (b"content-length", str(size).encode())
    headers.append(length if announced else (b"transfer-encoding", b"chunked"))
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    pieces = [b"x" * min(65536, size - at) for at in range(0, size, 65536)] or [b""]
    answers: list[Any] = []

    async def receive() -> Any:
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        answers.append(message)

    await BodyLimit(door)(scope, receive, send)
    return int(answers[0]["status"])


async def test_a_body_within_the_limit_passes(token: str) -> None:
    door = Door()
    assert await send_body(door, "/api/v1/disk", SMALL) == 200
    assert door.taken == SMALL


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_413_whatever_its_length_says(
    token: str, settings: Any, announced: bool
) -> None:
    settings.API_MAX_BODY_BYTES = 2_000_000
    door = Door()
    answer = await send_body(door, "/api/v1/x", 2_000_001, token=token, announced=announced)
    assert answer == 413
    assert door.taken <= 2_000_000


@pytest.mark.parametrize("path", ["/api/v1/disk/1/artifact", "/api/v1/nothing/here"])
async def test_a_large_body_without_a_key_is_401_and_never_taken(
    transactional_db: None, path: str
) -> None:
    door = Door()
    assert await send_body(door, path, SMALL + 1) == 401
    assert door.taken == 0


async def test_a_page_takes_no_large_body(transactional_db: None) -> None:
    door = Door()
    assert await send_body(door, "/admin/login/", SMALL + 1) == 413
    assert door.taken == 0


def test_a_file_may_be_as_large_as_a_transfer(settings: Any) -> None:
    settings.TRANSFER_MAX_BYTES = 12345
    assert limit_for("PUT", "/api/v1/sandbox/1/files") == 12345
