"""What Django itself refuses, in the form of the door that was used."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string

from project import request_id
from project.envelope import API, error_response
from project.pages import wants_json
from project.shell import Shell

logger = logging.getLogger(__name__)


def no_such_page(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404, the same for what is missing and for what is somebody else's."""
    if request.path_info.startswith(API):
        return error_response(404, "no such address in this API", "not_found")
    return _answer(
        request, 404, "There is no such page, or it is in a project you are not a member of."
    )


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 403, "You may not do this.")


def not_understood(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, TooManyFieldsSent):
        most = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS or 0
        words = (
            f"A form names {most:,} things at the most. Choose fewer, or the folder they are in."
        )
        return _answer(request, 400, words)
    return _answer(request, 400, "The request could not be understood.")


def our_fault(request: HttpRequest) -> HttpResponse:
    return _answer(request, 500, "Sandbank failed. Its log has the reason under this request.")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form that is not ours, or is older than the session.

    A script of ours is given the token that holds now, and asks once more: who signs in again
    makes those of open pages void. Another site's script cannot read the answer.
    """
    message = (
        "This form came from somewhere else, or from before you signed in. "
        "Go back, load the page anew and try again."
    )
    if wants_json(request):
        return _json(403, message, tag="csrf", csrf_token=get_token(request))
    return _answer(request, 403, message)


def _json(status: int, message: str, **more: str) -> JsonResponse:
    body = {"error": message, "tag": "refused", "request_id": request_id.current(), **more}
    response = JsonResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _answer(request: HttpRequest, status: int, message: str) -> HttpResponse:
    current = request_id.current()
    if wants_json(request):
        return _json(status, message)
    # Without the request, whose user and messages would be asked of a database that may be the
    # very thing that failed.
    context = {
        "status": status,
        "message": message,
        "request_id": current,
        "shell": Shell(request),
        "path": request.get_full_path() if request.method == "GET" else "",
    }
    return HttpResponse(render_to_string("error.html", context), status=status)
