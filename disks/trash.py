"""What people deleted from a disk, until it is restored or purged. Plain database functions.

A deletion is all that was deleted at once. The bytes stay in the store: disks/sweep.py sees that
trashed files point to them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from disks import changes, entries, tree
from disks.artifacts import FOLDER, below, holding
from disks.models import Artifact, Blob, Disk, OnConflict, TrashedArtifact
from project import database
from project.errors import Conflict, NotFound

BATCH = 500
COPIED = ("disk_id", "path", "filename", "meta", "mime", "blob_id", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Trash:
    """A page of a trash, and how much all of it is."""

    items: list[TrashedArtifact]
    total: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Restored:
    """How many files came back, and how many stayed in the trash."""

    restored: int
    skipped: int


class Taken(Conflict):
    """The names of some trashed files are taken."""

    def __init__(self, rows: list[TrashedArtifact]) -> None:
        super().__init__(
            f"the names of {len(rows)} of these files are taken; say what to do with them",
            tag="exists",
        )
        self.rows = rows


def purged_at(row: TrashedArtifact) -> datetime:
    return row.deleted_at + _kept()


def _kept() -> timedelta:
    return timedelta(seconds=settings.TRASH_SECONDS)


def put(disk_id: uuid.UUID, paths: Sequence[str], by: str, empty: Blob) -> uuid.UUID:
    """Move files and folders to the trash. Return the deletion. Writes. Raises NotFound."""
    deletion = uuid.uuid4()

    def step() -> None:
        for path in paths:
            source = tree.resolve(disk_id, path)
            if source == "/":
                raise Conflict("the root folder stays", tag="root_folder")
            rows = Artifact.objects.filter(disk_id=disk_id)
            if isinstance(source, str):
                rows = rows.filter(below(tree.inside(source)))
                if rows.count() > tree.MOST:
                    raise entries.too_many(tree.MOST)
            else:
                rows = rows.filter(pk=source.pk)
            _trash(rows, deletion, by)
        changes.keep_parents(disk_id, map(entries.clean, paths), empty)

    holding(disk_id, step)
    return deletion


def _trash(rows: QuerySet[Artifact], deletion: uuid.UUID, by: str) -> None:
    keys = list(rows.order_by("path", "filename").values_list("pk", flat=True))
    now = timezone.now()
    for start in range(0, len(keys), BATCH):
        batch = Artifact.objects.filter(pk__in=keys[start : start + BATCH])
        TrashedArtifact.objects.bulk_create(
            TrashedArtifact(
                deletion=deletion, deleted_at=now, deleted_by=by[:200], **_facts_of(row)
            )
            for row in batch
        )
        batch.delete()


def _facts_of(row: Artifact | TrashedArtifact) -> dict[str, object]:
    return {name: getattr(row, name) for name in COPIED}


def listing(disk: Disk, offset: int = 0, limit: int = entries.PAGE) -> Trash:
    """Return a page of a disk's trash, newest first. Reads the database."""
    rows = TrashedArtifact.objects.filter(disk=disk)
    total = rows.aggregate(bytes=Sum("blob__size"))["bytes"] or 0
    page = rows.select_related("blob")[offset : offset + limit]
    return Trash(list(page), rows.count(), total)


def undo(disk: Disk, deletion: uuid.UUID) -> Restored:
    """Take a deletion back. What has got its name since is kept beside it. Writes."""
    rows = TrashedArtifact.objects.filter(disk=disk, deletion=deletion)
    return _restore(disk, rows, OnConflict.RENAME)


def restore(disk: Disk, ids: Iterable[uuid.UUID], on_conflict: OnConflict | None) -> Restored:
    """Bring files back to where they were. Writes. Raises NotFound, Taken without a policy."""
    rows = TrashedArtifact.objects.filter(disk=disk, pk__in=list(ids))
    return _restore(disk, rows, on_conflict)


def _restore(
    disk: Disk, rows: QuerySet[TrashedArtifact], on_conflict: OnConflict | None
) -> Restored:
    def step() -> Restored:
        found = list(rows.select_for_update().order_by("deleted_at", "path", "filename"))
        if not found:
            raise NotFound("this is not in the trash any more", tag="not_in_trash")
        if on_conflict is None:
            taken = [row for row in found if row.filename and tree.is_taken(disk.pk, _path(row))]
            if taken:
                raise Taken(taken)
        back = [row.pk for row in found if _put_back(disk.pk, row, on_conflict)]
        for start in range(0, len(back), BATCH):
            TrashedArtifact.objects.filter(pk__in=back[start : start + BATCH]).delete()
        return Restored(len(back), len(found) - len(back))

    return holding(disk.pk, step)


def _path(row: TrashedArtifact) -> str:
    return f"{row.path}{row.filename}".rstrip("/") or "/"


def _put_back(disk_id: uuid.UUID, row: TrashedArtifact, on_conflict: OnConflict | None) -> bool:
    """Make a trashed file a file again; False if it is to stay in the trash."""
    if row.filename == FOLDER:
        return _put_folder_back(disk_id, row)
    target = tree.target_of(disk_id, _path(row), on_conflict, is_folder_too=False)
    if target is None:
        return False
    folder, name = tree.split(target)
    Artifact.objects.filter(disk_id=disk_id, path=folder, filename=name).delete()
    changes.hold_blobs({row.blob_id})
    Artifact.objects.create(**{**_facts_of(row), "path": folder, "filename": name})
    return True


def _put_folder_back(disk_id: uuid.UUID, row: TrashedArtifact) -> bool:
    if tree.find_file(disk_id, _path(row)) is not None:
        raise entries.taken(_path(row), "a file")
    if not Artifact.objects.filter(disk_id=disk_id, path=row.path, filename=FOLDER).exists():
        changes.hold_blobs({row.blob_id})
        Artifact.objects.create(**_facts_of(row))
    return True


def purge(disk: Disk, ids: Iterable[uuid.UUID]) -> int:
    """Delete files from the trash for ever. Return how many. Writes."""
    return TrashedArtifact.objects.filter(disk=disk, pk__in=list(ids)).delete()[0]


def empty(disk: Disk) -> int:
    """Delete everything in the trash for ever. Return how many files. Writes."""
    return TrashedArtifact.objects.filter(disk=disk).delete()[0]


async def purge_old() -> None:
    """Delete for ever what has been in the trash for its time."""
    cutoff = timezone.now() - _kept()
    while await database.write(_purge_batch, Q(deleted_at__lt=cutoff)):
        pass


def _purge_batch(wanted: Q) -> int:
    keys = TrashedArtifact.objects.filter(wanted).order_by().values_list("pk", flat=True)
    return TrashedArtifact.objects.filter(pk__in=list(keys[:BATCH])).delete()[0]
