"""Files and folders of a disk as a tree: what is there, and which names are free.

Plain functions that read the database. Paths are as in disks/entries.py.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import Lower

from disks import entries, folders, paths
from disks.artifacts import BATCH, FOLDER, etag_of
from disks.entries import Entry, Listing
from disks.folders import below
from disks.models import Artifact, OnConflict
from project.errors import Conflict, Invalid, NotFound

# In how many folders files are looked up with one statement.
LOOKUPS = 50
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
    """What is known of a folder: the folders and files directly in it, and their last change."""

    folders: int = 0
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
    return folders.exists(disk_id, inside(path))


def stat(disk_id: uuid.UUID, path: str) -> Entry:
    """Return the file or folder at a path; with a slash at its end, the folder."""
    clean = entries.clean(path)
    artifact = None if path.endswith("/") else find_file(disk_id, clean)
    if artifact is not None:
        return file_entry(artifact)
    if not is_folder(disk_id, clean):
        raise missing(clean)
    return _folder_entry(clean, _facts_of(disk_id, [inside(clean)])[inside(clean)])


def _facts_of(disk_id: uuid.UUID, wanted: Sequence[str]) -> dict[str, _Folder]:
    """Return what is known of some folders, by their paths."""
    facts: dict[str, _Folder] = {path: _Folder() for path in wanted}
    for path, names in folders.names_in(disk_id, wanted).items():
        facts[path].folders = len(names)
    for batch in batched(wanted, BATCH):
        for path, files, modified in _own_of(disk_id, batch):
            facts[path].files, facts[path].modified = files, modified
    return facts


def _own_of(
    disk_id: uuid.UUID, wanted: Sequence[str]
) -> QuerySet[Artifact, tuple[str, int, datetime]]:
    """Return of each folder how many files are directly in it, and when the last was changed."""
    return (
        Artifact.objects.filter(disk_id=disk_id, path__in=wanted)
        .order_by()
        .values_list("path")
        .annotate(files=Count("path", filter=~Q(filename=FOLDER)), changed=Max("updated_at"))
    )


def _folder_entry(path: str, folder: _Folder) -> Entry:
    return Entry(
        path=path,
        name=entries.name_of(path),
        kind="folder",
        modified=folder.modified,
        items=folder.folders + folder.files,
    )


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
    if not is_folder(disk_id, clean):
        raise NotFound(f"there is no folder {clean} on this disk", tag="folder_not_found")
    files = rows_of(disk_id).filter(path=parent).exclude(filename=FOLDER)
    if match:
        files = files.filter(filename__icontains=match)
    if not hidden:
        files = files.exclude(filename__startswith=".")
    names = [
        name
        for name in folders.names_in(disk_id, [parent])[parent]
        if match.casefold() in name.casefold() and (hidden or not name.startswith("."))
    ]
    count = files.count()
    page = _folders_of(
        disk_id, parent, names, sort, descending=descending, of=slice(offset, offset + limit)
    )
    start = max(0, offset - len(names))
    room = limit - len(page)
    if room > 0 and start < count:
        order = ORDERS[sort]
        wanted = [key.desc() for key in order] if descending else [key.asc() for key in order]
        page += [file_entry(row) for row in files.order_by(*wanted)[start : start + room]]
    total = len(names) + count
    return Listing(page, total, total > offset + len(page))


def _folders_of(
    disk_id: uuid.UUID, parent: str, names: list[str], sort: str, *, descending: bool, of: slice
) -> list[Entry]:
    """Return a part of the folders in a folder. Only those are looked into, but by their time."""
    names = sorted(names, key=lambda name: (name.casefold(), name), reverse=descending)
    if sort != "modified":
        names = names[of]
    facts = _facts_of(disk_id, [f"{parent}{name}/" for name in names])
    found = [_folder_entry(path.rstrip("/"), folder) for path, folder in facts.items()]
    if sort != "modified":
        return found
    found.sort(key=lambda entry: _moment(entry.modified), reverse=descending)
    return found[of]


def _moment(modified: datetime | None) -> float:
    return modified.timestamp() if modified else 0.0


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
    for parent in files_at(disk_id, way_to(path)):
        raise Conflict(f"{parent} is a file, not a folder", tag="not_a_directory")


def way_to(path: str) -> Iterator[str]:
    """Give the folders on the way to a path, the nearest first, without the root."""
    while (path := entries.parent_of(path)) != "/":
        yield path


def files_at(disk_id: uuid.UUID, paths: Iterable[str]) -> dict[str, uuid.UUID]:
    """Return which of some paths are those of files, each with its row."""
    found: dict[str, uuid.UUID] = {}
    names: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder, name = split(path)
        names[folder].append(name)
    asked = [(folder, some) for folder in names for some in batched(names[folder], BATCH)]
    for batch in batched(asked, LOOKUPS):
        wanted = Q(pk__in=[])
        for folder, some in batch:
            wanted |= Q(disk_id=disk_id, path=folder, filename__in=some)
        rows = Artifact.objects.filter(wanted).order_by()
        for pk, folder, name in rows.values_list("pk", "path", "filename"):
            found[f"{folder}{name}"] = pk
    return found


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
    clean = entries.clean(path)
    artifact = None if path.endswith("/") else find_file(disk_id, clean)
    if artifact is not None:
        return artifact
    if not is_folder(disk_id, clean):
        raise missing(clean)
    return clean


def missing(path: str) -> NotFound:
    return NotFound(f"there is no {path} on this disk", tag="file_not_found")
