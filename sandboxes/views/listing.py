"""The list of a project's sandboxes, and the part of it that keeps itself true."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

from project import database, words
from project.models import Project
from project.pages import PageRequest, page, render
from sandboxes import images, listing
from sandboxes.listing import SORTS, SPANS, STATES, Listing, Wish
from sandboxes.views.shared import EXTENSIONS

COLUMNS = (
    ("name", "Name", "c-name"),
    ("state", "State", "c-state"),
    ("image", "Image", "c-image"),
    ("cpu", "CPU, 60 s", "c-cpu"),
    ("memory", "Memory", "c-mem"),
    ("started", "Started", "c-start"),
    ("left", "Time left", "c-left"),
    ("", "Last command", "c-last"),
    ("owner", "Owner", "c-owner"),
)
# Of these the largest or newest comes first.
FALLING = ("cpu", "memory", "started")


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; its link sorts by it, or the other way round."""

    title: str
    css_class: str
    address: str
    order: str


@dataclass(frozen=True, slots=True)
class Filter:
    """One chip: what it is set to, and what else it may be."""

    name: str
    title: str
    value: str
    chosen: str
    without: str
    options: list[tuple[str, str, bool]]


@page()
async def sandboxes(request: PageRequest) -> HttpResponse:
    """Show the list; with `part` what is alive of it: the rows, or `all`, the filters too.

    With `held` the rows are those that are shown now.
    """
    wish = Wish.of(request.GET.dict())
    held = _ids(request.GET.get("held", ""))
    part = request.GET.get("part")
    context = await database.read(
        _context, request.member.project, wish, held, with_filters=part in (None, "all")
    )
    template = "sandboxes/list.html" if part is None else "sandboxes/list.html#part"
    return await render(request, template, context)


def _ids(text: str) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(part) for part in text.split(",")[: listing.MOST_HELD]] if text else []
    except ValueError:
        return []


def _context(
    project: Project, wish: Wish, held: list[uuid.UUID], *, with_filters: bool
) -> dict[str, Any]:
    found = listing.of(project, wish, held)
    return {
        "wish": wish,
        "found": found,
        "columns": [_column(wish, *column) for column in COLUMNS],
        "filters": _filters(project, wish) if with_filters and found.total else [],
        "pages": _pages(wish, found),
        "extensions": EXTENSIONS,
    }


def _column(wish: Wish, name: str, title: str, css_class: str) -> Column:
    if name not in SORTS:
        return Column(title, css_class, "", "")
    here = wish.sort.removeprefix("-") == name
    falls = wish.sort.startswith("-")
    turned = name if falls else f"-{name}"
    first = f"-{name}" if name in FALLING else name
    address = wish.but(sort=turned if here else first).address
    order = ("descending" if falls else "ascending") if here else "none"
    return Column(title, css_class, address, order)


def _filters(project: Project, wish: Wish) -> list[Filter]:
    offered = listing.choices(project)
    states = {name: word for name, (word, _) in STATES.items()}
    spans = {name: word for name, (word, _) in SPANS.items()}
    names = {name: images.short_name(name) for name in offered.images}
    owners = {name: words.person(name) for name in offered.owners}
    return [
        _filter(wish, "started", "Started", spans),
        _filter(wish, "state", "State", states),
        _filter(wish, "image", "Image", names),
        _filter(wish, "owner", "Owner", owners),
    ]


def _filter(wish: Wish, name: str, title: str, offered: dict[str, str]) -> Filter:
    value = getattr(wish, name)
    options = [
        (word, wish.but(**{name: choice}).address, choice == value)
        for choice, word in offered.items()
    ]
    without = wish.but(**{name: ""}).address
    return Filter(name, title, value, offered.get(value, value), without, options)


def _pages(wish: Wish, found: Listing) -> dict[str, str]:
    """Return the addresses of the pages before and behind, where there are any."""
    return {
        "before": wish.but(page=found.page - 1).address if found.page > 1 else "",
        "behind": wish.but(page=found.page + 1).address if found.page < found.pages else "",
    }
