"""Frames come out as they went in, whatever pieces they arrive in; anything else is refused.

The agent and the link cut streams with one and the same decoder.
"""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxes.guest import agent
from sandboxes.guest.agent import BrokenFrame, FrameDecoder, decode, encode, frame

FRAMES = st.lists(
    st.tuples(
        st.integers(agent.HELLO, agent.OUTPUT), st.integers(0, 2**32 - 1), st.binary(max_size=60)
    ),
    max_size=6,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def wire_of(frames):
    return b"".join(frame(*one) for one in frames)


@given(FRAMES)
@pytest.mark.slow
def test_frames_come_out_as_they_went_in(frames):
    assert FrameDecoder().feed(wire_of(frames)) == frames


@given(FRAMES, st.integers(1, 12))
def test_frames_come_out_whole_however_they_are_cut(frames, size):
    wire, decoder, found = wire_of(frames), FrameDecoder(), []

    for start in range(0, len(wire), size):
        found += decoder.feed(wire[start : start + size])

    assert found == frames


def test_two_pieces_make_the_same_frames_wherever_the_cut_is():
    frames = [(agent.DATA, 1, b"one"), (agent.END, 2**32 - 1, b""), (agent.OUTPUT, 3, b"three")]
    wire = wire_of(frames)

    for cut in range(len(wire) + 1):
        decoder = FrameDecoder()
        assert decoder.feed(wire[:cut]) + decoder.feed(wire[cut:]) == frames, cut


def test_frame_that_is_not_complete_waits():
    decoder, wire = FrameDecoder(), frame(agent.DATA, 1, b"hello")

    assert decoder.feed(wire[:-1]) == []
    assert decoder.feed(wire[-1:]) == [(agent.DATA, 1, b"hello")]


def test_what_was_fed_may_change_afterwards():
    decoder, wire = FrameDecoder(), bytearray(frame(agent.DATA, 1, b"hello"))

    found = decoder.feed(wire)
    wire[-5:] = b"other"

    assert found == [(agent.DATA, 1, b"hello")]


def test_largest_payload_passes():
    payload = bytes(agent.MAX_PAYLOAD)

    assert FrameDecoder().feed(frame(agent.DATA, 1, payload)) == [(agent.DATA, 1, payload)]


@pytest.mark.parametrize("length", [agent.MAX_PAYLOAD + 1, 2**32 - 1])
def test_larger_payload_is_refused_by_its_header_alone(length):
    with pytest.raises(BrokenFrame):
        FrameDecoder().feed(agent.HEADER.pack(length, agent.DATA, 1))


@pytest.mark.parametrize("kind", [0, agent.OUTPUT + 1, 255])
def test_unknown_type_is_refused(kind):
    with pytest.raises(BrokenFrame):
        FrameDecoder().feed(agent.HEADER.pack(0, kind, 1))


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 9, b"\0" * 9])
def test_garbage_is_refused(garbage):
    with pytest.raises(BrokenFrame):
        FrameDecoder().feed(garbage)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data):
    with suppress(BrokenFrame):
        FrameDecoder().feed(data)


def test_frame_that_comes_byte_by_byte_takes_no_more_memory_than_its_bytes():
    decoder, size = FrameDecoder(), 20_000
    decoder.feed(agent.HEADER.pack(size, agent.DATA, 1))
    tracemalloc.start()

    for _ in range(size - 1):
        decoder.feed(bytes(bytearray(1)))

    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 * size
    assert decoder.feed(b"\0") == [(agent.DATA, 1, bytes(size))]


# JSON


@given(st.dictionaries(st.text(), JSON, max_size=4))
@settings(max_examples=50)
def test_json_comes_out_as_it_went_in(value):
    assert decode(encode(value)) == value


def test_names_that_are_no_utf8_pass_through_json():
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")

    assert decode(encode({"name": name})) == {"name": name}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"a":' + b"[" * 200_000,
        b'{"a":"' + b"x" * agent.MAX_JSON + b'"}',
    ],
    ids=["nothing", "half", "list", "number", "text", "null", "no utf-8", "deep", "long"],
)
def test_what_is_no_object_of_json_is_refused(payload):
    with pytest.raises(BrokenFrame):
        decode(payload)
