"""Whoever reaches the guest's socket without its token, or abuses a link, does it no harm.

Code in a box can connect to that socket, and the guest is process 1: its end is the box's end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sandboxes.engine.base import EngineError
from sandboxes.engine.local import LocalStream
from sandboxes.guest import agent
from sandboxes.guest.agent import FrameDecoder, decode, encode, frame
from sandboxes.guest.link import Link
from tests.guest.guests import MIB, TOKEN, Guest, a_process, comes_true, ended, run, until_said

HELLO = frame(agent.HELLO, 0, encode({"token": TOKEN}))


class Client:
    """Speaks to the agent in frames of a test's own making."""

    def __init__(self, stream: LocalStream) -> None:
        self.stream = stream
        self.decoder = FrameDecoder()
        self.frames: list[tuple[int, int, bytes]] = []

    async def say(self, *frames: bytes) -> None:
        with suppress(EngineError):
            await self.stream.write(b"".join(frames))

    async def hear(self) -> tuple[int, int, bytes] | None:
        """Return the next frame; None at the end."""
        async with asyncio.timeout(10):
            while not self.frames:
                data = await self.stream.read(MIB)
                if not data:
                    return None
                self.frames += self.decoder.feed(data)
        return self.frames.pop(0)

    async def answer(self, number: int) -> tuple[int, dict[str, Any]]:
        """Return the kind of what ends a channel, and what it says."""
        while heard := await self.hear():
            kind, channel, payload = heard
            if channel == number and kind in (agent.REPLY, agent.ERROR):
                return kind, decode(payload)
        raise AssertionError("the link ended")

    async def is_cut_off(self) -> bool:
        while await self.hear():
            pass
        return True


def request(number: int, op: Any, **arguments: Any) -> bytes:
    return bytes(frame(agent.REQUEST, number, encode({"op": op, **arguments})))


@pytest.fixture
async def stranger(guest: Guest) -> AsyncIterator[Client]:
    """A client that has not said hello."""
    client = Client(await guest.connect())
    yield client
    await client.stream.close()


@pytest.fixture
async def client(guest: Guest, stranger: Client) -> Client:
    """A client that the guest knows."""
    await stranger.say(HELLO)
    heard = await stranger.hear()
    assert heard is not None
    assert heard[0] == agent.HELLO
    return stranger


@pytest.fixture(autouse=True)
async def guest_lives_on(guest: Guest, link: Link) -> AsyncIterator[None]:
    """Whatever a test does: another link goes on, and a new one can be opened."""
    yield
    assert (await run(link, "echo fine")).stdout == b"fine\n"
    await (await guest.link()).close()


# Before hello


@pytest.mark.parametrize(
    "said",
    [
        frame(agent.HELLO, 0, encode({"token": "wrong"})),
        frame(agent.HELLO, 0, encode({"token": TOKEN[:-1]})),
        frame(agent.HELLO, 0, encode({"token": ""})),
        frame(agent.HELLO, 0, encode({"token": None})),
        frame(agent.HELLO, 0, encode({"token": [TOKEN]})),
        frame(agent.HELLO, 0, encode({"token": "\udcff"})),
        frame(agent.HELLO, 0, encode({"token": "ä"})),
        frame(agent.HELLO, 0, b"{}"),
        frame(agent.HELLO, 0, b"[]"),
        frame(agent.HELLO, 0, b"\xff"),
        frame(agent.HELLO, 0, b'{"a":' + b"[" * 300_000),
        request(1, "processes"),
        frame(agent.DATA, 1, b"x"),
        b"GET / HTTP/1.1\r\n\r\n",
        agent.HEADER.pack(2**32 - 1, agent.HELLO, 0),
        os.urandom(5000),
    ],
    ids=range(16),
)
async def test_stranger_is_cut_off(stranger: Client, said: bytes) -> None:
    await stranger.say(said)

    assert await stranger.is_cut_off()


