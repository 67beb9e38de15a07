"""Entries of a folder as pages show them: rows, crumbs, addresses."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from urllib.parse import quote

from disks import media
from disks.content import CODE
from disks.places.base import Entry, Place

ICONS = (
    ("table", ("csv", "tsv", "parquet", "xls", "xlsx", "ods", "sqlite", "db")),
    ("image", ("png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "bmp", "ico")),
    ("archive", ("zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "whl", "jar")),
    ("file-text", ("txt", "md", "rst", "log", "pdf", "doc", "docx", "odt")),
    ("file-code", (*CODE, "html", "css", "json", "yaml", "yml", "toml", "ini", "xml", "ipynb")),
)
ICON_OF = {ending: name for name, endings in ICONS for ending in endings}


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as a row of the list shows it."""

    entry: Entry
    # Tells rows apart in the page, where a name may hold anything.
    key: str
    url: str
    icon: str
    mode: str

    @property
    def is_folder(self) -> bool:
        return self.entry.is_folder

    @property
    def is_broken(self) -> bool:
        return self.entry.kind == "link" and not self.entry.leads_to

    @property
    def state(self) -> str:
        """What has changed when the row looks different."""
        entry = self.entry
        return f"{entry.kind}|{entry.size}|{entry.modified}|{entry.mode}|{entry.etag}|{entry.items}"


def url_of(place: Place, path: str) -> str:
    """Return the address of a file, or of a folder if the path ends with a slash."""
    base = base_of(place)
    if path == "/" and place.start != "/":
        return f"{base}/files/?at=root"
    return f"{base}/files/{quote(path.lstrip('/'), errors='surrogateescape')}"


def base_of(place: Place) -> str:
    return f"/{'disks' if place.kind == 'disk' else 'sandboxes'}/{place.id}"


def row_of(place: Place, entry: Entry) -> Row:
    folder = entry.is_folder
    ending = media.ending_of(entry.name)
    return Row(
        entry,
        key=hashlib.blake2s(
            f"{entry.kind == 'folder'}{entry.name}".encode(errors="surrogateescape"), digest_size=8
        ).hexdigest(),
        url=url_of(place, f"{entry.path}/" if folder else entry.path),
        icon="folder" if folder else ICON_OF.get(ending, "file"),
        mode="" if entry.mode is None else stat.filemode(entry.mode)[1:],
    )


@dataclass(frozen=True, slots=True)
class Crumb:
    """A folder on the way to the one that is shown."""

    name: str
    path: str
    url: str


def crumbs_of(place: Place, folder: str) -> list[Crumb]:
    """Return the folders from the top to this one."""
    crumbs = [Crumb(place.name, "/", url_of(place, "/"))]
    path = "/"
    for name in folder.strip("/").split("/"):
        if name:
            path += f"{name}/"
            crumbs.append(Crumb(name, path, url_of(place, path)))
    return crumbs
