"""What the views of all pages share: who is there, what they may do, and how they are told no.

A view is async, takes the request, and asks the actions. Its database work and the rendering of
its template happen in the database's threads, so that nothing blocks the event loop.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme

from project import activity, database, events, policy, request_id, throttle
from project.errors import Conflict, Forbidden, NotFound, Refused
from project.models import Project
from project.policy import Member, Right

logger = logging.getLogger(__name__)

# The session remembers the project that was looked at last.
CURRENT = "project"
# A page stays open while another one is looked at. So what comes from it says which project it
# shows: its forms in this field, beside the token, and its scripts in this header.
SHOWN_FIELD = "project"
SHOWN_HEADER = "X-Project"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# A change whose client has gone away may take so long to its end.
LONGEST_CHANGE_SECONDS = 600.0


class OtherProject(Conflict):
    """A page was left open, and its project is not to be told or not theirs any more."""

    tag = "other_project"


class PageRequest(HttpRequest):
    """A request of a person who is signed in, in the project they look at."""

    member: Member


type View[**P] = Callable[Concatenate[PageRequest, P], Awaitable[HttpResponseBase]]
type PlainView[**P] = Callable[P, Coroutine[Any, Any, HttpResponseBase]]


def page[**P](
    needs: Right = Right.LOOK,
) -> Callable[[View[P]], PlainView[Concatenate[HttpRequest, P]]]:
    """Make a view a page for people who are signed in and have a right in the page's project.

    That is the project of the page that asks, or of the page that was looked at last for somebody
    who comes by an address. Who changes something has to say which. A view of an object calls
    `enter` with the object's own project instead of trusting the session's, and asks there for
    what it needs.
    """

    def decorate(view: View[P]) -> PlainView[Concatenate[HttpRequest, P]]:
        @_finishes
        @functools.wraps(view)
        async def wrapped(
            request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            try:
                entered = await _entered(request)
                if entered is None:
                    return _to_sign_in(request)
                entered.member.require(needs)
                return await view(entered, *args, **kwargs)
            except Refused as refusal:
                await _note_refusal(request, refusal)
                return await refused(request, refusal)

        return wrapped

    return decorate


async def _note_refusal(request: HttpRequest, refusal: Refused) -> None:
    """Write a line of activity for a change that somebody's role does not allow."""
    if refusal.tag != policy.WRONG_ROLE or request.method in SAFE_METHODS:
        return
    entered: Any = request
    if await database.note(_record_refusal, entered):
        await events.changed(entered.member.project.pk, "activity")


def _record_refusal(request: PageRequest) -> bool:
    member = request.member
    is_noted = throttle.is_one_of_the_first(member.project.pk, member.user.pk)
    if is_noted:
        activity.record(
            member.project,
            "member.try",
            actor=member.name,
            object_name=request.path,
            address=activity.address_of(request),
            outcome=activity.Outcome.REFUSED,
            detail=f"as a {member.role}",
        )
    return is_noted


