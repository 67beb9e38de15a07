"""Files and folders moved and copied within a disk. Plain functions that write the database.

Each is one transaction that holds the disk.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator

from django.db.models import QuerySet, Value
from django.db.models.functions import Concat, Substr
from django.utils import timezone

from disks import changes, entries, paths, tree
from disks.artifacts import BATCH, FOLDER, add, drop, holding
from disks.folders import below
from disks.models import Artifact, Blob, OnConflict


def move(
    disk_id: uuid.UUID, path: str, to: str, on_conflict: OnConflict | None, empty: Blob
) -> str | None:
    """Move a file or folder; return where it is now, None if it was skipped."""

    def step() -> str | None:
        source = tree.resolve(disk_id, path)
        clean = entries.clean(path)
        entries.check_apart(clean, to)
        target = tree.target_of(disk_id, to, on_conflict, is_folder_too=isinstance(source, str))
        if target is None:
            return None
        if isinstance(source, str):
            _move_folder(disk_id, source, target, on_conflict)
        else:
            _clear_file(disk_id, target)
            source.path, source.filename = tree.split(target)
            source.save(update_fields=["path", "filename"])
        changes.keep_parents(disk_id, [clean], empty)
        return target

    return holding(disk_id, step)


def _clear_file(disk_id: uuid.UUID, path: str) -> None:
    folder, name = tree.split(path)
    drop(disk_id, Artifact.objects.filter(disk_id=disk_id, path=folder, filename=name))


def _move_folder(disk_id: uuid.UUID, path: str, to: str, on_conflict: OnConflict | None) -> None:
    source, target = tree.inside(path), tree.inside(to)
    rows = Artifact.objects.filter(below(source), disk_id=disk_id)
    _check_depth(rows, source, target)
    if tree.is_folder(disk_id, to):
        _clear_way(disk_id, source, target, on_conflict)
    kept = _overlaps(disk_id, source, target)
    rows.exclude(pk__in=kept).update(path=Concat(Value(target), Substr("path", len(source) + 1)))


def _check_depth(rows: QuerySet[Artifact], source: str, target: str) -> None:
    """Raise Invalid if a path would get too long, and Unprocessable if there are too many rows."""
    if rows.count() > tree.MOST:
        raise entries.too_many(tree.MOST)
    for path in rows.order_by().values_list("path", flat=True).distinct():
        paths.folder_of(target + path[len(source) :])


def _overlaps(disk_id: uuid.UUID, source: str, target: str) -> dict[uuid.UUID, uuid.UUID]:
    """Return the rows below the source that have a counterpart below the target, with that."""
    theirs = Artifact.objects.filter(below(target), disk_id=disk_id)
    there = {
        (path, filename): pk for pk, path, filename in theirs.values_list("pk", "path", "filename")
    }
    if not there:
        return {}
    ours = Artifact.objects.filter(below(source), disk_id=disk_id)
    return {
        pk: there[counterpart]
        for pk, path, filename in ours.values_list("pk", "path", "filename")
        if (counterpart := (target + path[len(source) :], filename)) in there
    }


def _clear_way(
    disk_id: uuid.UUID, source: str, target: str, on_conflict: OnConflict | None
) -> None:
    """Make room below the target for what comes from the source. Raises Conflict if it cannot."""
    _check_kinds(disk_id, source, target)
    if on_conflict == OnConflict.SKIP:
        # Files that stay keep their folder; its row goes, as the target has one too.
        for batch in _batches(list(_overlaps(disk_id, source, target))):
            drop(disk_id, Artifact.objects.filter(pk__in=batch, filename=FOLDER))
        return
    for batch in _batches(list(_overlaps(disk_id, source, target).values())):
        drop(disk_id, Artifact.objects.filter(pk__in=batch))


def _check_kinds(disk_id: uuid.UUID, source: str, target: str) -> None:
    """Raise Conflict where a file would meet a folder of its name."""
    ours, theirs = _names_below(disk_id, source), _names_below(disk_id, target)
    for files, folders in ((ours[0], theirs[1]), (theirs[0], ours[1])):
        for name in files & folders:
            raise entries.taken(target + name, "a file and a folder")


def _names_below(disk_id: uuid.UUID, folder: str) -> tuple[set[str], set[str]]:
    """Return the files and the folders below a folder, as paths from there."""
    files: set[str] = set()
    folders: set[str] = set()
    rows = Artifact.objects.filter(below(folder), disk_id=disk_id)
    for path, filename in rows.values_list("path", "filename").iterator(BATCH):
        inner = path[len(folder) :]
        if filename:
            files.add(inner + filename)
        while inner:
            folders.add(inner.rstrip("/"))
            inner = inner.rstrip("/").rpartition("/")[0]
    return files, folders


def copy(disk_id: uuid.UUID, path: str, to: str, on_conflict: OnConflict | None) -> str | None:
    """Copy a file or folder; return where the copy is, None if it was skipped."""

    def step() -> str | None:
        source = tree.resolve(disk_id, path)
        entries.check_apart(entries.clean(path), to)
        target = tree.target_of(disk_id, to, on_conflict, is_folder_too=isinstance(source, str))
        if target is None:
            return None
        if isinstance(source, str):
            _copy_folder(disk_id, source, target, on_conflict)
        else:
            _clear_file(disk_id, target)
            folder, name = tree.split(target)
            _insert_copies([(source, folder, name)])
        return target

    return holding(disk_id, step)


def _copy_folder(disk_id: uuid.UUID, path: str, to: str, on_conflict: OnConflict | None) -> None:
    source, target = tree.inside(path), tree.inside(to)
    rows = Artifact.objects.filter(below(source), disk_id=disk_id)
    _check_depth(rows, source, target)
    _check_kinds(disk_id, source, target)
    kept = set(_overlaps(disk_id, source, target))
    if on_conflict != OnConflict.SKIP:
        markers = rows.filter(filename=FOLDER).values_list("pk", flat=True)
        kept &= set(markers)
        _clear_files_in_way(disk_id, source, target)
    wanted = list(rows.order_by("path", "filename").values_list("pk", flat=True))
    for batch in _batches([pk for pk in wanted if pk not in kept]):
        _insert_copies(
            (row, target + row.path[len(source) :], row.filename)
            for row in Artifact.objects.filter(pk__in=batch)
        )


def _clear_files_in_way(disk_id: uuid.UUID, source: str, target: str) -> None:
    for batch in _batches(list(_overlaps(disk_id, source, target).values())):
        drop(disk_id, Artifact.objects.filter(pk__in=batch).exclude(filename=FOLDER))


def _insert_copies(copies: Iterable[tuple[Artifact, str, str]]) -> None:
    now = timezone.now()
    made = [
        Artifact(
            disk_id=row.disk_id,
            path=folder,
            filename=name,
            meta=row.meta,
            mime=row.mime,
            blob_id=row.blob_id,
            created_at=now,
            updated_at=now,
        )
        for row, folder, name in copies
    ]
    changes.hold_blobs({row.blob_id for row in made})
    if made:
        add(made[0].disk_id, made)


def _batches(keys: list[uuid.UUID]) -> Iterator[list[uuid.UUID]]:
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]
