"""Files and folders of a disk as a tree: what is there, and which names are free.

Plain functions that read the database. Paths are as in disks/entries.py.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import Lower

from disks import entries, paths
from disks.artifacts import FOLDER, below, etag_of
from disks.entries import Entry, Listing
from disks.models import Artifact, OnConflict
from project.errors import Conflict, Invalid, NotFound

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


def resolve(disk_id: uuid.UUID, path: str) -> Artifact | str:
    """Return the file at a path, or the path itself if it is a folder. Raises NotFound."""
    entry = stat(disk_id, path)
    if entry.kind == "folder":
        return entry.path
    artifact = find_file(disk_id, entry.path)
    assert artifact is not None
    return artifact
