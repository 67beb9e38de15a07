"""What is said of files and folders wherever they are, and how their paths are read.

A path is absolute and has no slash at its end: `/a/b.txt`; the root is `/`.
"""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

from disks import media
from project.errors import Conflict, Invalid, Unprocessable

# What a walk through a folder meets at the most.
WALK_MOST = 100_000
# What is sorted and filtered of one folder at the most.
LISTING_MOST = 10_000
PAGE = 200
NAME_BYTES = 255
# What is longer behind a dot is no ending, and may be cut.
ENDING_BYTES = 32
# How many names beside a taken one are tried.
NAMES_TRIED = 1_000

# A byte from 0x80 in a name that is not UTF-8 is spelled as one of these, of Unicode's private use.
SPELLED = re.compile("[\uef80-\uefff]")
_TO_SPELLED = {0xDC00 + byte: 0xEF00 + byte for byte in range(0x80, 0x100)}
_FROM_SPELLED = {spelling: byte for byte, spelling in _TO_SPELLED.items()}

type Kind = Literal["folder", "file", "link", "other"]
SORTS = ("name", "size", "modified", "kind")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder, or something else with a name.

    `etag` changes with the content of a file. `items`: how many entries are directly in a folder.
    `target`: where a link points; `leads_to`: what is there, empty if nothing is.
    `trouble`: why a walk could not look into a folder.
    """

    path: str
    name: str
    kind: Kind
    size: int | None = None
    modified: datetime | None = None
    mode: int | None = None
    target: str = ""
    leads_to: str = ""
    etag: str = ""
    mime: str = ""
    items: int | None = None
    trouble: str = ""

    @property
    def is_folder(self) -> bool:
        """Can it be opened as a folder?"""
        return self.kind == "folder" or self.leads_to == "folder"


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a folder. `cut`: the folder has too many entries, and not all were looked at."""

    entries: list[Entry]
    total: int | None
    more: bool
    cut: bool = False


def clean(path: str) -> str:
    """Return a path without needless slashes. Raises Invalid for what is no absolute path."""
    if not path.startswith("/"):
        raise Invalid("path: must start with /")
    names = [name for name in path.split("/") if name]
    if any(name in (".", "..") for name in names):
        raise Invalid("path: must not hold . or .. as a name")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise Invalid("path: must be text") from None
    if "\x00" in path:
        raise Invalid("path: must not hold a NUL character")
    return "/" + "/".join(names)


def parent_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[0] or "/"


def name_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or "/"


def join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def is_within(path: str, folder: str) -> bool:
    """Is a path a folder itself, or somewhere in it?"""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def check_apart(path: str, to: str) -> None:
    """Raise Invalid where a move or copy makes no sense."""
    if path == "/" or to == "/":
        raise Invalid("the root folder stays where it is")
    if path == to:
        raise Invalid("it is there already", tag="same_path")
    if is_within(to, path):
        raise Invalid("a folder does not go into itself", tag="into_itself")


def numbered(name: str, number: int, *, is_folder: bool = False) -> str:
    """Return the name of the number-th file of a name: `report (2).txt`, `archive (2).tar.gz`."""
    ending = "" if is_folder else _ending(name)
    stem = name.removesuffix(ending) if ending else name
    mark = f" ({number})"
    room = NAME_BYTES - len((mark + ending).encode(errors="surrogateescape"))
    while len(stem.encode(errors="surrogateescape")) > room:
        stem = stem[:-1]
    return f"{stem}{mark}{ending}"


def _ending(name: str) -> str:
    endings = PurePosixPath(name).suffixes
    if not endings or len(endings[-1].encode(errors="surrogateescape")) > ENDING_BYTES:
        return ""
    return "".join(endings[-2:]) if endings[-2:-1] == [".tar"] else endings[-1]


def spelled(name: str) -> str:
    """Return a name out of a box as text that stands for just this name.

    A byte that is no UTF-8 becomes a character that no script uses; `unspelled` undoes that. A
    name that holds such a character itself has it spelled byte by byte.
    """
    if name.isascii():
        return name
    in_bytes = SPELLED.sub(lambda it: it[0].encode().decode("ascii", "surrogateescape"), name)
    return in_bytes.translate(_TO_SPELLED).encode(errors="replace").decode()


def unspelled(name: str) -> str:
    """Return a name as it is in the box, which `spelled` made text."""
    return name if name.isascii() else name.translate(_FROM_SPELLED)


def is_spelled(name: str) -> bool:
    """Does a name stand for one that is not UTF-8?"""
    return not name.isascii() and SPELLED.search(name) is not None


def shown(name: str) -> str:
    """Return a name to read: bytes that are not UTF-8 become a mark."""
    return unspelled(name).encode(errors="surrogateescape").decode(errors="replace")


def guessed_mime(name: str) -> str:
    """Return what the name of a file says that it is."""
    known = media.TEXT_TYPES.get(media.ending_of(name))
    return known or mimetypes.guess_type(name)[0] or media.UNKNOWN


def taken(path: str, what: str = "something") -> Conflict:
    return Conflict(f"there is {what} named {name_of(path)} already", tag="exists")


def too_many(most: int) -> Unprocessable:
    return Unprocessable(
        f"there are more than {most:,} files and folders; choose a part of them",
        tag="too_many_entries",
    )
