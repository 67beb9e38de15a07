"""Other people than the administrator."""

from __future__ import annotations

import secrets

from tests.server import Server

SCRIPT = """
from django.contrib.auth.models import User
from project.models import Project, Role
from project.policy import add_member
user = User.objects.create_user({name!r}, password={password!r})
project = Project.objects.first()
role = {role!r}
if role:
    add_member(project, user, Role(role))
"""


def add_person(server: Server, role: str) -> tuple[str, str]:
    """Make a person with a role in the first project, or in none; return name and password."""
    name, password = f"{role or 'stranger'}-{secrets.token_hex(3)}", secrets.token_hex(8)
    server.manage("shell", "-c", SCRIPT.format(name=name, password=password, role=role))
    return name, password


def add_viewer(server: Server) -> tuple[str, str]:
    return add_person(server, "viewer")
