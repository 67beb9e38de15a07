"""One file on a page: to look at, and to edit."""

from __future__ import annotations

import posixpath
from contextlib import aclosing
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from disks import entries, viewing
from disks.places.base import Entry, Place
from disks.views.entries import crumbs_of, url_of
from project.errors import Refused, Unprocessable
from project.pages import PageRequest, render

# What the editor calls the languages it has colours for, by the ending of a name.
LANGUAGES = {
    "css": "css",
    "dockerfile": "dockerfile",
    **dict.fromkeys(("html", "htm", "xml", "svg", "vue"), "html"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx"), "javascript"),
    **dict.fromkeys(("ts", "tsx"), "typescript"),
    **dict.fromkeys(("json", "jsonl", "ipynb"), "json"),
    **dict.fromkeys(("md", "markdown"), "markdown"),
    **dict.fromkeys(("py", "pyi"), "python"),
    **dict.fromkeys(("sh", "bash", "zsh", "bashrc", "profile"), "shell"),
    "toml": "toml",
    **dict.fromkeys(("yaml", "yml"), "yaml"),
}


async def show(
    request: PageRequest, place: Place, entry: Entry, context: dict[str, Any]
) -> HttpResponse:
    """Show a file: `?view=raw` its source, `?view=edit` an editor, `?part=preview` only itself.

    `?lines=all` draws as many lines as there may be.
    """
    if entry.kind not in ("file", "link"):
        raise Unprocessable("this is no file, but a device, a pipe or a socket")
    target = _target_of(entry)
    entry, head = await _read_start(place, entry.path)
    view = request.GET.get("view", "preview")
    wants_all = request.GET.get("lines") == "all"
    shown = await viewing.in_thread(
        entry.name,
        head,
        entry.size or 0,
        source=view != "preview",
        most_lines=viewing.MOST_LINES if wants_all else viewing.FIRST_LINES,
    )
    may_be_edited = shown.may_be_edited and not target
    edits = view == "edit" and request.member.may_work and may_be_edited
    folder = entry.path.rpartition("/")[0]
    context |= {
        "entry": entry,
        "shown": shown,
        "view": "edit" if edits else "raw" if view == "raw" else "preview",
        "raw_url": _raw_url(place, entry.path),
        "folder": f"{folder}/",
        "language": LANGUAGES.get(entry.name.lower().rpartition(".")[2], ""),
        # A link is not written to; what it leads to is.
        "target": target,
        "target_url": f"{url_of(place, target)}?view=edit" if target else "",
        "may_be_edited": may_be_edited,
        "refused_edit": view == "edit" and not edits,
    }
    if request.GET.get("part") == "preview":
        return await render(request, "disks/viewer.html#file", context)
    context |= await _around(place, entry)
    return await render(request, "disks/viewer.html", context)


def _target_of(entry: Entry) -> str:
    """Return the path that a link leads to; empty for what is no link."""
    if entry.kind != "link":
        return ""
    return posixpath.normpath(posixpath.join(entries.parent_of(entry.path), entry.target))


def _raw_url(place: Place, path: str) -> str:
    name = "disks:file_raw" if place.kind == "disk" else "disks:sandbox_file_raw"
    return reverse(name, args=[place.id, path.lstrip("/")])


async def _read_start(place: Place, path: str) -> tuple[Entry, bytes]:
    """Return a file and as much of its start as is shown."""
    entry, chunks = await place.read(path, 0, viewing.WHOLE_BYTES)
    wanted = viewing.bytes_to_read(entry.size or 0) or viewing.WHOLE_BYTES
    parts: list[bytes] = []
    got = 0
    async with aclosing(chunks) as stream:
        async for chunk in stream:
            parts.append(chunk)
            got += len(chunk)
            if got >= wanted:
                break
    return entry, b"".join(parts)[:wanted]


async def _around(place: Place, entry: Entry) -> dict[str, Any]:
    """Return the crumbs to a file, and the files before and after it in its folder."""
    folder = entry.path.rpartition("/")[0] or "/"
    around: dict[str, Any] = {
        "crumbs": crumbs_of(place, f"{folder.rstrip('/')}/"),
        "file_url": url_of(place, entry.path),
    }
    try:
        listing = await place.listing(folder, limit=1000)
    except Refused:
        # A folder may let one read what is in it, and not list it.
        return around
    files = [each for each in listing.entries if not each.is_folder]
    names = [each.name for each in files]
    if entry.name in names:
        here = names.index(entry.name)
        around["previous"] = url_of(place, files[here - 1].path) if here else ""
        around["next"] = url_of(place, files[here + 1].path) if here + 1 < len(files) else ""
    return around
