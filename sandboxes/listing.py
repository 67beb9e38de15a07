"""The list of a project's sandboxes: what is asked of it, and one page of what is there.

A page costs a fixed number of queries, whatever the number of sandboxes.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Left
from django.utils import timezone

from project.ids import name_or_id
from project.models import Project
from sandboxes.models import ALIVE, Command, Reason, Sandbox, Status, UsageSample
from sandboxes.options import LABEL
from sandboxes.rows import FRESH, SPARK, Row, Use

PER_PAGE = 50
# A page may ask for the rows it shows, in the order it shows them in.
MOST_HELD = PER_PAGE
MOST_CHOICES = 30
MOST_WORDS = 200
# Of a command's text so much is shown, and of its row this.
LINE = 200
TOLD = ("sandbox_id", "status", "exit_code", "detail", "out_of_memory", "truncated")

EXPIRED = Q(status=Status.KILLED, reason=Reason.EXPIRED)
# How each state that is shown is kept; see Sandbox.state.
STATES: dict[str, tuple[str, Q]] = {
    "alive": ("Alive", Q(status__in=ALIVE)),
    "running": ("Running", Q(status=Status.RUNNING)),
    "starting": ("Starting", Q(status=Status.CREATING)),
    "paused": ("Paused", Q(status=Status.PAUSED)),
    "stopping": ("Stopping", Q(status=Status.STOPPING)),
    "stopped": ("Stopped", Q(status=Status.KILLED) & ~Q(reason=Reason.EXPIRED)),
    "expired": ("Expired", EXPIRED),
    "failed": ("Failed", Q(status=Status.ERROR)),
}
SPANS: dict[str, tuple[str, timedelta]] = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 h", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
}
# What each column sorts by. The first of a name's order is ascending but for times and numbers.
SORTS: dict[str, str] = {
    "name": "name",
    "state": "status",
    "image": "image",
    "cpu": "cpu",
    "memory": "memory",
    "started": "created_at",
    "left": "expires_at",
    "owner": "created_by",
}
DEFAULT_SORT = "-started"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks of the list, as it stands in the address. Nonsense counts for nothing."""

    q: str = ""
    state: str = ""
    image: str = ""
    owner: str = ""
    started: str = ""
    sort: str = DEFAULT_SORT
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wish:
        sort = query.get("sort", "")
        page = query.get("page", "")
        return cls(
            q=query.get("q", "").strip().replace("\x00", "")[:MOST_WORDS],
            state=_one_of(STATES, query.get("state", "")),
            image=query.get("image", "").replace("\x00", "")[:300],
            owner=query.get("owner", "").replace("\x00", "")[:200],
            started=_one_of(SPANS, query.get("started", "")),
            sort=sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT,
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 8 else 1,
        )

    @property
    def filters(self) -> bool:
        """Does it ask for less than all?"""
        return bool(self.q or self.state or self.image or self.owner or self.started)

    @property
    def address(self) -> str:
        """Return the query of its address, with a `?` in front; nothing for the plain list."""
        parts = {name: getattr(self, name) for name in NAMES}
        plain = Wish()
        told = {name: value for name, value in parts.items() if value != getattr(plain, name)}
        return f"?{urlencode(told)}" if told else "?"

    def but(self, **changes: Any) -> Wish:
        """Return it changed, from the first page on."""
        return replace(self, **{"page": 1, **changes})


NAMES = tuple(part.name for part in fields(Wish))


