"""Make, describe, delete and list disks."""

from __future__ import annotations

import unicodedata

from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import Coalesce, Lower, NullIf
from django.utils import timezone

from disks import trash
from disks.artifacts import BATCH, drop, holding
from disks.models import Artifact, Disk
from project import database
from project.errors import Conflict, Invalid
from project.models import Project

MAX_NAME = 200
MAX_DESCRIPTION = 2_000
# What a list of disks can be sorted by.
ORDERS = {
    "name": "sort_name",
    "files": "files",
    "size": "bytes",
    "changed": "changed_at",
    "owner": "owner",
}


def create(project: Project, name: str, description: str = "", *, by: str = "") -> Disk:
    """Make a disk with a name of its own. Writes. Raises Invalid, Conflict."""
    name = _checked_name(project, name)
    return Disk.objects.create(
        project=project, name=name, description=_checked_description(description), created_by=by
    )


def describe(disk: Disk, name: str, description: str) -> Disk:
    """Give a disk another name and description. Writes. Raises Invalid, Conflict."""
    disk.name = _checked_name(disk.project, name, but=disk)
    disk.description = _checked_description(description)
    disk.updated_at = disk.changed_at = timezone.now()
    disk.save(update_fields=["name", "description", "updated_at", "changed_at"])
    return disk


async def delete(disk: Disk) -> None:
    """Delete a disk with everything on it and in its trash, a little at a time.

    In one statement, a large disk would keep everybody else from writing for seconds.
    """
    while await database.note(_delete_some, disk):
        pass
    await trash.empty(disk)
    await database.write(Disk.objects.filter(pk=disk.pk).delete)


def _delete_some(disk: Disk) -> int:
    keys = list(disk.artifacts.order_by().values_list("pk", flat=True)[:BATCH])
    if keys:
        holding(disk.pk, lambda: drop(disk.pk, Artifact.objects.filter(pk__in=keys)))
    return len(keys)


def check_typed(disk: Disk, typed: str) -> None:
    """Raise Invalid if a disk holds files and its name was not typed. Reads the database."""
    if typed != str(disk) and (disk.artifacts.exists() or disk.trash.exists()):
        raise Invalid(f"type the name of the disk, {disk}, to delete it with its files")


def with_owner(disks: QuerySet[Disk]) -> QuerySet[Disk]:
    """Add to each disk its owner, and the name it is sorted by."""
    return disks.annotate(
        owner=Coalesce(
            "user__identifier",
            "created_by",
            Value(""),
            output_field=TextField(),
        ),
        # Those of the API have no name, and come last.
        sort_name=Coalesce(NullIf(Lower("name"), Value("")), Value("~")),
    )


def listing(project: Project, query: str, order: str) -> QuerySet[Disk]:
    """Return the disks of a project whose name holds a text.

    `order`: a key of ORDERS, after a minus for the other way round.
    """
    disks = with_owner(Disk.objects.filter(project=project).select_related("user"))
    if query:
        disks = disks.filter(name__icontains=query)
    by = ORDERS.get(order.removeprefix("-"), ORDERS["name"])
    return disks.order_by(f"-{by}" if order.startswith("-") else by, "created_at", "id")


def _checked_name(project: Project, text: str, *, but: Disk | None = None) -> str:
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise Invalid(f"name: must have 1 to {MAX_NAME} characters", tag="invalid_name")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise Invalid("name: must not hold control characters", tag="invalid_name")
    others = Disk.objects.filter(project=project, name=name)
    if (others.exclude(pk=but.pk) if but else others).exists():
        raise Conflict(f"there is a disk named {name} already", tag="name_taken")
    return name


def _checked_description(text: str) -> str:
    description = text.replace("\r\n", "\n").strip()
    if len(description) > MAX_DESCRIPTION:
        raise Invalid(f"description: at most {MAX_DESCRIPTION} characters")
    if "\x00" in description:
        raise Invalid("description: must not hold a NUL character")
    return description
