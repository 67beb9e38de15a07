"""What is shown once: a secret on the page that comes after the form that made it.

The answer to a form would make another one when it is loaded anew. So the secret waits in the
session of whoever made it, until their next page or for a few minutes.
"""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse

KEPT = "shown_once"
SECONDS = 300


async def keep(request: HttpRequest, what: str, **told: str) -> None:
    """Let the next page of this kind tell something."""
    await request.session.aset(KEPT, {"what": what, "until": time.time() + SECONDS, "told": told})


async def take(request: HttpRequest, what: str) -> dict[str, str]:
    """Return what was kept for this page and forget it; nothing if there is nothing new."""
    kept = await request.session.aget(KEPT)
    if not kept or kept["what"] != what:
        return {}
    await request.session.apop(KEPT)
    told: dict[str, str] = kept["told"]
    return told if time.time() < kept["until"] else {}


def unkept(response: HttpResponse) -> HttpResponse:
    """Let no browser keep a page that tells a secret."""
    response["Cache-Control"] = "no-store"
    return response
