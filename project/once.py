"""What is shown once: a secret on the page that comes after the form that made it.

The answer to a form would make another one when it is loaded anew. So the secret waits for the
next page of whoever made it, for a few minutes. It waits in two halves, one in the session and
one in a cookie. Each alone is random bytes (a one-time pad), so that neither the database nor a
copy of it tells a secret.
"""

from __future__ import annotations

import json
import secrets
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse

KEPT = "shown_once"
SECONDS = 300


async def keep(request: HttpRequest, response: HttpResponse, what: str, **told: str) -> None:
    """Let the next page of this kind tell something; the response is the answer to the form."""
    plain = json.dumps(told).encode()
    pad = secrets.token_bytes(len(plain))
    half = _xor(plain, pad).hex()
    await request.session.aset(KEPT, {"what": what, "until": time.time() + SECONDS, "half": half})
    response.set_cookie(
        KEPT,
        pad.hex(),
        max_age=SECONDS,
        secure=bool(settings.SESSION_COOKIE_SECURE),
        httponly=True,
        samesite="Strict",
    )


async def take(request: HttpRequest, what: str) -> dict[str, str]:
    """Return what was kept for this page and forget it; nothing if there is nothing new."""
    kept = await request.session.aget(KEPT)
    if not kept or kept["what"] != what:
        return {}
    await request.session.apop(KEPT)
    if time.time() >= kept["until"]:
        return {}
    try:
        plain = _xor(bytes.fromhex(kept["half"]), bytes.fromhex(request.COOKIES.get(KEPT, "")))
        told: dict[str, str] = json.loads(plain)
    except ValueError:
        # The cookie is another one's, or gone.
        return {}
    return told


def unkept(response: HttpResponse) -> HttpResponse:
    """Let no browser keep a page that tells a secret, nor its half of it."""
    response["Cache-Control"] = "no-store"
    response.delete_cookie(KEPT, samesite="Strict")
    return response


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
