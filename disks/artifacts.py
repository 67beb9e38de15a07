"""Files on a disk: put, find, describe, list, remove.

A folder is there by the files in it. One that people made, and that may be empty, has a row of
its own: an artifact without a name, which no listing of files shows.

A disk counts what is on it. So rows come and go only by `point`, `add` and `drop`, inside a
transaction that holds the disk.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from disks import blobs, folders, paths
from disks.media import detect
from disks.models import Artifact, Blob, Disk
from disks.spool import Spool
from project import database, kept_json
from project.errors import Invalid, NotFound

# Where the answer tells what we know of a file, beside what the caller wrote there.
RESERVED = "__artifact_info__"
META_MAX_BYTES = 64 * 1024
ATTEMPTS = 3
# So many rows are taken with one statement.
BATCH = 500
# The filename of the row that stands for a folder itself.
FOLDER = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What is directly in a folder, sorted by name."""

    artifacts: list[Artifact]
    directories: list[str]


def parse_meta(text: str) -> dict[str, Any]:
    """Return what a caller wants to remember of a file. Raises Invalid."""
    try:
        if len(text.encode()) > META_MAX_BYTES:
            raise Invalid(f"meta: at most {META_MAX_BYTES} bytes")
        meta = kept_json.parse(text)
    except ValueError:
        raise Invalid("invalid meta JSON format") from None
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise Invalid("invalid meta JSON format: it must be an object")
    if kept_json.holds_nul(meta):
        raise Invalid("meta: must not hold a NUL character")
    if RESERVED in meta:
        raise Invalid(f"meta: the key {RESERVED} is reserved")
    return meta


async def upsert(
    disk: Disk, folder: str, filename: str, spool: Spool, meta: dict[str, Any]
) -> Artifact:
    """Put a file on a disk, in place of one with that name.

    The old one is there until the new one is safe; it keeps its date of creation.
    """
    mime = detect(spool.head, filename, whole=spool.size == len(spool.head))
    blob = await blobs.store(disk.project_id, spool)
    return await database.write(_point, disk.id, folder, filename, mime, blob, meta)


def _point(
    disk_id: uuid.UUID, folder: str, filename: str, mime: str, blob: Blob, meta: dict[str, Any]
) -> Artifact:
    return holding(
        disk_id, lambda: point(disk_id, folder, filename, mime=mime, blob=blob, meta=meta)
    )


def holding[T](disk_id: uuid.UUID, step: Callable[[], T]) -> T:
    """Do a step in a transaction in which nobody else changes the disk. Raises NotFound."""
    for attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                if not Disk.objects.filter(pk=disk_id).update(changed_at=timezone.now()):
                    raise NotFound("disk not found or access denied", tag="disk_not_found")
                return step()
        except IntegrityError:
            # Somebody stored the same content at this very moment: now it can be seen.
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def point(
    disk_id: uuid.UUID,
    folder: str,
    filename: str,
    *,
    mime: str,
    blob: Blob,
    meta: dict[str, Any] | None = None,
) -> Artifact:
    """Make a file of a stored blob, inside a transaction; without `meta` it keeps what it had."""
    now = timezone.now()
    values = {"mime": mime, "blob": blobs.settle(blob), "updated_at": now}
    if meta is not None:
        values["meta"] = meta
    named = Artifact.objects.filter(disk_id=disk_id, path=folder, filename=filename)
    artifact = named.select_related("blob").first()
    if artifact is None:
        artifact = Artifact(
            disk_id=disk_id, path=folder, filename=filename, created_at=now, **values
        )
        add(disk_id, [artifact])
        return artifact
    replaced = artifact.blob.size
    for name, value in values.items():
        setattr(artifact, name, value)
    artifact.save(update_fields=list(values))
    _count(disk_id, 0, artifact.blob.size - replaced)
    return artifact


def add(disk_id: uuid.UUID, rows: Sequence[Artifact]) -> None:
    """Put new rows on a disk."""
    Artifact.objects.bulk_create(rows, batch_size=BATCH)
    sizes: dict[uuid.UUID, int] = {}
    for batch in batched({row.blob_id for row in rows}, BATCH):
        sizes |= Blob.objects.filter(pk__in=batch).values_list("pk", "size")
    files = sum(row.filename != FOLDER for row in rows)
    _count(disk_id, files, sum(sizes[row.blob_id] for row in rows))


def drop(disk_id: uuid.UUID, rows: QuerySet[Artifact]) -> None:
    """Take rows off a disk."""
    facts = totals(rows)
    rows.delete()
    _count(disk_id, -facts["files"], -facts["bytes"])


def totals(rows: QuerySet[Artifact]) -> dict[str, int]:
    """Return how many files rows are, and of how many bytes."""
    return rows.order_by().aggregate(
        files=Count("pk", filter=~Q(filename=FOLDER)), bytes=Coalesce(Sum("blob__size"), 0)
    )


def _count(disk_id: uuid.UUID, files: int, size: int) -> None:
    disk = Disk.objects.filter(pk=disk_id)
    disk.update(files=F("files") + files, bytes=F("bytes") + size)


def recount(disk_id: uuid.UUID) -> bool:
    """Put right what a disk says that is on it; False if it was right. Writes."""
    with transaction.atomic():
        disk = Disk.objects.filter(pk=disk_id)
        if not disk.select_for_update().exists():
            return False
        facts = totals(Artifact.objects.filter(disk_id=disk_id))
        return bool(disk.exclude(**facts).update(**facts))


def files(disk: Disk) -> QuerySet[Artifact]:
    """Return the files of a disk, without the rows of folders."""
    return disk.artifacts.exclude(filename=FOLDER)


def etag_of(artifact: Artifact) -> str:
    """Return what changes with the content of a file."""
    return f"{artifact.blob.sha256[:32]}-{int(artifact.updated_at.timestamp() * 1e6):x}"


def find(disk: Disk, file_path: str) -> Artifact:
    """Return a file of a disk with its blob. Reads the database. Raises NotFound."""
    folder, filename = paths.split(file_path)
    return find_in(disk, folder, filename)


def find_in(disk: Disk, folder: str, filename: str) -> Artifact:
    artifact = (
        Artifact.objects.select_related("blob")
        .filter(disk=disk, path=folder, filename=filename)
        .first()
    )
    if artifact is None:
        raise NotFound("artifact not found", tag="artifact_not_found")
    return artifact


def describe(disk: Disk, file_path: str, meta: dict[str, Any]) -> Artifact:
    """Replace what the caller remembers of a file. Writes. Raises NotFound."""

    def step() -> Artifact:
        artifact = find(disk, file_path)
        artifact.meta, artifact.updated_at = meta, timezone.now()
        artifact.save(update_fields=["meta", "updated_at"])
        return artifact

    return holding(disk.pk, step)


def remove(disk: Disk, file_path: str) -> None:
    """Take a file off a disk. Writes. Raises NotFound."""

    def step() -> None:
        artifact = find(disk, file_path)
        drop(disk.pk, Artifact.objects.filter(pk=artifact.pk))

    holding(disk.pk, step)


def listing(disk: Disk, folder: str) -> Listing:
    """Return what is directly in a folder; an unknown folder is empty. Reads the database."""
    artifacts = files(disk).select_related("blob").filter(path=folder).order_by("filename")
    return Listing(list(artifacts), folders.names_in(disk.pk, [folder])[folder])
