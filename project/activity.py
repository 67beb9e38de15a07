"""What happened, who did it, from where, and how it ended: a line each, kept for a year."""

from __future__ import annotations

import ipaddress
import uuid

from django.http import HttpRequest

from project import request_id
from project.models import Activity, Project

Door = Activity.Door
Outcome = Activity.Outcome


def record(
    project: Project | uuid.UUID | None,
    verb: str,
    *,
    actor: str,
    door: str = Door.BROWSER,
    object_id: object = "",
    object_name: str = "",
    address: str | None = None,
    outcome: str = Outcome.DONE,
    detail: str = "",
) -> Activity:
    """Write a line. `verb` is such as `sandbox.create`. Writes the database."""
    return Activity.objects.create(
        project_id=project.pk if isinstance(project, Project) else project,
        actor=actor[:200],
        door=door,
        verb=verb,
        object_id=str(object_id)[:200],
        object_name=object_name[:300],
        address=address,
        request_id=request_id.current(),
        outcome=outcome,
        detail=detail,
    )


def address_of(request: HttpRequest) -> str | None:
    """Return where a request came from, if that can be told."""
    text = request.META.get("REMOTE_ADDR", "")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
