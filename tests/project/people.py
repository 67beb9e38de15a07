"""People for tests of pages: somebody of every kind, each with a browser of their own."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from project.models import Project, Role
from project.policy import add_member

SAFE = ("GET", "HEAD", "OPTIONS")
PASSWORD = "correct horse battery staple"
KINDS = ("anonymous", "stranger", "viewer", "member", "owner", "superuser")


class Shows:
    """A test's client with a page open: what it sends says which project the page shows."""

    shows: Project | None

    def __init__(self, shows: Project | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.shows = shows

    def generic(
        self, method: str, *args: Any, headers: dict[str, str] | None = None, **more: Any
    ) -> Any:
        if self.shows is not None and method not in SAFE:
            headers = {"X-Project": str(self.shows.pk), **(headers or {})}
        return super().generic(method, *args, headers=headers, **more)  # type: ignore[misc]


class Browser(Shows, Client):  # type: ignore[misc]
    pass


class AsyncBrowser(Shows, AsyncClient):  # type: ignore[misc]
    pass


def make_person(kind: str, project: Project, elsewhere: Project) -> Browser:
    """Make somebody and sign them in. A stranger owns another project."""
    if kind == "anonymous":
        return Browser()
    client = Browser(elsewhere if kind == "stranger" else project)
    if kind == "superuser":
        user = User.objects.create_superuser(kind, password=PASSWORD)
    else:
        user = User.objects.create_user(kind, password=PASSWORD)
        at_home = elsewhere if kind == "stranger" else project
        add_member(at_home, user, Role.OWNER if kind == "stranger" else Role(kind))
    client.force_login(user)
    return client
