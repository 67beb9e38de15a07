"""A guest that does not keep to the protocol costs its own link, soon, and nothing else."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sandboxes.engine.local import LocalStream
from sandboxes.guest import agent
from sandboxes.guest import link as link_module
from sandboxes.guest.agent import FrameDecoder, encode, frame
from sandboxes.guest.link import GuestError, Link, LinkLost, ProtocolError
from tests.guest.guests import MIB, a_process

SECONDS = 5
GREETING = frame(agent.HELLO, 0, b"{}")

END = {
    "exit_code": 0,
    "signal": None,
    "timed_out": False,
    "out_of_memory": False,
    "stdout_bytes": 0,
    "stderr_bytes": 0,
    "truncated": False,
    "duration": 0.1,
}
FILE = {
    "path": "/workspace/file",
    "name": "file",
    "kind": "file",
    "size": 1,
    "mode": 0o644,
    "uid": 1000,
    "gid": 1000,
    "modified": 1.0,
    "target": None,
}
SEEN = {"pid": 2, "command": "sh", "cpu_seconds": 1.0, "memory_bytes": 1, "seconds": 1.0}
PROCESS = {
    "id": "one",
    "pid": 2,
    "running": True,
    "attached": 0,
    "exit": None,
    "started_at": 1.0,
    "oldest_offset": 0,
    "next_offset": 0,
    "command": "sleep",
}
USAGE = {
    "cpu_seconds": 1.0,
    "memory_bytes": 1,
    "memory_limit_bytes": 1,
    "processes": 1,
    "pids_limit": 1,
    "workspace_bytes": 1,
    "workspace_limit_bytes": 1,
    "oom_kills": 0,
}


class FakeGuest:
    """The other end of a link, which says what a test tells it to."""

    def __init__(self, end: socket.socket) -> None:
        self.stream = LocalStream(end)
        self.decoder = FrameDecoder()
        self.frames: list[tuple[int, int, bytes]] = []

    async def say(self, *frames: bytes) -> None:
        await self.stream.write(b"".join(frames))

    async def flood(self, data: bytes, times: int) -> None:
        """Say something again and again, until nobody listens."""
        for _ in range(times):
            try:
                await self.stream.write(data)
            except Exception:
                return

    async def request(self) -> int:
        """Return the channel of the next request."""
        while True:
            while not self.frames:
                data = await self.stream.read(MIB)
                assert data, "the link ended"
                self.frames += self.decoder.feed(data)
            kind, channel, _ = self.frames.pop(0)
            if kind == agent.REQUEST:
                return channel

    async def ends(self) -> bool:
        """Tell whether the link lets go of us soon."""
        async with asyncio.timeout(SECONDS):
            while await self.stream.read(MIB):
                pass
        return True


type Hostile = Callable[[FakeGuest], Coroutine[Any, Any, None]]


@asynccontextmanager
async def link_to(hostile: Hostile) -> AsyncIterator[tuple[Link, FakeGuest]]:
    """A link to a guest that greets well and then does its worst."""
    ours, theirs = socket.socketpair()
    guest = FakeGuest(theirs)
    await guest.say(GREETING)
    link = await Link.open(LocalStream(ours), "token")
    task = asyncio.create_task(hostile(guest))
    try:
        async with asyncio.timeout(SECONDS):
            yield link, guest
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await link.close()
        await guest.stream.close()


def replying(kind: int, payload: bytes) -> Hostile:
    """Answers the first request with a frame."""

    async def hostile(guest: FakeGuest) -> None:
        await guest.say(frame(kind, await guest.request(), payload))

    return hostile


async def assert_broken(hostile: Hostile, ask: Callable[[Link], Awaitable[Any]]) -> None:
    """The question fails as the guest's own fault, and its link is ended on both sides."""
    async with link_to(hostile) as (link, guest):
        with pytest.raises(ProtocolError):
            await ask(link)
        assert link.closed
        assert await guest.ends()
        with pytest.raises(LinkLost):
            await link.stat("/")


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def read_all(link: Link) -> bytes:
    _, chunks = await link.read("/workspace/file")
    return b"".join([chunk async for chunk in chunks])


