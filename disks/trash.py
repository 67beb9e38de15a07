"""What people deleted from a disk, until it is restored or purged.

A deletion is all that was deleted at once. The bytes stay in the store: disks/sweep.py sees that
trashed files point to them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

from django.conf import settings
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from disks import changes, entries, folders, tree
from disks.artifacts import FOLDER, add, drop, holding
from disks.folders import below
from disks.models import Artifact, Blob, Disk, OnConflict, TrashedArtifact
from project import database
from project.errors import Conflict, NotFound

# So many rows go to the trash or come back in one transaction. Many of those take their time, and
# others get their turn in between.
BATCH = 250
COPIED = ("disk_id", "path", "filename", "meta", "mime", "blob_id", "created_at", "updated_at")

# The folder and the name of a row.
type Named = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Trash:
    """A page of a trash, and how much all of it is.

    `together`: how many are in the trash of each deletion on the page.
    """

    items: list[TrashedArtifact]
    total: int
    bytes: int
    together: dict[uuid.UUID, int]


@dataclass(frozen=True, slots=True)
class Restored:
    """How many files came back, and how many stayed in the trash; why, if they could not."""

    restored: int
    skipped: int
    refusal: Conflict | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted together: which deletion it is, when it was, and whose."""

    id: uuid.UUID
    at: datetime
    by: str


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


async def put(disk_id: uuid.UUID, paths: Sequence[str], by: str, empty: Blob) -> uuid.UUID:
    """Move files and folders to the trash. Return the deletion. Raises NotFound.

    Many of them go in steps, between which others write. What was not reached stays.
    """
    deletion = Deletion(uuid.uuid4(), timezone.now(), by[:200])
    tops, rows = await database.read(_wanted, disk_id, paths)
    steps = list(batched(rows.items(), BATCH))
    for step in steps:
        # Folders that would vanish with their last file are kept once that is gone.
        emptied = tops if step is steps[-1] else []
        await database.write(_put_some, disk_id, dict(step), deletion, emptied, empty)
    return deletion.id


def _wanted(disk_id: uuid.UUID, paths: Sequence[str]) -> tuple[list[str], dict[uuid.UUID, Named]]:
    """Return the paths that are not within others, and the rows there. Raises NotFound."""
    # With a slash at its end, a path is that of a folder, whatever else has its name.
    named = {entries.clean(path) for path in paths if not path.endswith("/")} - {"/"}
    files = tree.files_at(disk_id, named)
    inner = {entries.clean(path) for path in paths} - files.keys()
    inner |= {entries.clean(path) for path in paths if path.endswith("/")}
    if "/" in inner:
        raise Conflict("the root folder stays", tag="root_folder")
    tops = [path for path in {*files, *inner} if inner.isdisjoint(tree.way_to(path))]
    rows: dict[uuid.UUID, Named] = {}
    for path in tops:
        if path in files:
            rows[files[path]] = tree.split(path)
        if path in inner:
            rows |= _below(disk_id, path, tree.MOST - len(rows))
    if len(rows) > tree.MOST:
        raise entries.too_many(tree.MOST)
    return tops, rows


def _below(disk_id: uuid.UUID, path: str, most: int) -> dict[uuid.UUID, Named]:
    rows = Artifact.objects.filter(below(tree.inside(path)), disk_id=disk_id)
    found = list(
        rows.order_by("path", "filename").values_list("pk", "path", "filename")[: most + 1]
    )
    if not found:
        raise tree.missing(path)
    if len(found) > most:
        raise entries.too_many(tree.MOST)
    return {pk: (folder, name) for pk, folder, name in found}


