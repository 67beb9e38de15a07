"""What every request passes on its way in and out, beside Django's own middleware.

Sessions, messages, CSRF and the like are for pages: settings.MIDDLEWARE lists them. The API has
its own key on every request and its own short chain, in project/handler.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from project import request_id
from project.envelope import error_response
from project.errors import Refused
from project.pages import refused

Handler = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class AsyncMiddleware:
    """A middleware for async handlers, without a hop to another thread."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)  # type: ignore[type-var]


class RequestIdMiddleware(AsyncMiddleware):
    """Gives every request an id, and puts it on the answer."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        current = request_id.begin(request.headers.get("X-Request-Id"))
        response = await self.get_response(request)
        response["X-Request-Id"] = current
        return response


class OtherMethod(Refused):
    status = 405
    tag = "method"


class ErrorPageMiddleware(AsyncMiddleware):
    """Gives a page to what was refused before Django saw it, and to what Django refuses mutely."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        refusal = getattr(request, "scope", {}).get("refusal")
        if refusal is not None:
            return await refused(request, refusal)
        response = await self.get_response(request)
        if response.status_code == 405:
            answer = await refused(request, OtherMethod("this address takes forms only; go back"))
            answer["Allow"] = response["Allow"]
            return answer
        return response


class ApiErrorMiddleware(AsyncMiddleware):
    """Puts the errors that Django itself answers into the envelope of the API."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = await self.get_response(request)
        if (
            response.status_code >= 400
            and "json" not in response.headers.get("Content-Type", "")
            and not response.streaming
        ):
            return error_response(response.status_code, response.reason_phrase)
        return response
