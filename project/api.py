"""The HTTP API: its key check, its errors, and the pieces every endpoint shares."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.csp import CSP, build_policy
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, ValidationError
from ninja.openapi.docs import Swagger
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import to_json

from project import activity, database, keys, request_id, scopes, words
from project.envelope import CONTENT_TYPE, Done, Envelope, Problem, error_response
from project.errors import Refused, Unauthorized
from project.models import ApiKey, Project
from project.paging import DEFAULT_LIMIT, MAX_LIMIT, Page, page_of

logger = logging.getLogger(__name__)


class ApiRequest(HttpRequest):
    """A request whose key has been recognised."""

    auth: ApiKey

    @property
    def project(self) -> Project:
        return self.auth.project


def bearer_token(header: str) -> str:
    """Return the token of an Authorization header. Raises Unauthorized with the reason."""
    scheme, _, token = header.partition(" ")
    if not header:
        raise Unauthorized("Unauthorized: send the header `Authorization: Bearer sk-ac-...`")
    if scheme != "Bearer" or not token.startswith(keys.PREFIX):
        raise Unauthorized("Unauthorized: the header must be `Authorization: Bearer sk-ac-...`")
    return token


async def api_key(request: HttpRequest) -> ApiKey:
    """Recognise the caller by its key."""
    token = bearer_token(request.headers.get("Authorization", ""))
    key = await keys.recognise(token)
    if key is None:
        raise Unauthorized("Unauthorized: this API key is unknown or was revoked")
    if request.resolver_match is not None:
        scopes.require(key.scopes, str(request.method), request.resolver_match.route)
    return key


class Docs(Swagger):
    """The page of the API's documentation. It is the one page that the lean handler serves."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        response = super().render_page(request, api, **kwargs)
        response["Content-Security-Policy"] = build_policy(DOCS_CSP)
        response["X-Frame-Options"] = "DENY"
        response["X-Content-Type-Options"] = "nosniff"
        response["Referrer-Policy"] = settings.SECURE_REFERRER_POLICY
        return response


# Swagger's scripts and styles are files of ours, and it has nothing inline.
DOCS_CSP: dict[str, Any] = {
    **settings.SECURE_CSP,
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
}

api = NinjaAPI(
    title="Sandbank",
    description="Sandboxes, disks and copies between them. Every answer is an envelope: "
    "`code` is 0 and `data` the result, or `code` is the HTTP status and `msg` says why.",
    version="1",
    auth=api_key,
    docs=Docs(),
    docs_url="/docs",
    openapi_url="/openapi.json",
    urls_namespace="api",
)


@api.exception_handler(Refused)
def refused(request: HttpRequest, refusal: Refused) -> HttpResponse:
    response = error_response(refusal.status, refusal.message, refusal.tag)
    if refusal.status in (429, 503):
        response["Retry-After"] = "1"
    return response


@api.exception_handler(ValidationError)
def not_valid(request: HttpRequest, invalid: ValidationError) -> HttpResponse:
    """Say in one sentence which parameter is wrong and how."""
    first = invalid.errors[0]
    where = ".".join(str(part) for part in first["loc"][1:] if part != "body")
    message = str(first["msg"]).removeprefix("Value error, ")
    return error_response(400, f"{where or first['loc'][0]}: {message}", "invalid")


@api.exception_handler(HttpError)
def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return error_response(error.status_code, str(error))


@api.exception_handler(Http404)
def no_such_route(request: HttpRequest, error: Http404) -> HttpResponse:
    return error_response(404, "no such address in this API", "not_found")


@api.exception_handler(RequestDataTooBig)
def body_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return error_response(413, "the body of the request is over the limit", "too_large")


@api.exception_handler(MultiPartParserError)
@api.exception_handler(SuspiciousOperation)
def not_understood(request: HttpRequest, error: Exception) -> HttpResponse:
    return error_response(400, f"the request cannot be read: {error}", "invalid")


@api.exception_handler(Exception)
def our_fault(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return error_response(
        500, f"Sandbank failed; its log has the reason under request {request_id.current()}"
    )


# --- Values on the wire ---------------------------------------------------------------------


def caller(request: ApiRequest) -> str:
    """Say who asks, for what is kept of it."""
    return f"{words.API_KEY}{request.auth.name}"


def timestamp(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, with a Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _uuid(value: Any) -> uuid.UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise ValueError("must be a UUID") from None


def _blank_is_default(default: Any) -> BeforeValidator:
    return BeforeValidator(lambda value: default if value == "" else value)


def _whole(value: str) -> str:
    if not words.is_whole(value):
        raise ValueError("must not hold half a character")
    return value


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a NUL character")
    return value


# What a program may be given as it is; Text is what can also be kept.
Whole = Annotated[str, AfterValidator(_whole)]
Text = Annotated[Whole, AfterValidator(_no_nul)]
Id = Annotated[uuid.UUID, BeforeValidator(_uuid)]
Limit = Annotated[int, _blank_is_default(DEFAULT_LIMIT), Field(ge=1, le=MAX_LIMIT)]
Flag = Annotated[bool, _blank_is_default(False)]


class PageQuery(Schema):
    """The query parameters of every list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Text = ""
    time_desc: Flag = False

    def of[M: Model](self, rows: QuerySet[M]) -> Page[M]:
        """Return the page that is asked for. Reads the database."""
        return page_of(rows, limit=self.limit, cursor=self.cursor, newest_first=self.time_desc)


class PageOut[T](Schema):
    """One page of a list; `next_cursor` is there when `has_more` is true."""

    items: list[T]
    has_more: bool
    next_cursor: str | None = None


async def note(
    request: ApiRequest, verb: str, *, object_id: object = "", object_name: str = "", **more: Any
) -> None:
    """Write a line of activity for what this call did. The caller does not wait for it."""
    await database.note_soon(
        activity.record,
        request.auth.project_id,
        verb,
        actor=request.auth.name,
        door=activity.Door.API,
        object_id=object_id,
        object_name=object_name,
        address=activity.address_of(request),
        **more,
    )


# --- Answers --------------------------------------------------------------------------------

# The errors any endpoint may answer, for the OpenAPI document.
PROBLEMS = frozenset({400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 507})


def answers[T](data: type[T], status: int = 200) -> dict[Any, Any]:
    """Describe what an endpoint answers, for the OpenAPI document."""
    return {status: Envelope[data], PROBLEMS: Problem}  # type: ignore[valid-type]


DONE: dict[Any, Any] = {200: Done, PROBLEMS: Problem}


def ok(data: Any = None, *, status: int = 200, message: str = "") -> HttpResponse:
    """Answer with success. `data` is anything pydantic can write, None for nothing to tell."""
    body = (
        {"code": 0, "msg": message} if data is None else {"code": 0, "data": data, "msg": message}
    )
    return HttpResponse(to_json(body), status=status, content_type=CONTENT_TYPE)


def page[M, T](found: Page[M], shape: Callable[[M], T]) -> HttpResponse:
    """Answer with one page of a list, each row in its shape on the wire."""
    data: dict[str, Any] = {
        "items": [shape(row) for row in found.items],
        "has_more": found.has_more,
    }
    if found.next_cursor is not None:
        data["next_cursor"] = found.next_cursor
    return ok(data)
