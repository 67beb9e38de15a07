"""The people in the caller's own product, and what of ours belongs to them."""

from __future__ import annotations

from project.errors import NotFound
from project.models import EndUser, Project


def find_user(project: Project, identifier: str) -> EndUser:
    """Return the user of that identifier. Raises NotFound."""
    user = EndUser.objects.filter(project=project, identifier=identifier).first()
    if user is None:
        raise NotFound("user not found", tag="user_not_found")
    return user


def ensure_user(project: Project, identifier: str) -> EndUser:
    """Return the user of that identifier; make it first if there is none."""
    return EndUser.objects.get_or_create(project=project, identifier=identifier)[0]
