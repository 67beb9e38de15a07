"""People for tests of pages: somebody of every kind, each with a browser of their own."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client

from project.models import Project, Role
from project.policy import add_member

PASSWORD = "correct horse battery staple"
KINDS = ("anonymous", "stranger", "viewer", "member", "owner", "superuser")


def make_person(kind: str, project: Project, elsewhere: Project) -> Client:
    """Make somebody and sign them in. A stranger owns another project."""
    client = Client()
    if kind == "anonymous":
        return client
    if kind == "superuser":
        user = User.objects.create_superuser(kind, password=PASSWORD)
    else:
        user = User.objects.create_user(kind, password=PASSWORD)
        at_home = elsewhere if kind == "stranger" else project
        add_member(at_home, user, Role.OWNER if kind == "stranger" else Role(kind))
    client.force_login(user)
    return client
