"""Pages and answers that belong to no app."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.defaults import page_not_found

from project.envelope import API, CONTENT_TYPE, error_response


async def health(request: HttpRequest) -> HttpResponse:
    """Say that this process answers. Asks nothing of the database or the engine."""
    return JsonResponse({"code": 0, "msg": "ok"}, content_type=CONTENT_TYPE)


def no_such_page(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown address in the form of its door."""
    if request.path_info.startswith(API):
        return error_response(404, "no such address in this API", "not_found")
    return page_not_found(request, exception)
