"""Does this process answer?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from project.envelope import CONTENT_TYPE


async def health(request: HttpRequest) -> HttpResponse:
    """Say that this process answers. Asks nothing of the database or the engine."""
    return JsonResponse({"code": 0, "msg": "ok"}, content_type=CONTENT_TYPE)
