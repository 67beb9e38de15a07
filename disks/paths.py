"""The one way to read a path on a disk, for every door.

A folder has a slash at both ends; a filename has none. Names may hold anything else that a file
system takes: spaces, quotes, backslashes, any language.
"""

from __future__ import annotations

import unicodedata

from project.errors import Invalid

MAX_FOLDER_BYTES = 1024
MAX_NAME_BYTES = 255


def folder_of(text: str) -> str:
    """Return the folder that is meant, such as `/a/b/`. Raises Invalid."""
    segments = [segment for segment in text.strip().split("/") if segment]
    for segment in segments:
        _check_name(segment, "path")
    folder = "/" + "".join(f"{segment}/" for segment in segments)
    if len(folder.encode()) > MAX_FOLDER_BYTES:
        raise Invalid(f"invalid path: it is over {MAX_FOLDER_BYTES} bytes long")
    return folder


def filename_of(text: str) -> str:
    """Return a name that may be that of a file. Raises Invalid."""
    if "/" in text:
        raise Invalid("invalid filename: it must be a name, not a path")
    _check_name(text, "filename")
    return text


def split(file_path: str) -> tuple[str, str]:
    """Return the folder and the name of a file, given as one path. Raises Invalid."""
    folder, _, filename = file_path.rpartition("/")
    if not filename:
        raise Invalid("invalid path: it ends with / and so names no file")
    # With its slash, so that a folder whose name ends with a space keeps it.
    return folder_of(f"{folder}/"), filename_of(filename)


def destination(file_path: str, filename: str) -> str:
    """Return the folder where an upload goes.

    `file_path` names the folder. Where its last component is the file's own name and no slash
    ends it, the caller meant the whole path, and the name is dropped.
    """
    head, _, last = file_path.rpartition("/")
    return folder_of(f"{head}/" if last == filename else file_path)


def _check_name(name: str, what: str) -> None:
    if name in ("", ".", ".."):
        raise Invalid(f"invalid {what}: {name!r} is no name")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise Invalid(f"invalid {what}: it must not hold control characters")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise Invalid(f"invalid {what}: a name has {MAX_NAME_BYTES} bytes at most")
