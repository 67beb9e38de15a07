"""Somebody and something to begin with: the admin user, the first project, its first key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.db import transaction

from project.keys import create_key, digest_of
from project.models import ApiKey, Project, Role
from project.policy import add_member

ADMIN = "admin"
PROJECT = "default"


@dataclass(frozen=True)
class Credentials:
    """What the first start made. None of it can be read from the database again."""

    username: str
    password: str
    token: str


def make_first(password: str, token: str) -> Credentials | None:
    """Make the first user, project and key; return None if there is a user already.

    An empty password or token is made up. Raises ValueError for a token that is no key.
    """
    users = get_user_model().objects
    with transaction.atomic():
        if users.exists():
            return None
        password = password or secrets.token_urlsafe(12)
        admin = users.create_superuser(ADMIN, password=password)
        project = Project.objects.first() or Project.objects.create(name=PROJECT)
        add_member(project, admin, Role.OWNER)
        token = create_key(project, "first key", token or None)[1]
    return Credentials(ADMIN, password, token)


def add_key(token: str) -> bool:
    """Let a token into the first project; return False if it is known, or was revoked.

    Raises ValueError for a token that is no key.
    """
    with transaction.atomic():
        project = Project.objects.first()
        if project is None or ApiKey.objects.filter(digest=digest_of(token)).exists():
            return False
        create_key(project, "from SANDBANK_API_KEY", token)
    return True