def _finishes[**P](
    view: PlainView[Concatenate[HttpRequest, P]],
) -> PlainView[Concatenate[HttpRequest, P]]:
    """Let what changes something come to its end, also when its client goes away meanwhile.

    Django cancels the view of a client that has gone. What was done by then would be known to
    nobody: the line of activity comes after it.
    """

    @functools.wraps(view)
    async def wrapped(
        request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        if request.method in SAFE_METHODS:
            return await view(request, *args, **kwargs)
        changing = asyncio.create_task(view(request, *args, **kwargs))
        try:
            return await asyncio.shield(changing)
        except asyncio.CancelledError:
            await asyncio.wait((changing,), timeout=LONGEST_CHANGE_SECONDS)
            raise
        finally:
            changing.cancel()

    return wrapped


class StaffRequest(HttpRequest):
    """A request of somebody who runs this server, and may be in no project."""

    staff: User
    member: Member | None


type StaffView[**P] = Callable[Concatenate[StaffRequest, P], Awaitable[HttpResponseBase]]


def staff_page[**P](view: StaffView[P]) -> PlainView[Concatenate[HttpRequest, P]]:
    """Make a view a page for the people who run this server, whatever projects they are in."""

    @_finishes
    @functools.wraps(view)
    async def wrapped(
        request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        try:
            user = await request.auser()
            if not isinstance(user, User):
                return _to_sign_in(request)
            if not (user.is_active and user.is_staff):
                raise Forbidden("this page is for the people who run this server")
            entered: Any = request
            entered.staff, entered.member = user, await _member_if_any(request, user)
            return await view(entered, *args, **kwargs)
        except Refused as refusal:
            return await refused(request, refusal)

    return wrapped


async def _member_if_any(request: HttpRequest, user: User) -> Member | None:
    try:
        return await database.read(_current_member, user, await request.session.aget(CURRENT))
    except NotFound:
        return None


async def _entered(request: HttpRequest) -> PageRequest | None:
    """Return the request with its member; None if nobody is signed in. Raises Conflict."""
    user = await request.auser()
    if not isinstance(user, User):
        return None
    entered: Any = request
    from_form = request.POST.get(SHOWN_FIELD, "")
    shown = from_form or request.headers.get(SHOWN_HEADER, "")
    current = await request.session.aget(CURRENT)
    if shown:
        entered.member = await database.read(_member_of_shown, user, shown)
    elif request.method in SAFE_METHODS:
        entered.member = await database.read(_current_member, user, current)
    else:
        raise OtherProject("this page does not say which project it shows; reload it")
    if from_form and from_form != current:
        # The page that answers a form shows the project of the form's page.
        await request.session.aset(CURRENT, from_form)
    return entered  # type: ignore[no-any-return]


def _member_of_shown(user: User, shown: str) -> Member:
    try:
        return policy.member_of(user, uuid.UUID(shown))
    except (ValueError, NotFound):
        raise OtherProject(
            "this page shows a project that you are not in any more; reload it"
        ) from None


def _current_member(user: User, wanted: str | None) -> Member:
    projects = policy.projects_of(user)
    project = _chosen(wanted) or projects.first()
    if project is None:
        raise NotFound("you are not a member of any project; ask an owner of one to add you")
    try:
        return policy.member_of(user, project.pk)
    except NotFound:
        first = projects.first()
        if first is None:
            raise
        return policy.member_of(user, first.pk)


def _chosen(wanted: str | None) -> Project | None:
    try:
        return Project.objects.filter(pk=uuid.UUID(wanted)).first() if wanted else None
    except ValueError:
        return None


async def enter(request: PageRequest, project_id: uuid.UUID, right: Right = Right.LOOK) -> None:
    """Go on in the project of the object that a page shows, if the person may.

    Raises NotFound, as for a missing object, if it is not theirs, and Forbidden.
    """
    if request.member.project.pk != project_id:
        request.member = await database.read(policy.member_of, request.member.user, project_id)
        await request.session.aset(CURRENT, str(project_id))
    request.member.require(right)


async def render(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """Render a page, or with `page.html#part` a part of one, in a thread that may query."""
    text = await database.read(render_to_string, template, context or {}, request)
    return HttpResponse(text, status=status)


def wants_json(request: HttpRequest) -> bool:
    """Is it one of our own scripts that asks?"""
    return "application/json" in request.headers.get("Accept", "")


async def done(
    request: HttpRequest, message: str, to: str, *, undo: str = "", **more: object
) -> HttpResponse:
    """Answer a form: a script gets JSON, a browser a redirect and the message on the next page.

    `undo` is an address to POST to; `more` goes to the script.
    """
    if wants_json(request):
        return JsonResponse({"message": message, "url": to, "undo": undo, **more})
    if message:
        await database.read(messages.success, request, message)
    response = HttpResponseRedirect(to)
    response.status_code = 303
    return response


async def refused(request: HttpRequest, refusal: Refused) -> HttpResponseBase:
    """Answer with a refusal: JSON to a script, the page before to a form, else an error page."""
    if wants_json(request):
        return JsonResponse(
            {"error": refusal.message, "tag": refusal.tag, "request_id": request_id.current()},
            status=refusal.status,
        )
    before = request.headers.get("Referer", "")
    if request.method == "POST" and url_has_allowed_host_and_scheme(
        before, {request.get_host()}, request.is_secure()
    ):
        await database.read(messages.error, request, sentence(refusal.message))
        response = HttpResponseRedirect(before)
        response.status_code = 303
        return response
    return await error_page(request, refusal.status, refusal.message)


async def error_page(request: HttpRequest, status: int, message: str) -> HttpResponse:
    context = {"status": status, "message": sentence(message), "request_id": request_id.current()}
    return await render(request, "error.html", context, status)


def sentence(text: str) -> str:
    """Write what an action said as a sentence on a page.

    A first word that is no plain word is a name, and stays as it is.
    """
    if text.partition(" ")[0].rstrip(",:;.").isalpha():
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "…")) else f"{text}."


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if wants_json(request) or request.headers.get("HX-Request"):
        response: HttpResponse = JsonResponse(
            {"error": "you are signed out; sign in and try again", "tag": "signed_out"}, status=401
        )
        response["HX-Redirect"] = redirect_to_login(_way_back(request)).headers["Location"]
        return response
    return redirect_to_login(_way_back(request))


def _way_back(request: HttpRequest) -> str:
    """Return the page somebody was on who has to sign in. A form's own address shows nothing."""
    if request.method in ("GET", "HEAD") and not request.headers.get("HX-Request"):
        return request.get_full_path()
    before = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer", ""))
    if before.netloc != request.get_host():
        return "/"
    return f"{before.path}?{before.query}" if before.query else before.path or "/"


async def note(
    request: PageRequest, verb: str, *, object_id: object = "", object_name: str = "", **more: Any
) -> None:
    """Write a line of activity for what this request did."""
    await database.note(
        activity.record,
        request.member.project,
        verb,
        actor=request.member.name,
        object_id=object_id,
        object_name=object_name,
        address=activity.address_of(request),
        **more,
    )
    await events.changed(request.member.project.pk, "activity")