async def test_request_behind_a_wrong_token_is_not_heard(
    stranger: Client, folder: str, place: Path
) -> None:
    wrong = frame(agent.HELLO, 0, encode({"token": "wrong"}))

    await stranger.say(wrong, request(1, "mkdir", path=f"{folder}/made"), HELLO)

    assert await stranger.is_cut_off()
    assert not list(place.iterdir())


async def test_strangers_who_say_nothing_are_sent_away(impatient_guest: Guest) -> None:
    strangers = [Client(await impatient_guest.connect()) for _ in range(agent.MAX_STRANGERS)]
    late = Client(await impatient_guest.connect())

    assert await late.is_cut_off()
    assert all(await asyncio.gather(*(stranger.is_cut_off() for stranger in strangers)))
    for client in [*strangers, late]:
        await client.stream.close()
    await (await impatient_guest.link()).close()


async def test_stranger_who_hands_over_descriptors_is_left_with_them(guest: Guest) -> None:
    before = descriptors(guest)
    fd = os.memfd_create("neither a pipe nor a socket")
    for count in (1, 2, 3):
        client = Client(LocalStream(handed_over(guest, *[fd] * count)))
        assert await client.is_cut_off()
        await client.stream.close()
    os.close(fd)

    assert await comes_true(lambda: descriptors(guest) <= before)


async def test_pipe_that_nobody_reads_does_not_hold_the_guest_up(guest: Guest) -> None:
    their_input, ours = os.pipe()
    unread, their_output = os.pipe()
    end = handed_over(guest, their_input, their_output)

    os.write(
        ours, HELLO + request(1, "start", id="flood", argv=["head", "-c", "9000000", "/dev/zero"])
    )

    other = await guest.link()
    assert (await run(other, "echo fine")).stdout == b"fine\n"
    for fd in (their_input, ours, unread, their_output):
        os.close(fd)
    end.close()
    await other.close()


# After hello


async def test_too_many_channels_end_the_link(client: Client, link: Link) -> None:
    process = a_process("sleep 60")
    await link.start(process, attach=False)

    for number in range(agent.MAX_CHANNELS + 1):
        await client.say(request(number, "attach", id=process.id))

    assert await client.is_cut_off()
    assert await comes_true_soon(link, process.id, attached=0)


async def test_channel_is_opened_once(client: Client, link: Link) -> None:
    process = a_process("sleep 60")
    await link.start(process, attach=False)

    await client.say(*[request(1, "attach", id=process.id)] * 2)

    assert await client.is_cut_off()


@pytest.mark.parametrize(
    "said",
    [
        request(1, "stat", path="/")[:-1] + b"]",
        frame(agent.REQUEST, 1, b"\xff"),
        frame(agent.REQUEST, 1, b"[]"),
        frame(agent.REQUEST, 1, b'{"op":"stat","path":"' + b"x" * agent.MAX_JSON + b'"}'),
        b"\xff" * 20,
    ],
    ids=["half", "no utf-8", "list", "long", "garbage"],
)
async def test_request_that_is_none_ends_the_link(client: Client, said: bytes) -> None:
    await client.say(said)

    assert await client.is_cut_off()


@pytest.mark.parametrize("op", [None, 1, [], {}, "", "nonsense", "__class__", "run", "loop"])
async def test_unknown_operation_is_refused(client: Client, op: Any) -> None:
    await client.say(request(1, op))

    kind, said = await client.answer(1)
    assert kind == agent.ERROR
    assert said["code"] in ("unsupported", "invalid")