def _put_some(
    disk_id: uuid.UUID,
    wanted: dict[uuid.UUID, Named],
    deletion: Deletion,
    emptied: Sequence[str],
    empty: Blob,
) -> None:
    def step() -> None:
        found = Artifact.objects.filter(disk_id=disk_id, pk__in=wanted)
        # What has another name by now is not what was meant.
        rows = [row for row in found if wanted[row.pk] == (row.path, row.filename)]
        TrashedArtifact.objects.bulk_create(
            TrashedArtifact(
                deletion=deletion.id,
                deleted_at=deletion.at,
                deleted_by=deletion.by,
                **_facts_of(row),
            )
            for row in rows
        )
        drop(disk_id, Artifact.objects.filter(pk__in=[row.pk for row in rows]))
        changes.keep_parents(disk_id, emptied, empty)

    holding(disk_id, step)


def _facts_of(row: Artifact | TrashedArtifact) -> dict[str, object]:
    return {name: getattr(row, name) for name in COPIED}


def listing(disk: Disk, offset: int = 0, limit: int = entries.PAGE) -> Trash:
    """Return a page of a disk's trash, newest first. Reads the database."""
    rows = TrashedArtifact.objects.filter(disk=disk)
    total = rows.aggregate(bytes=Sum("blob__size"))["bytes"] or 0
    page = list(rows.select_related("blob")[offset : offset + limit])
    deletions = rows.order_by().filter(deletion__in={row.deletion for row in page})
    together = deletions.values_list("deletion").annotate(Count("pk"))
    return Trash(page, rows.count(), total, dict(together))


def chosen(ids: Iterable[uuid.UUID]) -> Q:
    """Mean some files of a trash."""
    return Q(pk__in=list(ids))


def together(deletion: uuid.UUID) -> Q:
    """Mean all that is in a trash of what was deleted together."""
    return Q(deletion=deletion)


async def undo(disk: Disk, deletion: uuid.UUID) -> Restored:
    """Take a deletion back. What has got its name since is kept beside it."""
    return await _restore(disk.pk, together(deletion), OnConflict.RENAME)


async def restore(disk: Disk, wanted: Q, on_conflict: OnConflict | None) -> Restored:
    """Bring files back to where they were. Raises NotFound, Taken without a policy."""
    if on_conflict is None:
        taken = await database.read(_taken, disk.pk, wanted)
        if taken:
            raise Taken(taken)
    return await _restore(disk.pk, wanted, on_conflict)


async def _restore(disk_id: uuid.UUID, wanted: Q, on_conflict: OnConflict | None) -> Restored:
    """Restore some at a time; between them others write. What was not reached is in the trash.

    What cannot go back stays there too; if that is all, its refusal is raised.
    """
    restored = skipped = 0
    refusal: Conflict | None = None
    for batch in batched(await database.read(_keys, disk_id, wanted), BATCH):
        some = await database.write(_restore_some, disk_id, batch, on_conflict)
        restored += some.restored
        skipped += some.skipped
        refusal = refusal or some.refusal
    if not restored and refusal is not None:
        raise refusal
    if not restored and not skipped:
        raise NotFound("this is not in the trash any more", tag="not_in_trash")
    return Restored(restored, skipped, refusal)


def _keys(disk_id: uuid.UUID, wanted: Q) -> list[uuid.UUID]:
    return list(_trashed(disk_id, wanted).values_list("pk", flat=True))


def _trashed(disk_id: uuid.UUID, wanted: Q) -> QuerySet[TrashedArtifact]:
    rows = TrashedArtifact.objects.filter(wanted, disk_id=disk_id)
    return rows.order_by("deleted_at", "path", "filename", "id")


def _taken(disk_id: uuid.UUID, wanted: Q) -> list[TrashedArtifact]:
    """Return the files whose names are taken."""
    rows = [row for row in _trashed(disk_id, wanted) if row.filename]
    names = _Names(disk_id, rows)
    return [row for row in rows if _path(row) in names.files | names.folders]


