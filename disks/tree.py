"""Files and folders of a disk as a tree: look, put, move, copy. Plain functions on the database.

Each change is one transaction that holds the disk. Paths are as in disks/entries.py.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, F, Max, Q, QuerySet, Value
from django.db.models.functions import Concat, Lower, Substr
from django.utils import timezone

from disks import artifacts, entries, paths
from disks.artifacts import FOLDER, below, etag_of, holding
from disks.entries import Entry, Listing
from disks.models import Artifact, Blob, OnConflict
from project.errors import Conflict, Failed, Invalid, NotFound

# Rows of folders say what they are.
FOLDER_MIME = "inode/directory"
BATCH = 500
# What one move or copy takes at the most.
MOST = entries.WALK_MOST
ORDERS = {
    "name": (Lower("filename"), F("filename")),
    "size": (F("blob__size"), Lower("filename"), F("filename")),
    "modified": (F("updated_at"), Lower("filename"), F("filename")),
    "kind": (F("mime"), Lower("filename"), F("filename")),
}


@dataclass(slots=True)
class _Folder:
    """What is known of a folder from the paths below it."""

    names: set[str] = field(default_factory=set)
    files: int = 0
    modified: datetime | None = None


def inside(path: str) -> str:
    """Return a path as that of a folder of artifacts: with a slash at its end. Raises Invalid."""
    return paths.folder_of(path)


def split(path: str) -> tuple[str, str]:
    """Return the folder and the name of a path. Raises Invalid for the root."""
    if path == "/":
        raise Invalid("path: it must name a file or folder, not the root")
    return paths.split(path)


def file_entry(artifact: Artifact) -> Entry:
    return Entry(
        path=f"{artifact.path}{artifact.filename}",
        name=artifact.filename,
        kind="file",
        size=artifact.blob.size,
        modified=artifact.updated_at,
        etag=etag_of(artifact),
        mime=artifact.mime,
    )


def rows_of(disk_id: uuid.UUID) -> QuerySet[Artifact]:
    return Artifact.objects.filter(disk_id=disk_id).select_related("blob")


def find_file(disk_id: uuid.UUID, path: str) -> Artifact | None:
    if path == "/":
        return None
    folder, name = split(path)
    return rows_of(disk_id).filter(path=folder, filename=name).first()


def is_folder(disk_id: uuid.UUID, path: str) -> bool:
    return path == "/" or Artifact.objects.filter(below(inside(path)), disk_id=disk_id).exists()


def stat(disk_id: uuid.UUID, path: str) -> Entry:
    """Return the file or folder at a path; with a slash at its end, the folder."""
    clean = entries.clean(path)
    artifact = None if path.endswith("/") else find_file(disk_id, clean)
    if artifact is not None:
        return file_entry(artifact)
    if not is_folder(disk_id, clean):
        raise NotFound(f"there is no {clean} on this disk", tag="file_not_found")
    return _folder_entry(clean, _folder_at(disk_id, inside(clean)))


def _folder_at(disk_id: uuid.UUID, folder: str) -> _Folder:
    inner = _folders_in(disk_id, folder)
    own = rows_of(disk_id).filter(path=folder).order_by()
    facts = own.aggregate(files=Count("id", filter=~Q(filename=FOLDER)), changed=Max("updated_at"))
    changes = [facts["changed"], *(found.modified for found in inner.values())]
    modified = max((moment for moment in changes if moment is not None), default=None)
    return _Folder(set(inner), facts["files"], modified)


def _folder_entry(path: str, folder: _Folder) -> Entry:
    return Entry(
        path=path,
        name=entries.name_of(path),
        kind="folder",
        modified=folder.modified,
        items=len(folder.names) + folder.files,
    )


def _folders_in(disk_id: uuid.UUID, parent: str) -> dict[str, _Folder]:
    """Return the folders directly in a folder, by name."""
    grouped = (
        Artifact.objects.filter(below(parent), disk_id=disk_id)
        .exclude(path=parent)
        .order_by()
        .values_list("path")
        .annotate(
            files=Count("id", filter=~Q(filename=FOLDER)),
            changed=Max("updated_at"),
        )
    )
    folders: dict[str, _Folder] = defaultdict(_Folder)
    for path, files, changed in grouped:
        name, _, rest = path[len(parent) :].partition("/")
        folder = folders[name]
        if rest:
            folder.names.add(rest.partition("/")[0])
        else:
            folder.files += files
        folder.modified = max(folder.modified or changed, changed)
    return dict(folders)


def listing(
    disk_id: uuid.UUID,
    path: str,
    *,
    sort: str,
    descending: bool,
    offset: int,
    limit: int,
    hidden: bool,
    match: str,
) -> Listing:
    """Return a page of a folder: folders first, then files in the order asked for."""
    clean = entries.clean(path)
    parent = inside(clean)
    found = _folders_in(disk_id, parent)
    files = rows_of(disk_id).filter(path=parent).exclude(filename=FOLDER)
    if not found and clean != "/" and not is_folder(disk_id, clean):
        raise NotFound(f"there is no folder {clean} on this disk", tag="folder_not_found")
    if match:
        files = files.filter(filename__icontains=match)
    if not hidden:
        files = files.exclude(filename__startswith=".")
    folders = [
        _folder_entry(entries.join(clean, name), folder)
        for name, folder in found.items()
        if match.casefold() in name.casefold() and (hidden or not name.startswith("."))
    ]
    folders.sort(key=lambda entry: _folder_order(entry, sort), reverse=descending)
    count = files.count()
    total = len(folders) + count
    page = folders[offset : offset + limit]
    start = max(0, offset - len(folders))
    room = limit - len(page)
    if room > 0 and start < count:
        order = ORDERS[sort]
        wanted = [key.desc() for key in order] if descending else [key.asc() for key in order]
        page += [file_entry(row) for row in files.order_by(*wanted)[start : start + room]]
    return Listing(page, total, total > offset + len(page))


def _folder_order(entry: Entry, sort: str) -> tuple[float, str, str]:
    changed = entry.modified.timestamp() if sort == "modified" and entry.modified else 0.0
    return changed, entry.name.casefold(), entry.name


def rows_after(disk_id: uuid.UUID, folder: str, after: tuple[str, str] | None) -> list[Artifact]:
    """Return the next rows of what is below a folder, by path and name."""
    rows = rows_of(disk_id).filter(below(folder)).order_by("path", "filename")
    if after is not None:
        path, filename = after
        rows = rows.filter(Q(path__gt=path) | Q(path=path, filename__gt=filename))
    return list(rows[:BATCH])


# Names.


def is_taken(disk_id: uuid.UUID, path: str) -> bool:
    return find_file(disk_id, path) is not None or is_folder(disk_id, path)


def free_beside(disk_id: uuid.UUID, path: str, *, is_folder: bool = False) -> str:
    """Return a free path beside a taken one."""
    parent, name = entries.parent_of(path), entries.name_of(path)
    for number in range(2, entries.NAMES_TRIED):
        candidate = entries.join(parent, entries.numbered(name, number, is_folder=is_folder))
        if not is_taken(disk_id, candidate):
            return candidate
    raise Conflict(f"there are too many files named like {name}", tag="exists")


def check_way(disk_id: uuid.UUID, path: str) -> None:
    """Raise Conflict if a file is where a folder on the way to a path would be."""
    parent = entries.parent_of(path)
    while parent != "/":
        if find_file(disk_id, parent) is not None:
            raise Conflict(f"{parent} is a file, not a folder", tag="not_a_directory")
        parent = entries.parent_of(parent)


def target_of(
    disk_id: uuid.UUID, to: str, on_conflict: OnConflict | None, *, is_folder_too: bool
) -> str | None:
    """Return the path that something goes to, by what is there; None: it is to be skipped.

    Raises Conflict if it cannot go there.
    """
    check_way(disk_id, to)
    file, folder = find_file(disk_id, to) is not None, is_folder(disk_id, to)
    if not file and not folder:
        return to
    if on_conflict == OnConflict.RENAME:
        return free_beside(disk_id, to, is_folder=is_folder_too)
    if on_conflict is None:
        raise entries.taken(to, "a folder" if folder else "a file")
    if folder == is_folder_too and file != is_folder_too:
        skips = on_conflict == OnConflict.SKIP and not is_folder_too
        return None if skips else to
    if on_conflict == OnConflict.SKIP:
        return None
    raise entries.taken(to, "a folder" if folder else "a file")


# Changes. Each is called inside `holding`.


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
        old = find_file(disk_id, path)
        if (etag_of(old) if old else "") != expected_etag:
            raise _not_expected(path, expected_etag)
        on_conflict = OnConflict.REPLACE
    target = target_of(disk_id, path, on_conflict, is_folder_too=False)
    if target is None:
        return None
    folder, name = split(target)
    return file_entry(artifacts.point(disk_id, folder, name, mime=mime, blob=blob))


def _not_expected(path: str, expected_etag: str) -> Conflict:
    if not expected_etag:
        return entries.taken(path, "a file")
    return Conflict(f"{entries.name_of(path)} has changed since it was opened", tag="changed")


def mkdir(disk_id: uuid.UUID, path: str, empty: Blob, *, exist_ok: bool) -> Entry:
    def step() -> None:
        if find_file(disk_id, path) is not None:
            raise entries.taken(path, "a file")
        check_way(disk_id, path)
        if is_folder(disk_id, path):
            if not exist_ok:
                raise entries.taken(path, "a folder")
            return
        mark_folder(disk_id, path, empty)

    holding(disk_id, step)
    return stat(disk_id, f"{path}/")


def mark_folder(disk_id: uuid.UUID, path: str, empty: Blob) -> None:
    """Give a folder a row of its own."""
    if path != "/":
        artifacts.point(disk_id, inside(path), FOLDER, mime=FOLDER_MIME, blob=empty)


def keep_parents(disk_id: uuid.UUID, removed: Iterable[str], empty: Blob) -> None:
    """Keep the folders that things were taken out of, where nothing is left in them."""
    for parent in {entries.parent_of(path) for path in removed}:
        if not is_folder(disk_id, parent):
            mark_folder(disk_id, parent, empty)


def resolve(disk_id: uuid.UUID, path: str) -> Artifact | str:
    """Return the file at a path, or the path itself if it is a folder. Raises NotFound."""
    entry = stat(disk_id, path)
    if entry.kind == "folder":
        return entry.path
    artifact = find_file(disk_id, entry.path)
    assert artifact is not None
    return artifact


def move(
    disk_id: uuid.UUID, path: str, to: str, on_conflict: OnConflict | None, empty: Blob
) -> str | None:
    """Move a file or folder; return where it is now, None if it was skipped."""

    def step() -> str | None:
        source = resolve(disk_id, path)
        clean = entries.clean(path)
        entries.check_apart(clean, to)
        target = target_of(disk_id, to, on_conflict, is_folder_too=isinstance(source, str))
        if target is None:
            return None
        if isinstance(source, str):
            _move_folder(disk_id, source, target, on_conflict)
        else:
            _clear_file(disk_id, target)
            source.path, source.filename = split(target)
            source.save(update_fields=["path", "filename"])
        keep_parents(disk_id, [clean], empty)
        return target

    return holding(disk_id, step)


def _clear_file(disk_id: uuid.UUID, path: str) -> None:
    folder, name = split(path)
    rows_of(disk_id).filter(path=folder, filename=name).delete()


def _move_folder(disk_id: uuid.UUID, path: str, to: str, on_conflict: OnConflict | None) -> None:
    source, target = inside(path), inside(to)
    rows = Artifact.objects.filter(below(source), disk_id=disk_id)
    _check_depth(rows, source, target)
    if is_folder(disk_id, to):
        _clear_way(disk_id, source, target, on_conflict)
    kept = _overlaps(disk_id, source, target)
    rows.exclude(pk__in=kept).update(path=Concat(Value(target), Substr("path", len(source) + 1)))


def _check_depth(rows: QuerySet[Artifact], source: str, target: str) -> None:
    """Raise Invalid if a path would get too long, and Unprocessable if there are too many rows."""
    if rows.count() > MOST:
        raise entries.too_many(MOST)
    for path in rows.order_by().values_list("path", flat=True).distinct():
        paths.folder_of(target + path[len(source) :])


def _overlaps(disk_id: uuid.UUID, source: str, target: str) -> list[uuid.UUID]:
    """Return the rows below the source that have a counterpart below the target."""
    there = set(
        Artifact.objects.filter(below(target), disk_id=disk_id).values_list("path", "filename")
    )
    if not there:
        return []
    rows = Artifact.objects.filter(below(source), disk_id=disk_id)
    return [
        pk
        for pk, path, filename in rows.values_list("pk", "path", "filename")
        if (target + path[len(source) :], filename) in there
    ]


def _clear_way(
    disk_id: uuid.UUID, source: str, target: str, on_conflict: OnConflict | None
) -> None:
    """Make room below the target for what comes from the source. Raises Conflict if it cannot."""
    _check_kinds(disk_id, source, target)
    if on_conflict == OnConflict.SKIP:
        # Files that stay keep their folder; its row goes, as the target has one too.
        doubled = Artifact.objects.filter(
            pk__in=_overlaps(disk_id, source, target), filename=FOLDER
        )
        doubled.delete()
        return
    for batch in _batches(_overlaps(disk_id, source, target)):
        for row in Artifact.objects.filter(pk__in=batch):
            counterpart = target + row.path[len(source) :]
            Artifact.objects.filter(
                disk_id=disk_id, path=counterpart, filename=row.filename
            ).delete()


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
        source = resolve(disk_id, path)
        entries.check_apart(entries.clean(path), to)
        target = target_of(disk_id, to, on_conflict, is_folder_too=isinstance(source, str))
        if target is None:
            return None
        if isinstance(source, str):
            _copy_folder(disk_id, source, target, on_conflict)
        else:
            _clear_file(disk_id, target)
            folder, name = split(target)
            _insert_copies([(source, folder, name)])
        return target

    return holding(disk_id, step)


def _copy_folder(disk_id: uuid.UUID, path: str, to: str, on_conflict: OnConflict | None) -> None:
    source, target = inside(path), inside(to)
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
    for batch in _batches(_overlaps(disk_id, source, target)):
        for row in Artifact.objects.filter(pk__in=batch).exclude(filename=FOLDER):
            counterpart = target + row.path[len(source) :]
            Artifact.objects.filter(
                disk_id=disk_id, path=counterpart, filename=row.filename
            ).delete()


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
    hold_blobs({row.blob_id for row in made})
    Artifact.objects.bulk_create(made, batch_size=BATCH)


def hold_blobs(keys: set[uuid.UUID]) -> None:
    """Keep the sweep from blobs that are about to be pointed to. Raises Failed if it was faster."""
    held = Blob.objects.filter(pk__in=keys).exclude(status=Blob.Status.DOOMED)
    if held.update(used_at=timezone.now()) != len(keys):
        raise Failed("a file was deleted while it was being copied; try again")


def _batches(keys: list[uuid.UUID]) -> Iterator[list[uuid.UUID]]:
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]
