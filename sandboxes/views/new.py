"""The page that makes a sandbox, with the same wish as a call of the API beside the form."""

from __future__ import annotations

import json
import shlex
import uuid
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from project import database, words
from project.errors import Invalid, NotFound, Refused
from project.pages import PageRequest, done, note, page, render, sentence
from project.policy import Right
from sandboxes import fitness, images, lifecycle
from sandboxes.access import sandbox_for
from sandboxes.models import Sandbox
from sandboxes.options import Limits, NewSandbox, limits_for
from sandboxes.views.draft import DEFAULT_IMAGE, Draft, body_of, lifetimes, sizes

# The fields whose errors leave open what a sandbox gets.
AMOUNTS = frozenset({"size", "cpus", "memory", "workspace", "lifetime", "minutes"})
CURL = """\
curl -X POST {url} \\
  -H "Authorization: Bearer $SANDBANK_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d {body}"""
PYTHON = """\
import os
import httpx

answer = httpx.post(
    {url!r},
    headers={{"Authorization": f"Bearer {{os.environ['SANDBANK_API_KEY']}}"}},
    json={body},
    timeout=60,
)
sandbox_id = answer.raise_for_status().json()["data"]["sandbox_id"]"""


@dataclass(frozen=True, slots=True)
class Call:
    """The equivalent call of the API, for people who would rather write it down."""

    curl: str
    python: str


@page(needs=Right.WORK)
async def new(request: PageRequest) -> HttpResponse:
    """Show the form, make what it describes, or with `part` draw only what it comes to."""
    if request.method != "POST":
        return await _form(request, await _first_draft(request))
    draft = Draft.of(request.POST)
    wish, errors = draft.wish()
    if "part" in request.GET:
        return await render(request, "sandboxes/new.html#outcome", _outcome(request, wish, errors))
    if errors:
        return await _form(request, draft, errors, status=422)
    try:
        sandbox = await lifecycle.create(
            request.member.project, wish, created_by=request.member.name
        )
    except Invalid as refusal:
        return await _form(request, draft, {"": sentence(refusal.message)}, status=422)
    except Refused as refusal:
        return await _form(request, draft, {"": sentence(refusal.message)}, status=refusal.status)
    await note(request, "sandbox.create", object_id=sandbox.pk, object_name=str(sandbox))
    return await done(request, f"{sandbox} runs.", f"/sandboxes/{sandbox.pk}/")


async def _first_draft(request: PageRequest) -> Draft:
    """Return the plain draft, or one like the sandbox that is named."""
    like = request.GET.get("like", "")
    if not like:
        return Draft.new()
    try:
        model: Sandbox = await database.read(sandbox_for, request.member.project, uuid.UUID(like))
    except (ValueError, NotFound):
        return Draft.new()
    if model.environment:
        # The form shows the values.
        await note(request, "sandbox.show_environment", object_id=model.pk, object_name=str(model))
    return Draft.like(model)


async def _form(
    request: PageRequest, draft: Draft, errors: dict[str, str] | None = None, status: int = 200
) -> HttpResponse:
    wish, _ = draft.wish()
    errors = errors or {}
    context = {
        "draft": draft,
        "errors": errors,
        "problem": errors.get("", ""),
        "sizes": sizes(),
        "lifetimes": [(str(seconds), word) for seconds, word in lifetimes()],
        "images": await _offered_images(),
        "allows_never": settings.SANDBOX_ALLOW_NEVER,
        "limits": {
            "cpus": settings.SANDBOX_MAX_CPUS,
            "memory": settings.SANDBOX_MAX_MEMORY_BYTES,
            "workspace": settings.SANDBOX_MAX_WORKSPACE_BYTES,
            "minutes": int(settings.SANDBOX_MAX_SECONDS) // 60,
        },
        **_outcome(request, wish, errors),
    }
    return await render(request, "sandboxes/new.html", context, status)


async def _offered_images() -> list[tuple[str, str, str]]:
    """Return the value, the title and the full name of each image that may be chosen."""
    first = (DEFAULT_IMAGE, "default", images.default_image())
    others = [name for name in await fitness.offered() if name != images.default_image()]
    return [first, *((name, images.short_name(name), name) for name in others)]


def _outcome(request: HttpRequest, wish: NewSandbox, errors: dict[str, str]) -> dict[str, Any]:
    """Return what the form comes to: the sandbox in words, and the call."""
    gets = None if AMOUNTS & errors.keys() else _limits(wish)
    return {
        "wish": wish,
        "errors": errors,
        "gets": gets,
        "lasts": words.span(gets.lifetime_seconds) if gets and gets.lifetime_seconds else "",
        "image_name": images.short_name(wish.image or images.default_image()),
        "image": wish.image or images.default_image(),
        "call": _call(request, wish),
    }


def _limits(wish: NewSandbox) -> Limits | None:
    """Return the amounts that were wished for, whatever else is not right yet."""
    try:
        return limits_for(
            NewSandbox(
                cpu=wish.cpu,
                memory=wish.memory,
                workspace_size=wish.workspace_size,
                timeout=wish.timeout,
            )
        )
    except Invalid:
        return None


def _call(request: HttpRequest, wish: NewSandbox) -> Call:
    base = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    url, body = f"{base}/api/v1/sandbox", body_of(wish)
    written = pformat(body, sort_dicts=False, width=72).replace("\n", "\n    ")
    return Call(
        curl=CURL.format(
            url=shlex.quote(url), body=shlex.quote(json.dumps(body, indent=2, ensure_ascii=False))
        ),
        python=PYTHON.format(url=url, body=written),
    )
