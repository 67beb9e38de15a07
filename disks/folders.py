"""The names of the folders in a folder. Plain functions that read the database.

A folder is there by the rows below it. So its name is found by a jump in the index from one
folder to the first path behind it, and costs the same whether one file is in it or a million.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

from django.db import connection
from django.db.models import Q

from disks.models import Artifact, Disk

# How many folders are looked into with one statement.
BATCH = 200

# Each step goes from the first path in a folder to the first one behind that folder: behind all
# that starts with it and a slash, for 0 is the character behind the slash.
JUMPS = """
WITH RECURSIVE step (parent, path) AS (
    SELECT column1, (
        SELECT path FROM disks_artifact
        WHERE disk_id = %s AND path > column1 AND path < column2
        ORDER BY path LIMIT 1
    ) FROM (VALUES {parents}) AS parents
    UNION ALL
    SELECT parent, (
        SELECT path FROM disks_artifact
        WHERE disk_id = %s
        AND path >= substr(
            step.path, 1,
            length(step.parent)
            + {position} - 1
        ) || '0'
        AND path < substr(step.parent, 1, length(step.parent) - 1) || '0'
        ORDER BY path LIMIT 1
    ) FROM step WHERE path IS NOT NULL
)
SELECT parent, path FROM step WHERE path IS NOT NULL
"""
POSITIONS = {
    "sqlite": "instr(substr(step.path, length(step.parent) + 1), '/')",
    "postgresql": "strpos(substr(step.path, length(step.parent) + 1), '/')",
}


def below(folder: str) -> Q:
    """Match what is in a folder and in the folders in it."""
    return Q() if folder == "/" else Q(path__gte=folder, path__lt=_behind(folder))


def _behind(folder: str) -> str:
    return f"{folder[:-1]}0"


def names_in(disk_id: uuid.UUID, parents: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the folders directly in some folders, sorted."""
    names: dict[str, list[str]] = defaultdict(list)
    for batch in batched(parents, BATCH):
        for parent, path in _jumps(disk_id, batch):
            names[parent].append(path[len(parent) :].partition("/")[0])
    for found in names.values():
        found.sort()
    return names


def _jumps(disk_id: uuid.UUID, parents: Sequence[str]) -> Iterator[tuple[str, str]]:
    key = Disk._meta.pk.get_db_prep_value(disk_id, connection)
    bounds = [text for parent in parents for text in (parent, _behind(parent))]
    statement = JUMPS.format(
        parents=", ".join(["(%s, %s)"] * len(parents)), position=POSITIONS[connection.vendor]
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [key, *bounds, key])
        yield from cursor.fetchall()


def exists(disk_id: uuid.UUID, folder: str) -> bool:
    return folder == "/" or Artifact.objects.filter(below(folder), disk_id=disk_id).exists()
