"""Which disk may be used. A stranger's disk and a missing one look the same."""

from __future__ import annotations

import uuid

from disks.models import Disk
from project.errors import Forbidden, NotFound
from project.models import Project


def disk_for(project: Project, disk_id: uuid.UUID) -> Disk:
    """Return a project's disk. Reads the database. Raises NotFound."""
    disk = Disk.objects.filter(project=project, id=disk_id).first()
    if disk is None:
        raise NotFound("disk not found or access denied", tag="disk_not_found")
    return disk


def disk_or_forbidden(project: Project, disk_id: uuid.UUID) -> Disk:
    """Return a project's disk. Raises Forbidden where upstream's clients rely on that."""
    try:
        return disk_for(project, disk_id)
    except NotFound:
        raise Forbidden(
            "access denied: disk does not belong to this project", tag="disk_forbidden"
        ) from None
