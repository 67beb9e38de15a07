"""API keys: make, recognise, revoke. A key is `sk-ac-` and 32 random bytes, shown once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from project import database, scopes
from project.errors import Unauthorized
from project.models import ApiKey, Project

PREFIX = "sk-ac-"
# `last_used_at` is for people: a write for each request would cost more than it tells.
LAST_USED_PRECISION = timedelta(minutes=1)
BELIEVED_SECONDS = 1.0
REMEMBERED = 10_000

_remembered: dict[str, tuple[ApiKey, float]] = {}


def digest_of(token: str) -> str:
    """Return the keyed hash of a token, as it is stored and looked up."""
    pepper = hashlib.sha256(b"api key pepper:" + settings.SECRET_KEY.encode()).digest()
    return hmac.new(pepper, token.encode(), hashlib.sha256).hexdigest()


def create_key(
    project: Project,
    name: str,
    token: str | None = None,
    *,
    may: Iterable[str] = (scopes.Scope.ALL,),
    expires_at: datetime | None = None,
    created_by: str = "",
) -> tuple[ApiKey, str]:
    """Make a key of a project. Return it with its token, which is kept nowhere.

    Raises ValueError for a token of one's own that has not the form of a key, and Invalid for
    scopes that are none.
    """
    if token is None:
        token = PREFIX + secrets.token_urlsafe(32)
    elif not token.startswith(PREFIX) or len(token) < len(PREFIX) + 16 or not token.isascii():
        raise ValueError(f"an API key starts with {PREFIX} and has 16 more characters at least")
    key = ApiKey.objects.create(
        project=project,
        name=name,
        prefix=token[: len(PREFIX) + 4],
        digest=digest_of(token),
        scopes=scopes.check(may),
        expires_at=expires_at,
        created_by=created_by,
    )
    return key, token


async def recognise(token: str) -> ApiKey | None:
    """Return the key that is meant, if it may still be used, and have its use noted.

    Raises Unauthorized for a key that has expired.
    """
    key = remembered(token) or await database.read(find_key, token)
    if key is not None and _is_news(key):
        # Remembered with the key, so that the requests which follow are none.
        key.last_used_at = timezone.now()
        await database.note_soon(_note_use, key)
    return key


def find_key(token: str) -> ApiKey | None:
    """Return the key that is meant, if it may still be used. Reads the database.

    What was found is believed for a second, or until this process revokes a key. Raises
    Unauthorized for a key that has expired.
    """
    if not token.startswith(PREFIX):
        return None
    known = remembered(token)
    if known is not None:
        return known
    key = (
        ApiKey.objects.select_related("project")
        .filter(digest=digest_of(token), revoked_at=None)
        .first()
    )
    if key is not None:
        _require_valid(key)
        if len(_remembered) >= REMEMBERED:
            forget()
        _remembered[token] = (key, time.monotonic() + BELIEVED_SECONDS)
    return key


def remembered(token: str) -> ApiKey | None:
    """Return a key that was found a moment ago. Asks nobody."""
    key, until = _remembered.get(token, (None, 0.0))
    if key is None or time.monotonic() >= until or has_expired(key):
        return None
    return key


def has_expired(key: ApiKey) -> bool:
    return key.expires_at is not None and key.expires_at <= timezone.now()


def _require_valid(key: ApiKey) -> None:
    if has_expired(key):
        raise Unauthorized(
            f"Unauthorized: this API key expired at {key.expires_at:%Y-%m-%d %H:%M:%S} UTC",
            tag="key_expired",
        )


def _is_news(key: ApiKey) -> bool:
    """Was the last use that is known of so long ago that this one is worth a write?"""
    return key.last_used_at is None or timezone.now() - key.last_used_at > LAST_USED_PRECISION


def _note_use(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=key.last_used_at)


def forget() -> None:
    """Believe nothing that was found before."""
    _remembered.clear()


def revoke(key: ApiKey) -> None:
    """End a key: at once here, and within a second in every other server process."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    forget()
