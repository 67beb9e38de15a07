"""A person's own account: the password, and where they are signed in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from project import activity, database, sessions
from project.errors import Invalid, NotFound
from project.models import Session
from project.throttle import Attempt

# What a session remembers of its beginning.
BEGUN = "begun"
LONGEST_AGENT = 300
# So many of a person's sessions are listed, the newest. Signing out everywhere ends them all.
MOST_LISTED = 100
# What names a browser and a system in a User-Agent header; the first that is there counts.
BROWSERS = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"))
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One browser a person is signed in with."""

    id: str
    browser: str
    address: str
    since: datetime | None
    until: datetime
    is_this: bool


def begin_session(request: HttpRequest) -> None:
    """Remember where a session began, for the list of sessions."""
    request.session[BEGUN] = {
        "at": timezone.now().isoformat(),
        "address": activity.address_of(request) or "",
        "agent": request.headers.get("User-Agent", "")[:LONGEST_AGENT],
    }


async def change_password(user: User, old: str, new: str, again: str, *, attempt: Attempt) -> None:
    """Give a person another password. Raises Invalid with the field's name as its tag.

    Passwords take long to look at, on purpose: that is not done where others wait to write.
    """
    if wait := await database.write(attempt.begin):
        raise Invalid(f"too many attempts; try again in {wait} s", tag="old_password")
    if not await asyncio.to_thread(check_password, old, user.password):
        raise Invalid("this is not your present password", tag="old_password")
    await database.write(attempt.succeed)
    _check_new(user, old, new, again)
    kept = await asyncio.to_thread(make_password, new)
    if not await database.write(_replace_password, user, kept):
        raise Invalid("your password was changed a moment ago", tag="old_password")


def _check_new(user: User, old: str, new: str, again: str) -> None:
    if new != again:
        raise Invalid("the new passwords differ", tag="new_password2")
    if new == old:
        raise Invalid("the new password is the old one", tag="new_password1")
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), tag="new_password1") from error


def _replace_password(user: User, kept: str) -> bool:
    """Give a person another password, unless it is no longer the one that was looked at."""
    same = User.objects.filter(pk=user.pk, password=user.password)
    if not same.update(password=kept):
        return False
    user.password = kept
    return True


def stay_signed_in(session: SessionBase, user: User) -> None:
    """Keep this session after a change of password, which ends all others. Writes.

    Under another key: whoever has stolen the cookie of this very browser is out too.
    """
    session.cycle_key()
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    end_other_sessions(user, session.session_key)


def sessions_of(user: User, current: str | None) -> list[SignedIn]:
    """Return where a person is signed in, this session first. Reads the database."""
    rows = _alive(user).order_by("-expire_date")[:MOST_LISTED]
    known = [(row, row.get_decoded()) for row in rows]
    found = [
        _signed_in(row, data, current) for row, data in known if sessions.is_of_password(data, user)
    ]
    return sorted(found, key=lambda one: (not one.is_this, -one.until.timestamp()))


def end_session(user: User, session_id: str) -> None:
    """Sign a person out in one browser. Writes. Raises NotFound."""
    for session in _alive(user).defer("session_data"):
        if _public_id(session) == session_id:
            session.delete()
            return
    raise NotFound("there is no such session; it may have ended by itself")


def end_other_sessions(user: User, current: str | None) -> int:
    """Sign a person out everywhere else; return in how many browsers. Writes."""
    return _alive(user).exclude(session_key=current).delete()[0]


def _alive(user: User) -> QuerySet[Session]:
    return Session.objects.filter(user=user, expire_date__gt=timezone.now())


def _public_id(session: Session) -> str:
    """Name a session without telling its key, which is as good as a password."""
    key = str(session.session_key)
    return salted_hmac("project.accounts", key, algorithm="sha256").hexdigest()[:16]


def _signed_in(session: Session, data: dict[str, object], current: str | None) -> SignedIn:
    begun = data.get(BEGUN)
    known = begun if isinstance(begun, dict) else {}
    since = known.get("at")
    return SignedIn(
        id=_public_id(session),
        browser=browser_name(str(known.get("agent", ""))),
        address=str(known.get("address", "")),
        since=datetime.fromisoformat(since) if since else None,
        until=session.expire_date,
        is_this=session.session_key == current,
    )


def browser_name(agent: str) -> str:
    """Name the browser and the system of a User-Agent header, roughly."""
    browser = next((name for mark, name in BROWSERS if mark in agent), "")
    if not browser:
        browser = "Safari" if "Safari/" in agent else agent.partition("/")[0][:40] or "A browser"
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if system else browser