async def run(link: Link) -> None:
    await (await link.start(a_process("true"))).exit()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's patience lasts long."""
    for name in ("CALL_SECONDS", "STALL_SECONDS", "GIVE_UP_SECONDS"):
        monkeypatch.setattr(link_module, name, 0.1)


# The greeting


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 100,
        agent.HEADER.pack(2**32 - 1, agent.HELLO, 0),
        frame(agent.HELLO, 0, b""),
        frame(agent.HELLO, 0, b"[]"),
        frame(agent.HELLO, 0, b"\xff\xff"),
        frame(agent.HELLO, 0, b'{"a":' + b"[" * 300_000),
        frame(agent.HELLO, 0, b'{"a":' + b"9" * 10_000 + b"}"),
    ],
    ids=["http", "garbage", "huge", "empty", "list", "no utf-8", "deep", "huge number"],
)
async def test_greeting_that_is_none_ends_the_link(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    guest = FakeGuest(theirs)
    saying = asyncio.create_task(guest.flood(said, 1))

    async with asyncio.timeout(SECONDS):
        with pytest.raises(ProtocolError):
            await Link.open(LocalStream(ours), "token")
        await saying

    assert ours.fileno() < 0
    await guest.stream.close()


@pytest.mark.parametrize("said", [b"", GREETING[:-1], frame(agent.REPLY, 1, b"{}")])
async def test_guest_that_does_not_greet_is_given_up(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    guest = FakeGuest(theirs)
    await guest.say(said)

    with pytest.raises(LinkLost, match="in time"):
        await Link.open(LocalStream(ours), "token", timeout=0.1)

    assert ours.fileno() < 0
    await guest.stream.close()


async def test_guest_that_is_not_there_is_told() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()

    with pytest.raises(LinkLost):
        await Link.open(LocalStream(ours), "token")


async def test_second_greeting_changes_nothing() -> None:
    async def hostile(guest: FakeGuest) -> None:
        await guest.say(GREETING * 10, frame(agent.HELLO, 0, b"\xff"))
        await guest.say(frame(agent.REPLY, await guest.request(), encode(FILE)))

    async with link_to(hostile) as (link, _):
        assert (await link.stat("/workspace/file")).size == 1


# Answers


@pytest.mark.parametrize(
    "said",
    [b"\xff" * 100, agent.HEADER.pack(2**32 - 1, agent.REPLY, 1), agent.HEADER.pack(0, 99, 1)],
    ids=["garbage", "huge", "unknown type"],
)
async def test_broken_frame_ends_the_link(said: bytes) -> None:
    async def hostile(guest: FakeGuest) -> None:
        await guest.request()
        await guest.say(said)

    await assert_broken(hostile, lambda link: link.stat("/"))


@pytest.mark.parametrize("kind", [agent.HEAD, agent.DATA, agent.OUTPUT, agent.END])
async def test_answer_of_another_kind_ends_the_link(kind: int) -> None:
    await assert_broken(replying(kind, b"{}"), lambda link: link.stat("/"))


@pytest.mark.parametrize("kind", [agent.HEAD, agent.DATA, agent.HELLO + 1])
async def test_other_frames_than_output_end_the_link(kind: int) -> None:
    await assert_broken(replying(kind, b"{}"), run)


@pytest.mark.parametrize("payload", [b"", b"\0" * 8, b"\x07" + b"\0" * 8])
async def test_output_that_is_none_ends_the_link(payload: bytes) -> None:
    await assert_broken(replying(agent.OUTPUT, payload), run)


@pytest.mark.parametrize("payload", [b"", b"123", b"12345"])
async def test_credit_that_is_none_ends_the_link(payload: bytes) -> None:
    await assert_broken(replying(agent.CREDIT, payload), lambda link: link.stat("/"))


WRONG: list[Any] = [None, "text", [], {}, 2**70, -(2**70), 1e999, "\udcff"]
QUESTIONS: dict[str, tuple[dict, Callable[[Link], Awaitable[Any]]]] = {
    "stat": (FILE, lambda link: link.stat("/")),
    "process": (PROCESS, lambda link: link.process("one")),
    "usage": (USAGE, lambda link: link.usage()),
    "exit": (END, run),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_answer_that_is_right_is_taken(question: str) -> None:
    answer, ask = QUESTIONS[question]

    async with link_to(replying(agent.REPLY, encode(answer))) as (link, _):
        await ask(link)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_fields_of_wrong_types_end_the_link_or_do_no_harm(question: str) -> None:
    answer, ask = QUESTIONS[question]
    for name, right in answer.items():
        for wrong in WRONG:
            payload = json.dumps({**answer, name: wrong}).encode()
            async with link_to(replying(agent.REPLY, payload)) as (link, _):
                try:
                    taken = await ask(link)
                except ProtocolError:
                    assert link.closed
                else:
                    found = getattr(taken, name, right)
                    assert type(found) is type(right) or found is None or name in ("target", "exit")
                    assert not isinstance(found, float) or math.isfinite(found)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_missing_fields_end_the_link(question: str) -> None:
    _, ask = QUESTIONS[question]

    await assert_broken(replying(agent.REPLY, b"{}"), ask)


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"code":1,"message":"x"}', b'{"code":"x","message":null}', b"\xff"],
)
async def test_refusal_that_is_none_ends_the_link(payload: bytes) -> None:
    await assert_broken(replying(agent.ERROR, payload), lambda link: link.stat("/"))


async def test_refusal_of_any_length_is_cut() -> None:
    payload = encode({"code": "x" * 10_000, "message": "y" * 100_000})

    async with link_to(replying(agent.ERROR, payload)) as (link, _):
        with pytest.raises(GuestError) as caught:
            await link.stat("/")
        assert (len(caught.value.code), len(str(caught.value))) == (50, 1000)
        assert not link.closed


@pytest.mark.parametrize(
    "entries", [None, {}, "text", [1], [None], [{}], [FILE] * (link_module.MAX_ENTRIES + 1)]
)
async def test_list_that_is_none_ends_the_link(entries: Any) -> None:
    answer = encode({"entries": entries})

    await assert_broken(replying(agent.REPLY, answer), lambda link: link.list("/"))


@pytest.mark.parametrize("seen", [None, {}, [1], [{}], [{"pid": 1, "command": 1}], [SEEN] * 300])
async def test_processes_of_a_box_that_are_none_end_the_link(seen: Any) -> None:
    answer = encode({"processes": seen, "total": 1})
    await assert_broken(replying(agent.REPLY, answer), lambda link: link.top())


@pytest.mark.parametrize("processes", [None, {}, [1], [{}], [PROCESS] * 600])
async def test_processes_that_are_none_end_the_link(processes: Any) -> None:
    answer = encode({"processes": processes})

    await assert_broken(replying(agent.REPLY, answer), lambda link: link.processes())


async def test_exit_code_is_one_that_there_can_be() -> None:
    answer = encode({**END, "exit_code": 10**6, "duration": -1})

    async with link_to(replying(agent.REPLY, answer)) as (link, _):
        end = await (await link.start(a_process("true"))).exit()

    assert (end.exit_code, end.duration) == (255, 0.0)


# Too much


@pytest.mark.parametrize("ask", [read_all, run])
async def test_data_beyond_what_was_allowed_ends_the_link(
    ask: Callable[[Link], Awaitable[Any]],
) -> None:
    """The reader of this file, or output, stands still, and the guest goes on."""
    kind = agent.OUTPUT if ask is run else agent.DATA
    payload = agent.OUTPUT_HEADER.pack(0, 0) + bytes(agent.CHUNK)
    before = memory()

    async def hostile(guest: FakeGuest) -> None:
        channel = await guest.request()
        await guest.say(frame(agent.HEAD, channel, encode(FILE)))
        await guest.flood(frame(kind, channel, payload), 400)

    async with link_to(hostile) as (link, _):
        waiting = (
            await link.start(a_process("x")) if ask is run else (await link.read("/workspace/f"))[1]
        )
        assert waiting is not None
        assert await guest_is_cut_off(link)
    assert memory() - before < 50 * MIB


async def test_endless_empty_frames_end_the_link() -> None:
    async def hostile(guest: FakeGuest) -> None:
        channel = await guest.request()
        await guest.flood(frame(agent.OUTPUT, channel) * 10_000, 100)

    async with link_to(hostile) as (link, _):
        await link.start(a_process("x"))
        assert await guest_is_cut_off(link)


async def test_data_on_channels_nobody_opened_is_not_kept() -> None:
    before = memory()

    async def hostile(guest: FakeGuest) -> None:
        await guest.flood(frame(agent.DATA, 7_000_000, bytes(MIB)), 200)
        await guest.say(frame(agent.REPLY, await guest.request(), encode(FILE)))

    async with link_to(hostile) as (link, _):
        assert (await link.stat("/")).size == 1
    assert memory() - before < 50 * MIB


async def test_credit_without_end_is_not_believed() -> None:
    async def hostile(guest: FakeGuest) -> None:
        channel = await guest.request()
        everything = agent.COUNT.pack(2**32 - 1)
        await guest.say(*[frame(agent.CREDIT, channel, everything)] * 1000)
        await guest.say(frame(agent.REPLY, channel, encode(FILE)))

    async with link_to(hostile) as (link, _):
        channel = await link._request("stat", {"path": "/"})
        await channel.answer(agent.REPLY)
        assert channel.credit <= 16 * agent.WINDOW


# Too little


UNANSWERED: dict[str, Callable[[Link], Awaitable[Any]]] = {
    "stat": lambda link: link.stat("/"),
    "list": lambda link: link.list("/"),
    "read": lambda link: link.read("/"),
    "attach": lambda link: link.attach("one"),
    "start": lambda link: link.start(a_process("x"), attach=False),
    "stdin": lambda link: link.write_stdin("one", b"x"),
    "write": lambda link: link.write("/file", parts(b"x")),
}
UNTAKEN: dict[str, Callable[[Link], Awaitable[Any]]] = {
    "start": lambda link: link.start(a_process("x" * 10 * MIB), attach=False),
    "stdin": lambda link: link.write_stdin("one", bytes(50 * MIB)),
    "write": lambda link: link.write("/file", parts(*[bytes(MIB)] * 50)),
    "questions": lambda link: flood_of_questions(link),
}


@pytest.mark.parametrize("question", UNANSWERED)
async def test_guest_that_does_not_answer_is_given_up(question: str, short: None) -> None:
    async with link_to(silent) as (link, _):
        with pytest.raises(LinkLost):
            await UNANSWERED[question](link)
        assert not link.busy


async def test_guest_that_stops_in_the_middle_is_given_up(short: None) -> None:
    async def hostile(guest: FakeGuest) -> None:
        channel = await guest.request()
        await guest.say(frame(agent.HEAD, channel, encode(FILE)), frame(agent.DATA, channel, b"x"))

    async with link_to(hostile) as (link, _):
        with pytest.raises(LinkLost, match="stopped sending"):
            await read_all(link)


@pytest.mark.parametrize("question", UNTAKEN)
async def test_guest_that_takes_nothing_is_given_up(question: str, short: None) -> None:
    async with link_to(deaf) as (link, _):
        with pytest.raises(LinkLost):
            await UNTAKEN[question](link)


async def test_guest_that_leaves_is_told_to_everybody() -> None:
    async def hostile(guest: FakeGuest) -> None:
        for _ in range(3):
            await guest.request()
        await guest.stream.close()

    async with link_to(hostile) as (link, _):
        found = await asyncio.gather(
            link.stat("/"), link.list("/"), run(link), return_exceptions=True
        )

    assert all(isinstance(error, LinkLost) for error in found)


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def flood_of_questions(link: Link) -> None:
    for _ in range(100):
        await link.start(a_process("x" * 60_000))


async def deaf(guest: FakeGuest) -> None:
    """Takes nothing, and allows everything."""
    everything = agent.COUNT.pack(2**31)
    await guest.say(*(frame(agent.CREDIT, channel, everything) for channel in range(1, 5)))


async def silent(guest: FakeGuest) -> None:
    """Takes whatever comes, and says nothing."""
    while await guest.stream.read(MIB):
        pass


async def guest_is_cut_off(link: Link) -> bool:
    assert link._reader is not None
    await asyncio.wait_for(asyncio.shield(link._reader), SECONDS)
    return link.closed
