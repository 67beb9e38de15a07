"""One side of the transfer page: which place it shows, which folder, and what is in it."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from urllib.parse import quote

from django.db.models import Q
from django.urls import reverse

from disks import jobs, places
from disks.entries import Listing, clean
from disks.models import Disk, Transfer
from disks.models import Place as PlaceKind
from disks.places.base import Place
from disks.views.entries import Row, row_of
from project import database
from project.errors import Invalid, NotFound, Refused
from project.models import Project
from project.pages import sentence
from sandboxes import usage
from sandboxes.access import end_of
from sandboxes.models import Sandbox, Status

SHOWN = 500
MOST_SHOWN = 10_000
MOST_CHOICES = 200
RECENT = 3
# In the same words for what is somebody else's.
GONE = "It was deleted, or is in a project you are not a member of."
RECENT_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """A place that a side can show."""

    kind: str
    id: uuid.UUID
    name: str
    start: str

    @property
    def spec(self) -> str:
        return f"{self.kind}:{self.id}:{self.start}"


@dataclass(slots=True)
class Side:
    """What one side shows. Without a place: a choice of places."""

    key: str
    place: Place | None = None
    path: str = "/"
    listing: Listing | None = None
    rows: list[Row] = field(default_factory=list)
    # Why the folder cannot be shown.
    trouble: str = ""
    ended: Sandbox | None = None
    # Names that a transfer is putting here right now.
    arriving: frozenset[str] = frozenset()
    free: tuple[int, int] | None = None
    count: int = SHOWN

    @property
    def spec(self) -> str:
        return spec_of(self.place, self.path) if self.place else ""

    @property
    def icon(self) -> str:
        return "box" if self.place and self.place.kind == PlaceKind.SANDBOX else "disk"

    @property
    def stamp(self) -> str:
        """What is another when the side looks different."""
        seen = [self.trouble, sorted(self.arriving), [(row.key, row.state) for row in self.rows]]
        return hashlib.blake2s(repr(seen).encode(), digest_size=8).hexdigest()

    @property
    def crumbs(self) -> list[tuple[str, str]]:
        """The folders from the top to this one: name and spec."""
        assert self.place is not None
        steps = [("/", spec_of(self.place, "/"))]
        path = ""
        for name in self.path.strip("/").split("/"):
            if name:
                path += f"/{name}"
                steps.append((name, spec_of(self.place, path)))
        return steps

    @property
    def parent(self) -> str:
        return self.crumbs[-2][1] if self.path != "/" else ""

    @property
    def next_count(self) -> int:
        return min(self.count * 4, MOST_SHOWN)


def spec_of(place: Place | Choice, path: str) -> str:
    return f"{place.kind}:{place.id}:{path}"


def parse(spec: str) -> tuple[str, uuid.UUID, str]:
    """Return the kind, id and path of `disk:<id>:/a`. Raises Invalid."""
    kind, _, rest = spec.partition(":")
    text, _, path = rest.partition(":")
    try:
        place_id = uuid.UUID(text)
    except ValueError:
        raise Invalid("a side is such as disk:<id>:/folder") from None
    if kind not in PlaceKind.values:
        raise Invalid("a side is a disk or a sandbox")
    return kind, place_id, clean(path or "/")


def address_of(left: str, right: str) -> str:
    """Return the address of the page with these two sides."""
    return (
        f"{reverse('disks:transfer')}?left={quote(left, safe=':/')}&right={quote(right, safe=':/')}"
    )


async def look(key: str, spec: str, count: int) -> Side:
    """Return a side with what is in its folder, or with the reason why that cannot be seen.

    Raises NotFound if there is no such place, and Invalid.
    """
    kind, place_id, path = parse(spec)
    side = Side(key, await places.find(kind, place_id), path, count=count)
    assert side.place is not None
    if kind == PlaceKind.SANDBOX:
        sandbox = await database.read(Sandbox.objects.get, pk=place_id)
        if sandbox.status != Status.RUNNING:
            side.ended = sandbox
            side.trouble = _why_away(sandbox)
            return side
    await _list(side, side.place)
    return side


def _why_away(sandbox: Sandbox) -> str:
    if sandbox.status == Status.PAUSED:
        return "The sandbox is paused. Resume it to see its files."
    if sandbox.status == Status.CREATING:
        return "The sandbox is still starting."
    return sentence(f"the sandbox has ended: {end_of(sandbox)}")


async def _list(side: Side, place: Place) -> None:
    try:
        listing = await place.listing(side.path, limit=side.count)
        if place.kind == PlaceKind.SANDBOX:
            used = await usage.now(await database.read(Sandbox.objects.get, pk=place.id))
            limit = used.workspace_limit_bytes
            side.free = (max(0, limit - used.workspace_bytes), limit) if limit else None
    except NotFound:
        side.trouble = "There is no such folder any more."
        return
    except Refused as refusal:
        side.trouble = sentence(refusal.message)
        return
    side.listing = listing
    side.rows = [row_of(place, entry) for entry in listing.entries]
    side.arriving = await database.read(_arriving, place, side.path)


def _arriving(place: Place, path: str) -> frozenset[str]:
    running = Transfer.objects.filter(
        project_id=place.project_id,
        status=jobs.Status.RUNNING,
        target_id=place.id,
        target_folder=path,
    )
    return frozenset(name for names in running.values_list("names", flat=True) for name in names)


def choices(project: Project) -> list[Choice]:
    """Return the places of a project that can be shown: its disks, and sandboxes that run."""
    disks = Disk.objects.filter(project=project).order_by("name", "created_at")
    running = Sandbox.objects.filter(Q(project=project) & Q(status=Status.RUNNING))
    return [
        *(
            Choice(PlaceKind.DISK, disk.pk, disk.name or str(disk.pk)[:8], "/")
            for disk in disks[:MOST_CHOICES]
        ),
        *(
            Choice(PlaceKind.SANDBOX, sandbox.pk, str(sandbox), "/workspace")
            for sandbox in running.order_by("-created_at")[:MOST_CHOICES]
        ),
    ]


def first_pair(found: list[Choice]) -> tuple[str, str]:
    """Return what the two sides show at first: a disk, and the newest sandbox."""
    disks = [choice.spec for choice in found if choice.kind == PlaceKind.DISK]
    sandboxes = [choice.spec for choice in found if choice.kind == PlaceKind.SANDBOX]
    left, right = disks[:1] or sandboxes[1:2], sandboxes[:1] or disks[1:2]
    return (left or [""])[0], (right or [""])[0]


@dataclass(frozen=True, slots=True)
class Target:
    """A folder that something was copied to."""

    kind: str
    id: uuid.UUID
    name: str
    folder: str


def recent_targets(project: Project, among: list[Choice]) -> list[Target]:
    """Return where the last transfers went, each once. Reads the database."""
    names = {(choice.kind, choice.id): choice.name for choice in among}
    last = Transfer.objects.filter(project=project).order_by("-created_at", "id")
    rows = last.values_list("target", "target_id", "target_folder")[:RECENT_LOOKED_AT]
    found = {
        Target(kind, place_id, names[kind, place_id], folder): None
        for kind, place_id, folder in rows
        if (kind, place_id) in names
    }
    return list(found)[:RECENT]
