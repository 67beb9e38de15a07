"""Django's middleware, in the order of settings.MIDDLEWARE, and which requests it concerns.

Sessions, messages, CSRF and the like are for pages. The API has its own key on every request,
and each middleware that is not needed there would cost an exec a hop to another thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import whitenoise.middleware
from asgiref.sync import markcoroutinefunction
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware import clickjacking, common, csrf, security

from project import request_id
from project.envelope import error_response

API = "/api/"
Handler = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class PagesOnly:
    """Steps aside for requests to the API."""

    get_response: Callable[[HttpRequest], Any]

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(API):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class SecurityMiddleware(PagesOnly, security.SecurityMiddleware):
    pass


class WhiteNoiseMiddleware(PagesOnly, whitenoise.middleware.WhiteNoiseMiddleware):
    pass


class SessionMiddleware(PagesOnly, sessions.SessionMiddleware):
    pass


class CommonMiddleware(PagesOnly, common.CommonMiddleware):
    pass


class CsrfViewMiddleware(PagesOnly, csrf.CsrfViewMiddleware):
    # Views of the API are exempt by themselves: ninja marks them.
    pass


class AuthenticationMiddleware(PagesOnly, auth.AuthenticationMiddleware):
    pass


class MessageMiddleware(PagesOnly, messages.MessageMiddleware):
    pass


class XFrameOptionsMiddleware(PagesOnly, clickjacking.XFrameOptionsMiddleware):
    pass


class AsyncMiddleware:
    """A middleware for async handlers, without a hop to another thread."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)


class RequestIdMiddleware(AsyncMiddleware):
    """Gives every request an id, and puts it on the answer."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        current = request_id.begin(request.headers.get("X-Request-Id"))
        response = await self.get_response(request)
        response["X-Request-Id"] = current
        return response


class ApiErrorMiddleware(AsyncMiddleware):
    """Puts the errors that Django itself answers into the envelope of the API."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = await self.get_response(request)
        if (
            request.path_info.startswith(API)
            and response.status_code >= 400
            and "json" not in response.headers.get("Content-Type", "")
            and not response.streaming
        ):
            return error_response(response.status_code, response.reason_phrase)
        return response
