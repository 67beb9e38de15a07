"""What happened, who did it, from where, and how it ended: a line each, kept for a year."""

from __future__ import annotations

import ipaddress
import uuid
from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from project import database, request_id
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


# What one turn of the upkeep deletes at the most, so that nobody waits long for it.
PURGED_AT_ONCE = 10_000


async def purge() -> None:
    """Delete the lines that are older than ACTIVITY_DAYS."""
    while await database.write(_purge_some):
        pass


def _purge_some() -> bool:
    before = timezone.now() - timedelta(days=settings.ACTIVITY_DAYS)
    old = list(
        Activity.objects.filter(at__lt=before)
        .order_by("at")
        .values_list("pk", flat=True)[:PURGED_AT_ONCE]
    )
    Activity.objects.filter(pk__in=old).delete()
    return len(old) == PURGED_AT_ONCE
