"""Reads the log of activity: filtered, a page at a time, and whole as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict

from disks.models import Disk
from project import request_id, words
from project.database import read
from project.errors import Invalid
from project.ids import is_id
from project.models import Activity
from project.policy import Member
from sandboxes.models import Sandbox

# What an address may say of a filter.
NAMES = ("actor", "verb", "object", "outcome", "door", "from", "to")
FIRST_YEAR, LAST_YEAR = 1900, 9000
LONGEST_ZONE = 60
PAGE_ROWS = 100
CSV_ROWS = 1_000
COLUMNS = (
    "at", "actor", "door", "verb", "object_id", "object_name", "outcome", "address",
    "request_id", "detail",
)  # fmt: skip
# A spreadsheet takes a text that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

WORDS = {
    "account.end_session": "ended a session",
    "account.password": "changed the password",
    "account.sign_in": "signed in",
    "account.sign_out": "signed out",
    "blob.sweep": "swept the file store",
    "box.remove": "removed box",
    "command.kill": "killed a command in",
    "command.run": "ran a command in",
    "disk.change": "changed disk",
    "disk.create": "made disk",
    "disk.delete": "deleted disk",
    "file.copy": "copied",
    "file.create": "made file",
    "file.delete": "deleted",
    "file.describe": "described",
    "file.move": "moved",
    "file.purge": "deleted for ever",
    "file.restore": "restored",
    "file.save": "saved",
    "file.upload": "uploaded",
    "folder.create": "made folder",
    "key.create": "made API key",
    "key.revoke": "revoked API key",
    "member.add": "added",
    "member.leave": "left the project as",
    "member.remove": "removed",
    "member.role": "changed the role of",
    "member.try": "tried to change",
    "project.create": "made project",
    "project.delete": "deleted project",
    "project.rename": "renamed project to",
    "sandbox.change": "changed sandbox",
    "sandbox.create": "made sandbox",
    "sandbox.end": "ended sandbox",
    "sandbox.expire": "ended sandbox",
    "sandbox.extend": "extended sandbox",
    "sandbox.kill": "stopped sandbox",
    "sandbox.pause": "paused sandbox",
    "sandbox.resume": "resumed sandbox",
    "sandbox.show_environment": "looked at the environment of",
    "server.examine": "asked the doctor",
    "terminal.close": "closed a terminal in",
    "terminal.open": "opened a terminal in",
    "terminal.rename": "renamed a terminal in",
    "transfer.cancel": "cancelled transfer",
    "transfer.clear": "cleared the list of transfers",
    "transfer.finish": "finished transfer",
    "transfer.start": "began transfer",
}
AREAS = {
    "sandbox": "Sandboxes",
    "terminal": "Terminals",
    "command": "Commands",
    "file": "Files",
    "folder": "Folders",
    "disk": "Disks",
    "transfer": "Transfers",
    "key": "API keys",
    "member": "Members",
    "project": "Projects",
    "account": "Accounts",
    "box": "Boxes",
    "blob": "File store",
    "server": "Server",
}
DOORS = {"browser": "Browser", "api": "API", "admin": "Admin panel", "sandbank": "Sandbank"}


# What still has a page of its own, by the first word of the verb.
PAGES = {
    "sandbox": "/sandboxes/{}/",
    "terminal": "/sandboxes/{}/terminal/",
    "command": "/sandboxes/{}/commands/",
    "disk": "/disks/{}/files/",
    "transfer": "/transfer/{}/",
}
# What is told of a place, which may be a disk or a sandbox.
OF_PLACES = ("file", "folder")


@dataclass(frozen=True, slots=True)
class Shown:
    """A line as a page shows it."""

    line: Activity
    # Where the place of a line about files is looked at; "": nowhere any more.
    place: str = ""

    @property
    def words(self) -> str:
        return WORDS.get(self.line.verb, self.line.verb.replace(".", " "))

    @property
    def door(self) -> str:
        return DOORS.get(self.line.door, self.line.door)

    @property
    def name(self) -> str:
        """Name the object; one without a name by the beginning of its id."""
        name = words.seen(self.line.object_name or self.line.object_id)
        return name[:8] if is_id(name) else name

    @property
    def url(self) -> str:
        area, _, what = self.line.verb.partition(".")
        if area in OF_PLACES:
            return self.place
        if what == "delete" or area not in PAGES or not is_id(self.line.object_id):
            return ""
        return PAGES[area].format(self.line.object_id)


def shown(lines: Iterable[Activity]) -> list[Shown]:
    """Return lines as a page shows them. Reads the database, twice where one is about files."""
    lines = list(lines)
    told = (line for line in lines if line.verb.partition(".")[0] in OF_PLACES)
    ids = {line.object_id for line in told if is_id(line.object_id)}
    places = {}
    if ids:
        for found, address in (
            (Sandbox.objects.filter(pk__in=ids), "/sandboxes/{}/files/"),
            (Disk.objects.filter(pk__in=ids), "/disks/{}/files/"),
        ):
            for pk in found.values_list("pk", flat=True):
                places[str(pk)] = address.format(pk)
    return [Shown(line, places.get(line.object_id, "")) for line in lines]


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the log is wanted, as the address of the page says it."""

    actor: str = ""
    verb: str = ""
    object: str = ""
    outcome: str = ""
    door: str = ""
    since: str = ""
    until: str = ""

    @property
    def is_set(self) -> bool:
        return self != Filter()

    @property
    def count(self) -> int:
        """Return how many of its parts are set."""
        return sum(1 for _, value in self.pairs() if value)

    def query(self) -> str:
        """Return the query of an address that says the same."""
        query = QueryDict(mutable=True)
        query.update({name: value for name, value in self.pairs() if value})
        return query.urlencode()

    def pairs(self) -> tuple[tuple[str, str], ...]:
        return (
            ("actor", self.actor), ("verb", self.verb), ("object", self.object),
            ("outcome", self.outcome), ("door", self.door), ("from", self.since),
            ("to", self.until),
        )  # fmt: skip


