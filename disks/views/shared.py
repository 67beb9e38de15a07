"""What the pages of one disk share: finding it, and the head above its tabs."""

from __future__ import annotations

import uuid
from typing import Any

from disks import lifecycle
from disks.models import Disk
from project import database
from project.errors import NotFound
from project.pages import PageRequest, enter
from project.policy import Right


async def find_disk(request: PageRequest, disk_id: uuid.UUID, right: Right = Right.LOOK) -> Disk:
    """Return a disk with its owner, and go on in its project.

    Raises NotFound, for a stranger's as for a missing one, and Forbidden.
    """
    disk = await database.read(_by_id, disk_id)
    await enter(request, disk.project_id, right)
    return disk


def _by_id(disk_id: uuid.UUID) -> Disk:
    disks = Disk.objects.select_related("project", "user").filter(pk=disk_id)
    disk = lifecycle.with_owner(disks).first()
    if disk is None:
        # In the words that a stranger's gets.
        raise NotFound("there is no such page, or it is in a project you are not a member of")
    return disk


def head_of(disk: Disk, tab: str) -> dict[str, Any]:
    """Return what the head of a disk's pages shows. Its counts are read by the template."""
    return {"disk": disk, "tab": tab, "place": f"disk:{disk.pk}"}
