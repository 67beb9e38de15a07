"""How much of the terminals of a project is recorded, and whether there is room for more."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db.models import OuterRef, Subquery, Sum

from sandboxes.models import RecordingPart, Terminal


def recorded_bytes(project_id: uuid.UUID) -> int:
    """Return how many bytes of output the recordings of a project hold. Reads the database."""
    last = RecordingPart.objects.filter(terminal=OuterRef("pk")).order_by("-end").values("end")
    recorded = Terminal.objects.filter(sandbox__project=project_id, recorded=True)
    total = recorded.annotate(end=Subquery(last[:1])).aggregate(total=Sum("end"))["total"]
    return int(total or 0)


def is_full(project_id: uuid.UUID) -> bool:
    """Is as much recorded of a project's terminals as may be? Reads the database."""
    return recorded_bytes(project_id) >= int(settings.PROJECT_RECORDING_MAX_BYTES)
