"""The one paginator: keyset pages over (created_at, id), with opaque cursors.

A cursor is base64url without padding of `<created_at in unix nanoseconds>|<uuid>` of the last
row of a page, as upstream makes it.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from django.db.models import Model, Q, QuerySet

from project.errors import Invalid

DEFAULT_LIMIT = 20
MAX_LIMIT = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(Protocol):
    id: uuid.UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Page[T]:
    """One page: its rows, and the cursor of the next one if there is one."""

    items: list[T]
    next_cursor: str | None

    @property
    def has_more(self) -> bool:
        return self.next_cursor is not None


def encode_cursor(created_at: datetime, row_id: uuid.UUID) -> str:
    nanoseconds = (created_at - EPOCH) // timedelta(microseconds=1) * 1000
    return base64.urlsafe_b64encode(f"{nanoseconds}|{row_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    """Return the position a cursor stands for. Raises Invalid for anything else."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        nanoseconds, _, row_id = (
            base64.b64decode(padded, b"-_", validate=True).decode().partition("|")
        )
        return EPOCH + timedelta(microseconds=int(nanoseconds) // 1000), uuid.UUID(row_id)
    except (binascii.Error, ValueError, OverflowError) as error:
        raise Invalid(
            "invalid cursor: pass the next_cursor of an earlier page", tag="invalid_cursor"
        ) from error


def page_of[M: Model](
    rows: QuerySet[M], *, limit: int = DEFAULT_LIMIT, cursor: str = "", newest_first: bool = False
) -> Page[M]:
    """Return one page of the rows, oldest first unless told otherwise. Reads the database."""
    if cursor:
        created_at, row_id = decode_cursor(cursor)
        beyond = "lt" if newest_first else "gt"
        rows = rows.filter(
            Q(**{f"created_at__{beyond}": created_at})
            | Q(**{"created_at": created_at, f"id__{beyond}": row_id})
        )
    order = ("-created_at", "-id") if newest_first else ("created_at", "id")
    found = list(rows.order_by(*order)[: limit + 1])
    items = found[:limit]
    if len(found) <= limit:
        return Page(items, None)
    last: Row = items[-1]  # type: ignore[assignment]
    return Page(items, encode_cursor(last.created_at, last.id))