ARGUMENTS: dict[str, tuple[str, ...]] = {
    "start": ("id", "argv", "cwd", "env", "pty", "timeout", "limits", "script", "stdin_size"),
    "attach": ("id", "since", "credit"),
    "stdin": ("id",),
    "close_stdin": ("id",),
    "resize": ("id", "size"),
    "signal": ("id", "signal"),
    "kill": ("id",),
    "forget": ("ids",),
    "process": ("id",),
    "deadline": ("seconds",),
    "stat": ("path",),
    "list": ("path", "after", "limit"),
    "read": ("path", "start", "end", "credit"),
    "write": ("path", "size", "mode"),
    "mkdir": ("path",),
    "move": ("path", "to"),
    "copy": ("path", "to"),
    "remove": ("path",),
}
RIGHT = {"id": "nobody", "path": "/workspace/none", "to": "/workspace/nowhere", "signal": "TERM"}
WRONG: list[Any] = [None, True, -1, 2**70, "text", "\udcff", "\0", [], [None], {}, {"a": None}]


@pytest.mark.parametrize("op", ARGUMENTS)
async def test_arguments_of_wrong_types_are_refused_or_do_no_harm(client: Client, op: str) -> None:
    number = 0
    for name in ARGUMENTS[op]:
        for wrong in WRONG:
            number += 1
            right: dict[str, Any] = {key: RIGHT[key] for key in ARGUMENTS[op] if key in RIGHT}
            if op == "start":
                right.update(id=f"wrong-{name}-{number}", argv=["true"])
            if op == "deadline" and wrong in (True, -1):
                continue  # would end the guest, as it should
            await client.say(
                request(number, op, **{**right, name: wrong}), frame(agent.CANCEL, number)
            )
    await client.say(request(number + 1, "usage"))

    assert (await client.answer(number + 1))[0] == agent.REPLY


async def test_wrong_types_behind_a_body_are_refused(client: Client) -> None:
    """The process is started later then, when the body is complete."""
    for number, env in enumerate(({"a": None}, {"a": 1}, 1, "text"), 1):
        await client.say(
            request(number, "start", id=f"body-{number}", script_size=4, env=env),
            frame(agent.DATA, number, b"true"),
            frame(agent.END, number),
        )
        assert (await client.answer(number))[1]["code"] == "invalid"


@pytest.mark.parametrize("size", [-1, agent.MAX_BODY + 1])
async def test_body_of_a_size_that_cannot_be_is_refused(client: Client, size: int) -> None:
    await client.say(request(1, "start", id="one", script_size=size))

    assert (await client.answer(1))[1]["code"] == "too_large"


@pytest.mark.parametrize("body", [b"", b"abc", b"abcde"])
async def test_body_of_another_size_than_was_said_ends_the_link(
    client: Client, body: bytes
) -> None:
    await client.say(
        request(1, "start", id="one", script_size=4),
        frame(agent.DATA, 1, body),
        frame(agent.END, 1),
    )

    assert await client.is_cut_off()


async def test_bytes_nobody_asked_for_end_the_link(client: Client, link: Link) -> None:
    process = a_process("sleep 60")
    await link.start(process, attach=False)

    await client.say(request(1, "attach", id=process.id), frame(agent.DATA, 1, b"x"))

    assert await client.is_cut_off()


async def test_frames_for_channels_that_are_closed_are_let_pass(client: Client) -> None:
    for kind in (agent.DATA, agent.END, agent.CREDIT, agent.CANCEL, agent.HELLO, agent.OUTPUT):
        await client.say(frame(kind, 77, b"1234"))
    await client.say(request(1, "usage"))

    assert (await client.answer(1))[0] == agent.REPLY


