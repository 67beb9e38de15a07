"""What the history keeps of output."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.history import StreamKeeper


@pytest.fixture
def keeper(settings: Any) -> StreamKeeper:
    settings.COMMAND_KEPT_OUTPUT_BYTES = 10
    return StreamKeeper()


def test_short_output_is_kept_whole(keeper: StreamKeeper) -> None:
    keeper.add(b"hello ")
    keeper.add(b"world")
    assert keeper.kept().text == "hello world"


def test_long_output_keeps_its_start_and_its_end(keeper: StreamKeeper) -> None:
    for n in range(100):
        keeper.add(b"%02d" % n)
    kept = keeper.kept()
    assert kept.text == "0001020304\n[180 bytes left out]\n9596979899"
    assert kept.size == 200


def test_output_that_was_never_seen_is_counted(keeper: StreamKeeper) -> None:
    keeper.add(b"seen")
    kept = keeper.kept(1000)
    assert kept.text == "seen\n[996 bytes left out]\n"
    assert kept.size == 1000


def test_what_is_no_text_becomes_text(keeper: StreamKeeper) -> None:
    keeper.add(b"a\xff\x00b")
    assert keeper.kept().text == "a\ufffd\ufffdb"


@given(st.lists(st.binary(max_size=50), max_size=30))
def test_the_keeper_is_small_whatever_comes(pieces: list[bytes]) -> None:
    keeper = StreamKeeper()
    keeper._bound = 10
    for piece in pieces:
        keeper.add(piece)
        assert len(keeper._head) <= 10
        assert len(keeper._tail) <= 20
    everything = b"".join(pieces)
    assert keeper.size == len(everything)
    if len(everything) <= 20:
        assert keeper.kept().text == everything.decode(errors="replace").replace("\x00", "\ufffd")
