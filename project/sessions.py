"""Where people are signed in: Django's sessions in the database, each with its user in a column.

So what a person is shown of their own sessions, and what ends them all, asks for theirs alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore as DjangosStore
from django.utils.crypto import constant_time_compare

from project.models import Session


class SessionStore(DjangosStore):
    """Django's own, that writes whose session it is."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        return _with_user(super().create_model_instance(data), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return _with_user(await super().acreate_model_instance(data), data)


def _with_user(row: Any, data: Mapping[str, Any]) -> Session:
    user_id = str(data.get(SESSION_KEY, ""))
    row.user_id = int(user_id) if user_id.isdecimal() else None
    return row  # type: ignore[no-any-return]


def user_of(session_key: str | None) -> User | None:
    """Return who is signed in with a session, as they are now; None: nobody, or nobody any more.

    The session is read anew: it may have ended or expired, and with another password, wherever it
    was changed, all earlier sessions are over. Reads the database.
    """
    if not session_key:
        return None
    data = SessionStore(session_key).load()
    user_id = str(data.get(SESSION_KEY, ""))
    if not user_id.isdecimal():
        return None
    user = User.objects.filter(pk=int(user_id), is_active=True).first()
    return user if user is not None and is_of_password(data, user) else None


def is_of_password(data: Mapping[str, Any], user: User) -> bool:
    """Was a session begun with the password its user has now? As Django asks for each request.

    Unlike Django's own this writes nothing: it is asked where the database is only read.
    """
    known = str(data.get(HASH_SESSION_KEY, ""))
    right = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(known, one) for one in right)