async def test_input_beyond_what_was_allowed_ends_the_link(client: Client, link: Link) -> None:
    process = a_process("sleep 60", open_stdin=True)
    await link.start(process, attach=False)

    await client.say(request(1, "stdin", id=process.id))
    for _ in range(3 * agent.WINDOW // MIB):
        await client.say(frame(agent.DATA, 1, bytes(MIB)))

    assert await client.is_cut_off()


async def test_input_was_taken_though_the_process_ends_before_its_end(
    client: Client, link: Link
) -> None:
    process = a_process("read line", open_stdin=True)
    attachment = await link.start(process)
    await link.process(process.id)  # it has been started

    await client.say(request(1, "stdin", id=process.id), frame(agent.DATA, 1, b"line\n"))
    await attachment.exit()
    await client.say(frame(agent.END, 1))

    assert (await client.answer(1))[0] == agent.REPLY


async def test_link_that_is_not_read_is_not_sent_much(guest: Guest, client: Client) -> None:
    asking = [request(n, "read", path="/workspace/large", credit=2**40) for n in range(100)]
    (guest.folder / "workspace/large").write_bytes(bytes(30 * MIB))

    await client.say(*asking)
    await asyncio.sleep(0.3)

    assert guest.memory() < 100 * MIB


# Who leaves


async def test_client_who_leaves_in_the_middle_of_a_file_does_no_harm(
    guest: Guest, client: Client, folder: str, place: Path
) -> None:
    (place / "file").write_bytes(bytes(20 * MIB))
    await client.say(request(1, "read", path=f"{folder}/file", credit=1000))
    while (heard := await client.hear()) and heard[0] != agent.DATA:
        pass

    with standing_still(guest):
        await client.say(frame(agent.CREDIT, 1, agent.COUNT.pack(20 * MIB)))
        await client.stream.close()

    assert await comes_true(lambda: str(place / "file") not in open_files(guest))


async def test_client_who_leaves_at_once_does_no_harm(
    guest: Guest, link: Link, folder: str, place: Path
) -> None:
    (place / "file").write_bytes(bytes(20 * MIB))
    process = a_process("sleep 60")
    await link.start(process, attach=False)

    for asking in (
        request(1, "read", path=f"{folder}/file"),
        request(1, "attach", id=process.id),
        request(1, "write", path=f"{folder}/written"),
        request(1, "start", id="left", argv=["true"]),
        request(1, "processes"),
    ):
        leaving = Client(await guest.connect())
        await leaving.say(HELLO)
        await leaving.hear()
        with standing_still(guest):
            await leaving.say(asking)
            await leaving.stream.close()

    assert await comes_true_soon(link, process.id, attached=0)
    assert await comes_true(lambda: not {str(place / "file")} & open_files(guest))
    assert [path.name for path in place.iterdir()] == ["file"]


async def test_process_is_not_held_up_by_a_viewer_who_left_at_once(
    guest: Guest, link: Link
) -> None:
    process = a_process("echo ready; read; head -c 30000000 /dev/zero", open_stdin=True)
    attachment = await link.start(process)
    await until_said(attachment, b"ready\n")
    leaving = Client(await guest.connect())
    await leaving.say(HELLO)
    await leaving.hear()
    with standing_still(guest):
        await leaving.say(request(1, "attach", id=process.id))
        await leaving.stream.close()
    await attachment.detach()

    await link.write_stdin(process.id, b"\n")

    assert (await ended(link, process.id)).stdout_bytes == 30_000_006


@contextmanager
def standing_still(guest: Guest) -> Iterator[None]:
    """Have the guest find all at once, afterwards, what is done meanwhile."""
    os.kill(guest.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(guest.pid, signal.SIGCONT)


def handed_over(guest: Guest, *fds: int) -> socket.socket:
    """Return a connection over which the guest was handed descriptors, as a relay does."""
    end = socket.socket(socket.AF_UNIX)
    end.connect("\0" + guest.name)
    passed = struct.pack(f"{len(fds)}i", *fds)
    end.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
    return end


async def comes_true_soon(link: Link, process_id: str, *, attached: int) -> bool:
    """Tell whether so many viewers are left of a process."""
    for _ in range(200):
        if (await link.process(process_id)).attached == attached:
            return True
        await asyncio.sleep(0.01)
    return False


def descriptors(guest: Guest) -> int:
    return len(list(Path(f"/proc/{guest.pid}/fd").iterdir()))


def open_files(guest: Guest) -> set[str]:
    found = set()
    for path in Path(f"/proc/{guest.pid}/fd").iterdir():
        with suppress(OSError):
            found.add(str(path.readlink()))
    return found
