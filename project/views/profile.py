"""A person's own page: password, look, and where they are signed in. Every role may."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from project import accounts, activity, signing_out
from project.database import read, write
from project.errors import Invalid
from project.pages import PageRequest, done, note, page, render
from project.shell import THEMES
from project.throttle import Attempt
from project.views.signin import MARK

YEAR_SECONDS = 365 * 24 * 3600
DENSITIES = (("", "Comfortable"), ("compact", "Compact"))


@page()
async def profile(request: PageRequest) -> HttpResponse:
    return await _page(request)


async def _page(
    request: PageRequest, problem: Invalid | None = None, status: int = 200
) -> HttpResponse:
    def context() -> dict[str, Any]:
        user, current = request.member.user, request.session.session_key
        return {
            "sessions": accounts.sessions_of(user, current),
            "densities": DENSITIES,
            "problem": problem,
            "is_first": "first" in request.GET,
        }

    return await render(request, "project/profile.html", await read(context), status)


@page()
async def change_password(request: PageRequest) -> HttpResponse:
    """Give oneself another password. It ends all other sessions."""
    given = [
        request.POST.get(name, "") for name in ("old_password", "new_password1", "new_password2")
    ]
    mark = request.COOKIES.get(MARK, "")
    attempt = Attempt(request.member.name, activity.address_of(request), mark)
    try:
        await accounts.change_password(request.member.user, *given, attempt=attempt)
    except Invalid as problem:
        if attempt.is_noted and problem.tag == "old_password":
            await _note_password(request, activity.Outcome.REFUSED)
        return await _page(request, problem, status=422)
    await write(accounts.stay_signed_in, request.session, request.member.user)
    await signing_out.look_again(request.member.user.pk)
    await _note_password(request, activity.Outcome.DONE)
    told = "Your password is changed. You are signed out everywhere else."
    return await done(request, told, reverse("profile"))


async def _note_password(request: PageRequest, outcome: activity.Outcome) -> None:
    await note(request, "account.password", object_name=request.member.name, outcome=outcome)


@page()
async def change_look(request: PageRequest) -> HttpResponse:
    """Keep theme and density in this browser."""
    theme, density = request.POST.get("theme", ""), request.POST.get("density", "")
    if theme not in dict(THEMES) or density not in dict(DENSITIES):
        raise Invalid("choose a theme and a density of the list")
    response = HttpResponseRedirect(reverse("profile"))
    response.status_code = 303
    for name, value in (("theme", theme), ("density", density)):
        response.set_cookie(
            name, value, max_age=YEAR_SECONDS, samesite="Lax", secure=settings.BEHIND_TLS
        )
    return response


@page()
async def end_session(request: PageRequest) -> HttpResponse:
    """Sign out in one other browser, or in all others."""
    user, wanted = request.member.user, request.POST.get("session", "")
    if wanted:
        await write(accounts.end_session, user, wanted)
        told = "That browser is signed out."
    else:
        count = await write(accounts.end_other_sessions, user, request.session.session_key)
        told = f"Signed out in {count} other browser{'' if count == 1 else 's'}."
    await signing_out.look_again(user.pk)
    await note(request, "account.end_session", object_name=request.member.name)
    return await done(request, told, reverse("profile"))
