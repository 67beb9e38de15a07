"""What an API key may do. The only place that knows which endpoint needs which scope.

An endpoint belongs to the area its address begins with; GET and HEAD read, all else writes.
What reads one area and writes another is listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import cache

from project.envelope import API
from project.errors import Forbidden, Invalid

ROOT = f"{API.removeprefix('/')}v1/"


class Scope(StrEnum):
    """One thing a key may do. To write is also to read."""

    ALL = "all"
    SANDBOXES_READ = "sandboxes:read"
    SANDBOXES_WRITE = "sandboxes:write"
    DISKS_READ = "disks:read"
    DISKS_WRITE = "disks:write"
    PROJECT_READ = "project:read"
    PROJECT_WRITE = "project:write"


WORDS = {
    Scope.ALL: "Everything",
    Scope.SANDBOXES_READ: "Look at sandboxes, their files and commands",
    Scope.SANDBOXES_WRITE: "Make, use and end sandboxes",
    Scope.DISKS_READ: "Read disks",
    Scope.DISKS_WRITE: "Make and delete disks, write files on them",
    Scope.PROJECT_READ: "Read the project's users and configs",
    Scope.PROJECT_WRITE: "Change the project's users and configs",
}

AREAS = {"sandbox": "sandboxes", "disk": "disks", "user": "project", "project": "project"}
READING = frozenset({"GET", "HEAD"})
# Any good key may call these.
FREE = frozenset({("GET", "ping")})
ARTIFACT = "disk/<disk_id>/artifact"
OTHERS: dict[tuple[str, str], tuple[Scope, ...]] = {
    ("POST", f"{ARTIFACT}/download_to_sandbox"): (Scope.DISKS_READ, Scope.SANDBOXES_WRITE),
    ("POST", f"{ARTIFACT}/upload_from_sandbox"): (Scope.DISKS_WRITE, Scope.SANDBOXES_READ),
    # A user's disks go with the user.
    ("DELETE", "user/<path:identifier>"): (Scope.PROJECT_WRITE, Scope.DISKS_WRITE),
}


@cache
def needed(method: str, route: str) -> tuple[Scope, ...]:
    """Return the scopes an endpoint needs. One that is not classified needs `all`."""
    place = (method, route.removeprefix(ROOT))
    if place in FREE:
        return ()
    if place in OTHERS:
        return OTHERS[place]
    area = AREAS.get(place[1].partition("/")[0])
    if area is None:
        return (Scope.ALL,)
    return (Scope(f"{area}:{'read' if method in READING else 'write'}"),)


def allows(scopes: Iterable[str], wanted: Scope) -> bool:
    """Say whether scopes hold the one that is wanted."""
    return bool({Scope.ALL, wanted, wanted.replace(":read", ":write")} & set(scopes))


def require(scopes: list[str], method: str, route: str) -> None:
    """Raise Forbidden, with the scope that is missing, unless the scopes allow a call."""
    # Nearly every key, and on the way of every command.
    if Scope.ALL in scopes:
        return
    for wanted in needed(method, route):
        if not allows(scopes, wanted):
            raise Forbidden(
                f"this API key may not do this: it lacks the scope {wanted}",
                tag="scope_missing",
            )


def check(scopes: Iterable[str]) -> list[str]:
    """Return the scopes for a new key, in their usual order. Raises Invalid."""
    chosen = set(scopes)
    if not chosen:
        raise Invalid("choose at least one scope for the key", tag="no_scope")
    unknown = chosen - set(Scope)
    if unknown:
        raise Invalid(f"there is no scope {min(unknown)}", tag="unknown_scope")
    return [Scope.ALL] if Scope.ALL in chosen else [scope for scope in Scope if scope in chosen]
