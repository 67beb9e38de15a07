"""Files put on a disk, and folders made there. Plain functions that write the database.

Each is one transaction that holds the disk, or is called within one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

from django.utils import timezone

from disks import artifacts, entries, tree
from disks.artifacts import FOLDER, etag_of, holding
from disks.entries import Entry
from disks.models import Blob, OnConflict
from project.errors import Conflict, Failed

# Rows of folders say what they are.
FOLDER_MIME = "inode/directory"


def put(
    disk_id: uuid.UUID,
    path: str,
    mime: str,
    blob: Blob,
    on_conflict: OnConflict | None,
    expected_etag: str | None,
    also: Callable[[Entry | None], None] | None = None,
) -> Entry | None:
    """Make a stored blob a file, and do something `also`. None: it was skipped."""

    def step() -> Entry | None:
        entry = put_held(disk_id, path, mime, blob, on_conflict, expected_etag)
        if also is not None:
            also(entry)
        return entry

    return holding(disk_id, step)


def put_held(
    disk_id: uuid.UUID,
    path: str,
    mime: str,
    blob: Blob,
    on_conflict: OnConflict | None,
    expected_etag: str | None,
) -> Entry | None:
    if expected_etag is not None:
        old = tree.find_file(disk_id, path)
        if (etag_of(old) if old else "") != expected_etag:
            raise _not_expected(path, expected_etag)
        on_conflict = OnConflict.REPLACE
    target = tree.target_of(disk_id, path, on_conflict, is_folder_too=False)
    if target is None:
        return None
    folder, name = tree.split(target)
    return tree.file_entry(artifacts.point(disk_id, folder, name, mime=mime, blob=blob))


def _not_expected(path: str, expected_etag: str) -> Conflict:
    if not expected_etag:
        return entries.taken(path, "a file")
    return Conflict(
        f"the file {entries.name_of(path)} has changed since it was opened", tag="changed"
    )


def mkdir(disk_id: uuid.UUID, path: str, empty: Blob, *, exist_ok: bool) -> Entry:
    def step() -> None:
        if tree.find_file(disk_id, path) is not None:
            raise entries.taken(path, "a file")
        tree.check_way(disk_id, path)
        if tree.is_folder(disk_id, path):
            if not exist_ok:
                raise entries.taken(path, "a folder")
            return
        mark_folder(disk_id, path, empty)

    holding(disk_id, step)
    return tree.stat(disk_id, f"{path}/")


def mark_folder(disk_id: uuid.UUID, path: str, empty: Blob) -> None:
    """Give a folder a row of its own."""
    if path != "/":
        artifacts.point(disk_id, tree.inside(path), FOLDER, mime=FOLDER_MIME, blob=empty)


def keep_parents(disk_id: uuid.UUID, removed: Iterable[str], empty: Blob) -> None:
    """Keep the folders that things were taken out of, where nothing is left in them."""
    for parent in {entries.parent_of(path) for path in removed}:
        if not tree.is_folder(disk_id, parent):
            mark_folder(disk_id, parent, empty)


def hold_blobs(keys: set[uuid.UUID]) -> None:
    """Keep the sweep from blobs that are about to be pointed to. Raises Failed if it was faster."""
    held = Blob.objects.filter(pk__in=keys).exclude(status=Blob.Status.DOOMED)
    if held.update(used_at=timezone.now()) != len(keys):
        raise Failed("a file was deleted while it was being copied; try again")
