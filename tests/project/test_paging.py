"""Cursors and pages."""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from project.errors import Invalid
from project.models import EndUser, Project
from project.paging import decode_cursor, encode_cursor, page_of

moments = st.datetimes(
    # Hypothesis wants the bounds without a time zone.
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(moments, st.uuids())
def test_a_cursor_comes_back_as_it_was_made(moment: datetime, row_id: uuid.UUID) -> None:
    assert decode_cursor(encode_cursor(moment, row_id)) == (moment, row_id)


@given(st.text(max_size=80))
def test_a_tampered_cursor_is_refused_and_nothing_else(text: str) -> None:
    with contextlib.suppress(Invalid):
        decode_cursor(text)


def make_users(project: Project, count: int) -> list[EndUser]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    # Two of them share a moment: the id decides.
    return [
        EndUser.objects.create(
            project=project, identifier=str(n), created_at=now + timedelta(seconds=n // 2)
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_hold_every_row_once_in_order(project: Project, newest_first: bool) -> None:
    rows = sorted(make_users(project, 7), key=lambda u: (u.created_at, u.id), reverse=newest_first)
    seen, cursor = [], ""
    while True:
        page = page_of(EndUser.objects.all(), limit=2, cursor=cursor, newest_first=newest_first)
        seen += page.items
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert [row.pk for row in seen] == [row.pk for row in rows]


def test_a_full_last_page_has_no_next(project: Project) -> None:
    make_users(project, 2)
    assert not page_of(EndUser.objects.all(), limit=2).has_more
