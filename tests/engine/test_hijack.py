"""Docker's framing is taken off whatever pieces it arrives in."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.engine.base import EngineError, EngineUnavailable
from sandboxes.engine.endpoint import Endpoint
from sandboxes.engine.hijack import (
    FRAME_HEADER,
    PAUSE_READING_ABOVE,
    RECEIVE_BYTES,
    Demultiplexer,
    UpgradeRefused,
    open_exec,
)

FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8)
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(stream: int, payload: bytes) -> bytes:
    return FRAME_HEADER.pack(stream, len(payload)) + payload


@given(FRAMES, st.integers(1, 20))
def test_payload_is_the_same_however_it_is_cut(frames, size):
    wire = b"".join(frame(*one) for one in frames)
    demultiplexer, found = Demultiplexer(), {1: b"", 2: b""}

    for start in range(0, len(wire), size):
        for stream, piece in demultiplexer.feed(memoryview(wire)[start : start + size]):
            found[stream] += bytes(piece)

    assert found[1] == b"".join(payload for stream, payload in frames if stream == 1)
    assert found[2] == b"".join(payload for stream, payload in frames if stream == 2)


def test_unknown_stream_breaks_the_framing():
    with pytest.raises(EngineError, match="framing"):
        list(Demultiplexer().feed(memoryview(b"HTTP/1.1 500 oh")))


class Peer:
    """Stands at the engine's end of one connection and says what a test tells it to."""

    def __init__(self, folder):
        self.endpoint = Endpoint(socket_path=str(folder / "s"))
        self.connected: asyncio.Future = asyncio.get_running_loop().create_future()

    async def __aenter__(self):
        self.server = await asyncio.start_unix_server(self._serve, self.endpoint.socket_path)
        return self

    async def __aexit__(self, *_):
        if self.connected.done():
            self.writer.close()
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()
        self.server.close()

    async def _serve(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.connected.set_result(None)

    async def answer(self, data: bytes) -> None:
        await self.connected
        await self.reader.readuntil(b"\r\n\r\n")
        self.writer.write(data)


@pytest.fixture
async def peer(tmp_path):
    async with Peer(tmp_path) as peer:
        yield peer


async def opened(peer, more=b""):
    stream, _ = await asyncio.gather(
        open_exec(peer.endpoint, "1.41", "e"), peer.answer(UPGRADED + more)
    )
    return stream


async def test_output_that_comes_with_the_answer_is_not_lost(peer):
    stream = await opened(peer, frame(1, b"early"))

    assert await stream.read(100) == b"early"
    await stream.close()


async def test_read_gives_no_more_than_asked_for(peer):
    stream = await opened(peer, frame(1, b"abcdef"))

    assert [await stream.read(4), await stream.read(4)] == [b"abcd", b"ef"]
    await stream.close()


async def test_stderr_is_not_mixed_in(peer):
    stream = await opened(peer, frame(2, b"oops") + frame(1, b"fine"))

    assert await stream.read(100) == b"fine"
    await stream.close()


async def test_end_comes_after_what_was_said(peer):
    stream = await opened(peer, frame(1, b"last words"))
    peer.writer.close()

    assert [await stream.read(100), await stream.read(100)] == [b"last words", b""]
    await stream.close()


async def test_program_that_could_not_be_run_is_an_error_and_not_output(peer):
    stream = await opened(peer, frame(1, b"OCI runtime exec failed: /var/lib/x: no such file"))

    with pytest.raises(EngineError, match=r"could not run the program in the box\.$"):
        await stream.read(100)
    await stream.close()


async def test_refusal_carries_the_engine_s_message(peer):
    body = b'{"message":"No such exec instance"}'
    refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body)

    with pytest.raises(UpgradeRefused, match="No such exec instance") as caught:
        await asyncio.gather(open_exec(peer.endpoint, "1.41", "e"), peer.answer(refusal + body))
    assert caught.value.status == 404


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n", b"x" * 70_000])
async def test_stranger_at_the_other_end_is_told_apart(peer, answer):
    async def say_and_hang_up():
        await peer.answer(answer)
        peer.writer.close()

    with pytest.raises(EngineUnavailable):
        await asyncio.gather(open_exec(peer.endpoint, "1.41", "e"), say_and_hang_up())


@pytest.mark.slow
async def test_reader_who_does_not_read_stops_the_sender(peer):
    stream = await opened(peer)
    block = frame(1, bytes(100_000))

    async def flood():
        while True:
            peer.writer.write(block)
            await peer.writer.drain()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flood(), 0.5)

    assert PAUSE_READING_ABOVE < stream._buffered <= PAUSE_READING_ABOVE + RECEIVE_BYTES
    await stream.close()


async def test_writer_waits_while_nobody_takes_it(peer):
    stream = await opened(peer)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.write(bytes(10_000_000)), 0.2)
    await stream.close()


async def test_close_ends_a_read_that_waits(peer):
    stream = await opened(peer)
    reading = asyncio.create_task(stream.read(1))
    await asyncio.sleep(0)

    await stream.close()

    assert await reading == b""


async def test_close_ends_a_write_that_waits(peer):
    stream = await opened(peer)
    writing = asyncio.create_task(stream.write(bytes(10_000_000)))
    await asyncio.sleep(0.05)

    await stream.close()

    await asyncio.wait_for(writing, 1)


async def test_peer_sees_the_close_at_once(peer):
    stream = await opened(peer)

    await stream.close()
    await stream.close()

    assert await asyncio.wait_for(peer.reader.read(), 1) == b'{"Detach": false, "Tty": false}'


async def test_write_after_the_end_is_an_error(peer):
    stream = await opened(peer)
    await stream.close()

    with pytest.raises(EngineUnavailable):
        await stream.write(b"too late")


async def test_nobody_listening_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        await open_exec(Endpoint(socket_path=str(tmp_path / "none")), "1.41", "e")