def _one_of(known: Mapping[str, object], value: str) -> str:
    return value if value in known else ""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list."""

    rows: list[Row]
    results: int
    total: int
    page: int
    pages: int

    @property
    def first(self) -> int:
        return (self.page - 1) * PER_PAGE + 1 if self.rows else 0

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1 if self.rows else 0


def of(project: Project, wish: Wish, held: Sequence[uuid.UUID] = ()) -> Listing:
    """Return the page that is wished for, the last one if there are fewer. Reads the database.

    With `held` its rows are those of the sandboxes named, in that order, as far as they exist:
    what somebody points at does not move.
    """
    everything = Sandbox.objects.filter(project=project)
    total = everything.count()
    found = matching(everything, wish) if wish.filters else everything
    results = found.count() if wish.filters else total
    pages = max(1, -(-results // PER_PAGE))
    page = min(max(1, wish.page), pages)
    if held:
        by_id = everything.defer("environment").in_bulk(held[:MOST_HELD])
        sandboxes = [by_id[id_] for id_ in held[:MOST_HELD] if id_ in by_id]
    else:
        start = (page - 1) * PER_PAGE
        sandboxes = list(_sorted(found, wish.sort)[start : start + PER_PAGE])
    return Listing(with_use(sandboxes), results, total, page, pages)


def matching(sandboxes: QuerySet[Sandbox], wish: Wish) -> QuerySet[Sandbox]:
    """Leave the sandboxes that a wish is about."""
    if wish.q:
        sandboxes = _searched(sandboxes, wish.q)
    if wish.state:
        sandboxes = sandboxes.filter(STATES[wish.state][1])
    if wish.image:
        sandboxes = sandboxes.filter(image=wish.image)
    if wish.owner:
        sandboxes = sandboxes.filter(created_by=wish.owner)
    if wish.started:
        sandboxes = sandboxes.filter(created_at__gte=timezone.now() - SPANS[wish.started][1])
    return sandboxes


def _searched(sandboxes: QuerySet[Sandbox], words: str) -> QuerySet[Sandbox]:
    """Look for a label, `name=value`, or else for a part of a name or the start of an id."""
    name, is_label, value = words.partition("=")
    if is_label and LABEL.fullmatch(name.strip()):
        labelled = sandboxes.alias(label=KeyTransform(name.strip(), "labels"))
        return labelled.filter(label=value.strip())
    return sandboxes.filter(name_or_id(words))


def _sorted(sandboxes: QuerySet[Sandbox], sort: str) -> QuerySet[Sandbox]:
    column = SORTS[sort.removeprefix("-")]
    falls = sort.startswith("-")
    if column in ("cpu", "memory"):
        sandboxes = _with_newest_sample(sandboxes, column)
    if column == "created_at":
        order = ("-created_at", "-id") if falls else ("created_at", "id")
        return sandboxes.order_by(*order).defer("environment")
    key = F(column)
    first = key.desc(nulls_last=True) if falls else key.asc(nulls_last=True)
    return sandboxes.order_by(first, "-created_at", "-id").defer("environment")


def _with_newest_sample(sandboxes: QuerySet[Sandbox], column: str) -> QuerySet[Sandbox]:
    """Add `cpu` or `memory` as they are now; nothing where no sample is fresh."""
    fields = {"cpu": "cpu_percent", "memory": "memory_bytes"}
    newest = _fresh_samples().values(fields[column])[:1]
    return sandboxes.annotate(**{column: Subquery(newest)})


def _fresh_samples() -> QuerySet[UsageSample]:
    """Return the samples of an outer query's sandbox that tell of now, the newest first."""
    since = timezone.now() - FRESH
    return UsageSample.objects.filter(sandbox=OuterRef("pk"), at__gte=since).order_by("-at")


def with_use(sandboxes: Sequence[Sandbox]) -> list[Row]:
    """Add what each sandbox uses, and its last command. Reads the database, twice."""
    ids = [sandbox.id for sandbox in sandboxes]
    uses, commands = recent_use(ids), last_commands(ids)
    return [Row(sandbox, uses[sandbox.id], commands.get(sandbox.id)) for sandbox in sandboxes]


def recent_use(ids: Iterable[uuid.UUID]) -> defaultdict[uuid.UUID, Use]:
    """Return what sandboxes used in the last minute."""
    now = timezone.now()
    uses: defaultdict[uuid.UUID, Use] = defaultdict(Use)
    samples = UsageSample.objects.filter(sandbox__in=list(ids), at__gte=now - SPARK).order_by("at")
    for sandbox_id, at, cpu, memory in samples.values_list(
        "sandbox_id", "at", "cpu_percent", "memory_bytes"
    ):
        use = uses[sandbox_id]
        use.shares.append(((now - at).total_seconds(), cpu))
        if now - at < FRESH:
            use.cpu_percent, use.memory_bytes = cpu, memory
    return uses


def use_now(sandboxes: QuerySet[Sandbox]) -> Use:
    """Return what sandboxes use together now: the sum of their newest samples, if fresh."""
    newest = _fresh_samples().values("pk")[:1]
    wanted = sandboxes.order_by().values(newest=Subquery(newest))
    use = UsageSample.objects.filter(pk__in=wanted).aggregate(
        cpu=Sum("cpu_percent"), memory=Sum("memory_bytes")
    )
    return Use(cpu_percent=use["cpu"] or 0.0, memory_bytes=use["memory"] or 0)


def last_commands(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Command]:
    """Return the newest command of each of these sandboxes, its text as `line`."""
    newest = Command.objects.filter(sandbox=OuterRef("pk")).order_by("-created_at", "-id")
    wanted = Sandbox.objects.filter(pk__in=ids).values(last=Subquery(newest.values("pk")[:1]))
    commands = Command.objects.filter(pk__in=wanted).only(*TOLD)
    return {
        command.sandbox_id: command for command in commands.annotate(line=Left("command", LINE))
    }


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters of a project offer."""

    images: list[str]
    owners: list[str]


def choices(project: Project) -> Choices:
    """Return the images and owners of a project's sandboxes, the most used first."""
    images: defaultdict[str, int] = defaultdict(int)
    owners: defaultdict[str, int] = defaultdict(int)
    groups = (
        Sandbox.objects.filter(project=project)
        .order_by()
        .values_list("image", "created_by")
        .annotate(count=Count("pk"))
    )
    for image, owner, count in groups:
        images[image] += count
        owners[owner] += count
    owners.pop("", None)
    return Choices(_most(images), _most(owners))


def _most(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))[:MOST_CHOICES]
