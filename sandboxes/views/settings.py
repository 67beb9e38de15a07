"""The settings of one sandbox: its name, its labels, how long it lives, and its end."""

from __future__ import annotations

import uuid

from django.conf import settings as limits
from django.http import HttpResponse

from project import words
from project.errors import Invalid
from project.pages import PageRequest, done, note, page, render
from project.policy import Right
from sandboxes import lifecycle
from sandboxes.models import Sandbox
from sandboxes.options import MAX_NAME, NEVER
from sandboxes.views.shared import context_for, find_sandbox, url_of

LIFETIMES = (
    (15 * 60, "15 minutes"),
    (30 * 60, "30 minutes"),
    (60 * 60, "1 hour"),
    (4 * 60 * 60, "4 hours"),
    (8 * 60 * 60, "8 hours"),
    (24 * 60 * 60, "24 hours"),
)


@page()
async def settings(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    """Show the settings; with POST, change those that a form sends."""
    if request.method == "POST":
        return await _change(request, sandbox_id)
    sandbox = await find_sandbox(request, sandbox_id)
    context = context_for(
        sandbox,
        "settings",
        lifetimes=_lifetimes(sandbox),
        labels="\n".join(f"{name}={value}" for name, value in sandbox.labels.items()),
        name_length=MAX_NAME,
    )
    return await render(request, "sandboxes/settings.html", context)


def _lifetimes(sandbox: Sandbox) -> list[tuple[str, str, bool]]:
    """Return the lifetimes to choose from: value, words, and whether it is the present one."""
    known = [(str(s), said) for s, said in LIFETIMES if s <= limits.SANDBOX_MAX_SECONDS]
    if limits.SANDBOX_ALLOW_NEVER:
        known.append((NEVER, "No limit"))
    present = NEVER if sandbox.lifetime_seconds is None else str(sandbox.lifetime_seconds)
    if present not in dict(known):
        known.insert(0, (present, "As it is"))
    return [(value, said, value == present) for value, said in known]


async def _change(request: PageRequest, sandbox_id: uuid.UUID) -> HttpResponse:
    sandbox = await find_sandbox(request, sandbox_id, Right.WORK)
    form, before = request.POST, _settings_of(sandbox)
    if "name" in form:
        await lifecycle.describe(
            sandbox, name=" ".join(form["name"].split()), labels=_labels(form.get("labels", ""))
        )
    if "lifetime" in form:
        await lifecycle.extend(sandbox, _lifetime(form["lifetime"]))
    if "recording" in form:
        await lifecycle.describe(sandbox, records_terminals=form["recording"] == "on")
    await note(
        request,
        "sandbox.change",
        object_id=sandbox.pk,
        object_name=str(sandbox),
        detail=_difference(before, _settings_of(sandbox)),
    )
    return await done(request, "Saved.", url_of(sandbox, "settings"))


def _settings_of(sandbox: Sandbox) -> dict[str, str]:
    """Return each setting in words that are others when it is another."""
    labels = ", ".join(f"{name}={value}" for name, value in sorted(sandbox.labels.items()))
    lasts = sandbox.lifetime_seconds
    return {
        "name": str(sandbox),
        "labels": f"labels: {labels or 'none'}",
        "lifetime": f"lifetime: {words.span(lasts) if lasts else 'no limit'}",
        "recording": f"terminals are {'' if sandbox.records_terminals else 'not '}recorded",
    }


def _difference(before: dict[str, str], after: dict[str, str]) -> str:
    """Say what is another. The line is under the new name, so the old one is told."""
    changed = [what for what in after if after[what] != before[what]]
    return "; ".join(
        f"it was {before[what]}" if what == "name" else after[what] for what in changed
    )


def _labels(text: str) -> dict[str, str]:
    """Read labels from lines of `name=value`. Raises Invalid for another line."""
    labels = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise Invalid(f"labels: {line[:60]!r} is no label; write name=value")
        labels[name.strip()] = value.strip()
    return labels


def _lifetime(text: str) -> int | str:
    if text == NEVER:
        return NEVER
    try:
        return int(text)
    except ValueError:
        raise Invalid("lifetime: must be a number of seconds") from None
