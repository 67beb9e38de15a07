"""The one shape of every JSON answer of the API.

Success: {"code": 0, "data": ..., "msg": ""}; `data` is left out where there is none.
Error: {"code": <HTTP status>, "msg": "<a sentence>", "error": "<a tag for programs>"}.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from django.http import JsonResponse
from ninja import Schema

# Every address of the API starts so.
API = "/api/"
CONTENT_TYPE = "application/json; charset=utf-8"


class Envelope[T](Schema):
    """A successful answer."""

    code: Literal[0] = 0
    data: T
    msg: str = ""


class Done(Schema):
    """A successful answer with nothing to tell."""

    code: Literal[0] = 0
    msg: str = ""


class Problem(Schema):
    """An error: `code` is the HTTP status, `msg` says why, `error` is a tag for programs."""

    code: int
    msg: str
    error: str = ""


def error_response(status: int, message: str, tag: str = "") -> JsonResponse:
    """Build the answer that says no."""
    body = {
        "code": status,
        "msg": message or HTTPStatus(status).phrase,
        "error": tag or HTTPStatus(status).name.lower(),
    }
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)