def _restore_some(
    disk_id: uuid.UUID, keys: Sequence[uuid.UUID], on_conflict: OnConflict | None
) -> Restored:
    def step() -> Restored:
        rows = list(_trashed(disk_id, Q(pk__in=keys)).select_for_update())
        names = _Names(disk_id, rows)
        back = [row for row in rows if names.take(row)]
        changes.hold_blobs({row.blob_id for row in back})
        add(disk_id, [Artifact(**_facts_of(row)) for row in back])
        free = {row.pk for row in back}
        refusal: Conflict | None = None
        for row in rows:
            try:
                if row.pk not in free and _put_back(disk_id, row, on_conflict):
                    back.append(row)
            except Conflict as conflict:
                refusal = conflict
        TrashedArtifact.objects.filter(pk__in=[row.pk for row in back]).delete()
        return Restored(len(back), len(rows) - len(back), refusal)

    return holding(disk_id, step)


class _Names:
    """The names around some trashed rows, and which of the rows can just take theirs again."""

    def __init__(self, disk_id: uuid.UUID, rows: Sequence[TrashedArtifact]) -> None:
        paths = {_path(row) for row in rows}
        ways = {folder for path in paths for folder in tree.way_to(path)}
        self.files = set(tree.files_at(disk_id, (paths | ways) - {"/"}))
        parents = {row.path for row in rows if row.filename}
        self.folders = {
            f"{parent}{name}"
            for parent, names in folders.names_in(disk_id, parents).items()
            for name in names
        }
        marked = {row.path for row in rows if row.filename == FOLDER}
        markers = Artifact.objects.filter(disk_id=disk_id, path__in=marked, filename=FOLDER)
        self.marked = set(markers.values_list("path", flat=True))

    def take(self, row: TrashedArtifact) -> bool:
        """Take the name of a row; False if it is not free."""
        path, way = _path(row), set(tree.way_to(_path(row)))
        is_folder = row.filename == FOLDER
        taken = path in self.files or (
            row.path in self.marked if is_folder else path in self.folders
        )
        if taken or not self.files.isdisjoint(way):
            return False
        self.folders |= way
        if is_folder:
            self.folders.add(path)
            self.marked.add(row.path)
        else:
            self.files.add(path)
        return True


def _path(row: TrashedArtifact) -> str:
    return f"{row.path}{row.filename}".rstrip("/") or "/"


def _put_back(disk_id: uuid.UUID, row: TrashedArtifact, on_conflict: OnConflict | None) -> bool:
    """Make a trashed file whose name is not free a file again; False if it is to stay."""
    if row.filename == FOLDER:
        return _put_folder_back(disk_id, row)
    target = tree.target_of(disk_id, _path(row), on_conflict, is_folder_too=False)
    if target is None:
        return False
    folder, name = tree.split(target)
    drop(disk_id, Artifact.objects.filter(disk_id=disk_id, path=folder, filename=name))
    changes.hold_blobs({row.blob_id})
    add(disk_id, [Artifact(**{**_facts_of(row), "path": folder, "filename": name})])
    return True


def _put_folder_back(disk_id: uuid.UUID, row: TrashedArtifact) -> bool:
    """A folder that is there again has its row; a file of its name is in the way."""
    if tree.find_file(disk_id, _path(row)) is not None:
        raise entries.taken(_path(row), "a file")
    tree.check_way(disk_id, _path(row))
    return True


async def purge(disk: Disk, wanted: Q) -> int:
    """Delete files from the trash for ever, a little at a time. Return how many."""
    count = 0
    while some := await database.note(_purge_batch, wanted & Q(disk=disk)):
        count += some
    return count


async def empty(disk: Disk) -> int:
    """Delete for ever everything that is in the trash now. Return how many files."""
    return await purge(disk, Q(deleted_at__lte=timezone.now()))


async def purge_some() -> bool:
    """Delete for ever some of what has been in the trash for its time. True: there may be more.

    A chore of the supervisor.
    """
    cutoff = timezone.now() - _kept()
    return bool(await database.write(_purge_batch, Q(deleted_at__lt=cutoff)))


def _purge_batch(wanted: Q) -> int:
    keys = TrashedArtifact.objects.filter(wanted).order_by().values_list("pk", flat=True)
    return TrashedArtifact.objects.filter(pk__in=list(keys[:BATCH])).delete()[0]
