"""Where files are: on a disk or in a sandbox. One contract for both, in base.py."""

from __future__ import annotations

import uuid

from disks.models import Disk
from disks.models import Place as Kind
from disks.places.base import Place
from disks.places.disk import DiskPlace
from disks.places.sandbox import SandboxPlace
from project import database
from project.errors import NotFound
from sandboxes.models import Sandbox


async def find(kind: str, place_id: uuid.UUID) -> Place:
    """Return a place, whoever's it is and whatever its state: the caller enters its project next.

    Raises NotFound, in the words that a stranger's place gets.
    """
    return await database.read(_find, kind, place_id)


def _find(kind: str, place_id: uuid.UUID) -> Place:
    if kind == Kind.DISK:
        disk = Disk.objects.select_related("project").filter(pk=place_id).first()
        if disk is not None:
            return DiskPlace(disk)
    elif kind == Kind.SANDBOX:
        sandbox = Sandbox.objects.select_related("project").filter(pk=place_id).first()
        if sandbox is not None:
            return SandboxPlace(sandbox)
    raise NotFound("there is no such page, or it is in a project you are not a member of")