def filter_of(query: QueryDict) -> Filter:
    """Read a filter from an address. What is no day counts for nothing: see `ignored`."""
    said = {name: query.get(name, "").replace("\x00", "").strip() for name in NAMES}
    return Filter(
        actor=said["actor"],
        verb=said["verb"],
        object=said["object"],
        outcome=said["outcome"],
        door=said["door"],
        since=said["from"] if _day(said["from"]) else "",
        until=said["to"] if _day(said["to"]) else "",
    )


def ignored(query: QueryDict) -> list[str]:
    """Return what an address says instead of a day."""
    said = [query.get(name, "").strip() for name in ("from", "to")]
    return [text for text in said if text and _day(text) is None]


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # Every zone has a midnight then.
    return day if FIRST_YEAR <= day.year <= LAST_YEAR else None


def zone_of(request: HttpRequest) -> tzinfo:
    """Return the time zone that a browser said it is in; before that, UTC."""
    name = request.COOKIES.get("zone", "")
    try:
        return ZoneInfo(name[:LONGEST_ZONE]) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def lines_of(member: Member, wanted: Filter, zone: tzinfo = UTC) -> QuerySet[Activity]:
    """Return the lines a person may see and wants to, newest first. Days are those of a zone.

    Beside those of the project: what concerns no project, such as sign-ins, one's own or, for
    an administrator, all.
    """
    beside = Q(project=None)
    if not member.user.is_superuser:
        beside &= Q(actor=member.name)
    rows = Activity.objects.filter(Q(project=member.project) | beside)
    if wanted.actor:
        rows = rows.filter(actor__iexact=wanted.actor)
    if wanted.verb:
        is_area = "." not in wanted.verb
        rows = rows.filter(
            **({"verb__startswith": f"{wanted.verb}."} if is_area else {"verb": wanted.verb})
        )
    if wanted.object:
        rows = rows.filter(Q(object_id=wanted.object) | Q(object_name__icontains=wanted.object))
    if wanted.outcome:
        rows = rows.filter(outcome=wanted.outcome)
    if wanted.door:
        rows = rows.filter(door=wanted.door)
    return _between(rows, wanted, zone).order_by("-at", "-id")


def _between(rows: QuerySet[Activity], wanted: Filter, zone: tzinfo) -> QuerySet[Activity]:
    first, last = _day(wanted.since), _day(wanted.until)
    if first:
        rows = rows.filter(at__gte=datetime.combine(first, time.min, zone))
    if last:
        rows = rows.filter(at__lt=datetime.combine(last + timedelta(days=1), time.min, zone))
    return rows


@dataclass(frozen=True, slots=True)
class Part:
    """One page of lines, and the cursor of what comes after it."""

    lines: list[Activity]
    older: str


def part_of(rows: QuerySet[Activity], cursor: str, size: int = PAGE_ROWS) -> Part:
    """Return the lines after a cursor. Reads the database. Raises Invalid."""
    if cursor:
        at, line_id = _position(cursor)
        rows = rows.filter(Q(at__lt=at) | Q(at=at, id__lt=line_id))
    lines = list(rows[: size + 1])
    if len(lines) <= size:
        return Part(lines, "")
    last = lines[size - 1]
    return Part(lines[:size], f"{last.at.isoformat()}_{last.pk}")


def _position(cursor: str) -> tuple[datetime, int]:
    at, _, line_id = cursor.rpartition("_")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC), int(line_id)
    except (ValueError, OverflowError):
        raise Invalid("this address of a page is not one; go back to the newest") from None


async def csv_of(rows: QuerySet[Activity]) -> AsyncIterator[bytes]:
    """Write lines as CSV, piece by piece."""
    yield _csv([COLUMNS])
    cursor = ""
    while True:
        part = await read(part_of, rows, cursor, CSV_ROWS)
        if part.lines:
            yield _csv([_row(line) for line in part.lines])
        cursor = part.older
        if not cursor:
            return


def _row(line: Activity) -> list[str]:
    values = (getattr(line, name) for name in COLUMNS[1:])
    # What no request did has a dash for one.
    told = ("" if value in (None, request_id.NONE) else str(value) for value in values)
    return [line.at.isoformat(), *map(_harmless, told)]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
