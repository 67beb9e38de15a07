"""The server's end of a link: asks the guest, follows its processes, moves files.

The guest is taken for hostile: what it sends is bounded in size and depth, is never evaluated,
and anything that breaks the protocol ends this link with ProtocolError and no other.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sandboxes.engine.base import ByteStream, EngineError
from sandboxes.guest import agent
from sandboxes.guest.agent import FrameDecoder

logger = logging.getLogger(__name__)

READ_BYTES = 256 * 1024
CHUNK = agent.CHUNK
WINDOW = agent.WINDOW
# A command up to this goes with its request, a longer one behind it.
INLINE_SCRIPT = 64 * 1024
CALL_SECONDS = 30.0
# No progress for so long on a file that is read or written: the guest is stuck.
STALL_SECONDS = 60.0
KILL_SECONDS = 10.0
GIVE_UP_SECONDS = 5.0
FORGET_SECONDS = 0.5
STUCK = "the sandbox stopped taking the file"
MAX_ENTRIES = 1000
MAX_PROCESSES = 2 * agent.MAX_PROCESSES


class GuestError(Exception):
    """The guest says no: a code for programs, a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LinkLost(GuestError):
    """The link ended. What was asked may have happened."""

    def __init__(self, message: str = "the link to the sandbox ended") -> None:
        super().__init__("link_lost", message)


class ProtocolError(LinkLost):
    """The guest broke the protocol, and its link was ended for it."""


@dataclass(frozen=True, slots=True)
class StartSpec:
    """A process to start: a script for bash, or an argv."""

    id: str
    script: str | None = None
    argv: Sequence[str] | None = None
    cwd: str = "/workspace"
    env: Mapping[str, str] = field(default_factory=dict)
    # None: /dev/null. Given bytes are written, then the input ends, unless it is to stay open.
    stdin: bytes | None = None
    open_stdin: bool = False
    # Rows and columns of a terminal.
    pty: tuple[int, int] | None = None
    # Seconds until the whole tree is killed.
    timeout: float | None = None
    # Bytes of stdout and stderr that are kept; what comes after is counted and dropped.
    limits: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """A piece of output. `stream` is stdout, stderr or pty; `offset` counts over all of them."""

    stream: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class KeptOutput:
    """What a guest holds of a process's output, from the oldest offset to the next one.

    `preamble` brings a fresh terminal into the modes it had at the oldest offset.
    """

    oldest_offset: int
    next_offset: int
    preamble: str


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How a process ended. `duration` is in seconds; the byte counts include what was dropped."""

    exit_code: int
    signal: int | None
    timed_out: bool
    out_of_memory: bool
    stdout_bytes: int
    stderr_bytes: int
    truncated: bool
    duration: float


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process as the guest knows it. `exit` is None while it runs."""

    id: str
    pid: int
    running: bool
    attached: int
    exit: ProcessExit | None
    started_at: float
    oldest_offset: int
    next_offset: int
    command: str


@dataclass(frozen=True, slots=True)
class FileStat:
    """What a file is; `kind` is file, directory, symlink or other."""

    path: str
    name: str
    kind: str
    size: int
    mode: int
    uid: int
    gid: int
    modified: float
    target: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a box uses now."""

    cpu_seconds: float
    memory_bytes: int
    memory_limit_bytes: int
    processes: int
    pids_limit: int
    workspace_bytes: int
    workspace_limit_bytes: int
    oom_kills: int


@dataclass(frozen=True, slots=True)
class BoxProcess:
    """One process of a box as the kernel knows it. `seconds` is its age."""

    pid: int
    command: str
    cpu_seconds: float
    memory_bytes: int
    seconds: float


class Channel:
    """One request and everything that comes back for it."""

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self.number = number
        self.frames: deque[tuple[int, bytes]] = deque()
        self.held = 0
        self.credit = WINDOW
        self.failure: LinkLost | None = None
        self.changed = asyncio.Event()

    def take(self, kind: int, payload: bytes) -> None:
        """Take a frame from the guest, which may send no more than it was allowed."""
        if kind == agent.CREDIT:
            if len(payload) != agent.COUNT.size:
                raise ProtocolError("a broken frame came from the sandbox")
            self.credit = min(self.credit + agent.COUNT.unpack(payload)[0], 16 * WINDOW)
        else:
            self.held += len(payload)
            if self.held > 2 * WINDOW or len(self.frames) > 100_000:
                raise ProtocolError("the sandbox sent more than it was allowed")
            self.frames.append((kind, payload))
        self.changed.set()

    def fail(self, failure: LinkLost) -> None:
        self.failure = failure
        self.changed.set()

    async def next(self) -> tuple[int, bytes]:
        """Return the next frame. Raises GuestError if it says no, LinkLost if none will come."""
        while not self.frames:
            if self.failure is not None:
                raise self.failure
            self.changed.clear()
            await self.changed.wait()
        kind, payload = self.frames.popleft()
        self.held -= len(payload)
        if kind == agent.ERROR:
            with self.link.strict():
                raise _guest_error(_decoded(payload))
        return kind, payload

    async def answer(self, kind: int) -> dict[str, Any]:
        """Return the next frame, which must be of that kind."""
        found, payload = await self.next()
        if found != kind:
            raise self.link.broken("an answer of another kind came from the sandbox")
        with self.link.strict():
            return _decoded(payload)

    async def wait_for_credit(self) -> None:
        """Wait until more may be sent. Raises what the guest says instead."""
        while self.credit <= 0:
            if self.frames:
                await self.next()
            if self.failure is not None:
                raise self.failure
            self.changed.clear()
            await self.changed.wait()
        if self.frames and self.frames[0][0] == agent.ERROR:
            await self.next()

    async def send(self, data: bytes) -> None:
        """Send bytes up the channel, as the guest allows."""
        view = memoryview(data)
        while view:
            await self.wait_for_credit()
            piece = view[: min(CHUNK, self.credit)]
            self.credit -= len(piece)
            await self.link.send(agent.DATA, self.number, piece)
            view = view[len(piece) :]

    async def grant(self, count: int) -> None:
        await self.link.send(agent.CREDIT, self.number, agent.COUNT.pack(count))


class Link:
    """An open link to one guest. Many requests may be under way at once."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._channels: dict[int, Channel | None] = {}
        self._next_channel = 1
        self._greeting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None
        # Processes whose end is on record, and the guest does not know yet.
        self._recorded: list[str] = []
        self._flushing: asyncio.Future[None] | None = None
        self.closed = False
        self.agent_info: dict[str, Any] = {}

    @classmethod
    async def open(cls, stream: ByteStream, token: str, *, timeout: float = 10.0) -> Link:
        """Greet the guest. Its socket may not be there yet: a relay that finds none just ends."""
        link = cls(stream)
        link._reader = asyncio.create_task(link._read())
        try:
            async with asyncio.timeout(timeout):
                await link.send(agent.HELLO, 0, agent.encode({"token": token}))
                link.agent_info = await link._greeting
        except TimeoutError:
            await link.close()
            raise LinkLost("the sandbox did not answer in time") from None
        except BaseException:
            await link.close()
            raise
        return link

    @property
    def busy(self) -> bool:
        return any(channel is not None for channel in self._channels.values())

    async def close(self) -> None:
        """End the link. Whatever waits on it is told."""
        self._fail(LinkLost())
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._stream.close()

    def broken(self, message: str) -> ProtocolError:
        """Note that the guest broke the protocol; return the error to raise."""
        error = ProtocolError(message)
        self._end(error)
        return error

    @contextmanager
    def strict(self) -> Iterator[None]:
        """End the link if what is read here breaks the protocol."""
        try:
            yield
        except ProtocolError as error:
            self._end(error)
            raise

    # The wire.

    async def send(self, kind: int, channel: int, payload: bytes | memoryview = b"") -> None:
        if self.closed:
            raise LinkLost
        header = agent.HEADER.pack(len(payload), kind, channel)
        try:
            await self._stream.write(b"".join((header, payload)))
        except (EngineError, OSError) as error:
            lost = LinkLost()
            self._end(lost)
            raise lost from error

    async def _read(self) -> None:
        decoder = FrameDecoder()
        try:
            while data := await self._stream.read(READ_BYTES):
                for kind, number, payload in decoder.feed(data):
                    self._take(kind, number, payload)
            self._fail(LinkLost())
        except agent.BrokenFrame as error:
            self._fail(ProtocolError(f"the sandbox sent {error}"))
        except LinkLost as error:
            self._fail(error)
        except (EngineError, OSError) as error:
            logger.info("a link ended: %s", error)
            self._fail(LinkLost())
        finally:
            self.closed = True
            await asyncio.shield(self._stream.close())

    def _take(self, kind: int, number: int, payload: bytes) -> None:
        if kind == agent.HELLO:
            if not self._greeting.done():
                self._greeting.set_result(_decoded(payload))
            return
        channel = self._channels.get(number)
        if channel is not None:
            channel.take(kind, payload)
        if kind in (agent.REPLY, agent.ERROR):
            self._channels.pop(number, None)

    def _fail(self, failure: LinkLost) -> None:
        self.closed = True
        if not self._greeting.done():
            self._greeting.set_exception(failure)
            self._greeting.exception()
        for channel in list(self._channels.values()):
            if channel is not None:
                channel.fail(failure)
        self._channels.clear()

    def _end(self, failure: LinkLost) -> None:
        """Let go of the stream too: the reader does so when it ends."""
        self._fail(failure)
        if self._reader is not None:
            self._reader.cancel()

    async def _request(self, op: str, arguments: Mapping[str, Any]) -> Channel:
        if self.closed:
            raise LinkLost
        number = self._next_channel
        self._next_channel = number % 0xFFFFFFFF + 1
        channel = Channel(self, number)
        self._channels[number] = channel
        try:
            await self.send(agent.REQUEST, number, agent.encode({"op": op, **arguments}))
        except BaseException:
            self._channels.pop(number, None)
            raise
        return channel

    async def _give_up(self, channel: Channel) -> None:
        """Tell the guest that nobody waits for an answer any more."""
        if self._channels.get(channel.number) is channel and not self.closed:
            self._channels[channel.number] = None
            try:
                async with asyncio.timeout(GIVE_UP_SECONDS):
                    await self.send(agent.CANCEL, channel.number)
            except LinkLost:
                pass
            except TimeoutError:
                self._end(LinkLost("the sandbox takes nothing any more"))
        self._channels.pop(channel.number, None)

    @asynccontextmanager
    async def _channel(self, op: str, arguments: Mapping[str, Any]) -> AsyncIterator[Channel]:
        """Ask, and give the channel; give it up if the answer is not waited for to its end."""
        with _in_time("the sandbox takes nothing any more"):
            async with asyncio.timeout(CALL_SECONDS):
                channel = await self._request(op, arguments)
        try:
            yield channel
        except BaseException:
            await self._give_up(channel)
            raise

    async def _call(self, op: str, within: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Ask and return the answer. Raises GuestError, or LinkLost if none comes in time."""
        within = within or CALL_SECONDS
        with _in_time(f"the sandbox did not answer within {within:g} seconds"):
            async with asyncio.timeout(within), self._channel(op, arguments) as channel:
                return await channel.answer(agent.REPLY)

    # Processes.

    async def start(self, spec: StartSpec, *, attach: bool = True) -> Attachment:
        """Start a process; it goes on whatever becomes of this link.

        If one attaches, a refusal comes with the output: the answer is not waited for here.
        """
        arguments, body = _start_arguments(spec)
        if self._recorded:
            arguments["forget"], self._recorded = self._recorded, []
        with _in_time("the sandbox did not start the process in time"):
            asking = self._channel("start", {**arguments, "attach": attach})
            async with asyncio.timeout(STALL_SECONDS), asking as channel:
                if body:
                    for part in body:
                        await channel.send(part)
                    await self.send(agent.END, channel.number)
                if not attach:
                    await channel.answer(agent.REPLY)
        return Attachment(self, channel)

    async def attach(self, process_id: str, since: int = -1, *, window: int = WINDOW) -> Attachment:
        """Follow a process from an offset on; -1 from now, 0 from the oldest that is kept.

        At most `window` bytes are on their way at once.
        """
        arguments = {"id": process_id, "since": since, "credit": window}
        with _in_time("the sandbox did not answer in time"):
            asking = self._channel("attach", arguments)
            async with asyncio.timeout(CALL_SECONDS), asking as channel:
                answer = await channel.answer(agent.HEAD)
                with self.strict():
                    kept = _kept_output(answer)
        return Attachment(self, channel, kept, window)

    async def write_stdin(self, process_id: str, data: bytes) -> None:
        """Write to a process; returns when the process, or its terminal, has taken it all."""
        with _in_time("the process does not take its input"):
            asking = self._channel("stdin", {"id": process_id})
            async with asyncio.timeout(STALL_SECONDS), asking as channel:
                await channel.send(data)
                await self.send(agent.END, channel.number)
                await channel.answer(agent.REPLY)

    async def close_stdin(self, process_id: str) -> None:
        await self._call("close_stdin", id=process_id)

    async def resize(self, process_id: str, rows: int, columns: int) -> None:
        await self._call("resize", id=process_id, size=[rows, columns])

    async def signal(self, process_id: str, name: str, *, foreground: bool = False) -> None:
        """Signal a process; or what runs in the foreground of its terminal, as Ctrl-C does."""
        await self._call("signal", id=process_id, signal=name, foreground=foreground)

    async def kill(self, process_id: str) -> None:
        """Kill a process with its whole tree; returns when none of it is left."""
        await self._call("kill", KILL_SECONDS, id=process_id)

    async def forget(self, process_id: str) -> None:
        """Tell the guest that the end of a process is on record: soon, or with the next start."""
        self._recorded.append(process_id)
        if len(self._recorded) == 1:
            asyncio.get_running_loop().call_later(FORGET_SECONDS, self._flush_forgotten)

    def _flush_forgotten(self) -> None:
        if self._recorded and not self.closed:
            ids, self._recorded = self._recorded, []
            self._flushing = asyncio.ensure_future(self._call_quietly("forget", ids=ids))

    async def _call_quietly(self, op: str, **arguments: Any) -> None:
        with suppress(GuestError):
            await self._call(op, **arguments)

    async def processes(self) -> list[ProcessInfo]:
        found = (await self._call("processes")).get("processes")
        if not isinstance(found, list) or len(found) > MAX_PROCESSES:
            raise self.broken("a list of processes came that is none")
        with self.strict():
            return [_process_info(entry) for entry in found]

    async def process(self, process_id: str) -> ProcessInfo:
        answer = await self._call("process", id=process_id)
        with self.strict():
            return _process_info(answer)

    async def top(self) -> tuple[list[BoxProcess], int]:
        """Return what runs in the box, whoever started it, and how many there are in all."""
        answer = await self._call("top")
        found = answer.get("processes")
        if not isinstance(found, list) or len(found) > agent.MAX_SHOWN:
            raise self.broken("a list of processes came that is none")
        with self.strict():
            return [_box_process(entry) for entry in found], _count(answer, "total")

    # Files.

    async def stat(self, path: str, *, follow: bool = True) -> FileStat:
        answer = await self._call("stat", path=path, follow=follow)
        with self.strict():
            return _file_stat(answer)

    async def list(
        self, path: str, *, after: str = "", limit: int = MAX_ENTRIES
    ) -> tuple[list[FileStat], str | None]:
        """Return entries of a folder, sorted by name, and the name to go on after."""
        answer = await self._call("list", path=path, after=after, limit=limit)
        entries = answer.get("entries")
        if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
            raise self.broken("a list of files came that is none")
        more = answer.get("after")
        with self.strict():
            return [_file_stat(entry) for entry in entries], more if isinstance(more, str) else None

    async def read(
        self, path: str, *, start: int = 0, end: int | None = None
    ) -> tuple[FileStat, AsyncGenerator[bytes]]:
        """Open a file; return what it is and its bytes. Close the iterator to give up."""
        with _in_time("the sandbox did not open the file in time"):
            asking = self._channel("read", {"path": path, "start": start, "end": end})
            async with asyncio.timeout(CALL_SECONDS), asking as channel:
                answer = await channel.answer(agent.HEAD)
                with self.strict():
                    stat = _file_stat(answer)
        return stat, self._chunks(channel)

    async def _chunks(self, channel: Channel) -> AsyncGenerator[bytes]:
        consumed = 0
        try:
            while True:
                async with asyncio.timeout(STALL_SECONDS):
                    kind, payload = await channel.next()
                if kind == agent.REPLY:
                    return
                if kind != agent.DATA:
                    raise self.broken("something else came instead of a file")
                yield payload
                consumed += len(payload)
                if consumed >= WINDOW // 4:
                    if self._channels.get(channel.number) is channel:
                        await channel.grant(consumed)
                    consumed = 0
        except TimeoutError:
            raise LinkLost("the sandbox stopped sending the file") from None
        finally:
            await self._give_up(channel)

    async def write(
        self,
        path: str,
        chunks: AsyncIterable[bytes],
        *,
        size: int | None = None,
        mode: int | None = None,
        modified: float | None = None,
        key: str | None = None,
        make_parents: bool = True,
        overwrite: bool = True,
    ) -> FileStat:
        """Write a file whole or not at all. `written` finds it by its key."""
        arguments = {
            "path": path,
            "size": size,
            "mode": mode,
            "modified": modified,
            "key": key,
            "make_parents": make_parents,
            "overwrite": overwrite,
        }
        async with self._channel("write", arguments) as channel:
            async for chunk in chunks:
                with _in_time(STUCK):
                    async with asyncio.timeout(STALL_SECONDS):
                        await channel.send(chunk)
            with _in_time(STUCK):
                async with asyncio.timeout(STALL_SECONDS):
                    await self.send(agent.END, channel.number)
                    answer = await channel.answer(agent.REPLY)
            with self.strict():
                return _file_stat(answer)

    async def written(self, key: str) -> FileStat:
        """Return the file that was written with a key, as it is now."""
        answer = await self._call("written", key=key)
        with self.strict():
            return _file_stat(answer)

    async def mkdir(self, path: str, *, parents: bool = True) -> None:
        await self._call("mkdir", path=path, parents=parents)

    async def move(self, path: str, to: str, *, overwrite: bool = False) -> None:
        await self._call("move", path=path, to=to, overwrite=overwrite)

    async def copy(self, path: str, to: str, *, overwrite: bool = False) -> None:
        await self._call("copy", path=path, to=to, overwrite=overwrite)

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        await self._call("remove", path=path, recursive=recursive)

    # The box.

    async def usage(self) -> Usage:
        answer = await self._call("usage")
        with self.strict():
            return _usage(answer)

    async def deadline(self, seconds: float) -> None:
        """Have the box end by itself so many seconds from now, unless it is told again."""
        await self._call("deadline", seconds=seconds)


class Attachment:
    """The output of a process, as it comes, and its end."""

    def __init__(
        self, link: Link, channel: Channel, kept: KeptOutput | None = None, window: int = WINDOW
    ) -> None:
        self._link = link
        self._channel = channel
        self._window = window
        self._exit: ProcessExit | None = None
        # What the guest held when this began.
        self.kept = kept or KeptOutput(0, 0, "")

    async def output(self) -> AsyncGenerator[OutputChunk]:
        """Give the output until the process has ended and everything it said was given."""
        consumed = 0
        while self._exit is None:
            kind, payload = await self._channel.next()
            if kind == agent.REPLY:
                with self._link.strict():
                    self._exit = _process_exit(_decoded(payload))
                return
            if kind != agent.OUTPUT:
                raise self._link.broken("something else came instead of output")
            with self._link.strict():
                chunk = _output_chunk(payload)
            yield chunk
            consumed += len(payload)
            if consumed >= self._window // 4:
                await self._channel.grant(consumed)
                consumed = 0

    async def exit(self) -> ProcessExit:
        """Return how it ended; output that nobody took is dropped."""
        async for _ in self.output():
            pass
        assert self._exit is not None
        return self._exit

    async def detach(self) -> None:
        """Follow it no longer. The process goes on."""
        await self._link._give_up(self._channel)


@contextmanager
def _in_time(message: str) -> Iterator[None]:
    """Turn a timeout into what it means on a link."""
    try:
        yield
    except TimeoutError:
        raise LinkLost(message) from None


def _start_arguments(spec: StartSpec) -> tuple[dict[str, Any], list[bytes]]:
    """Return the request, and what is sent behind it."""
    arguments: dict[str, Any] = {
        "id": spec.id,
        "argv": list(spec.argv) if spec.argv else None,
        "cwd": spec.cwd,
        "env": dict(spec.env),
        "open_stdin": spec.open_stdin,
        "pty": spec.pty,
        "timeout": spec.timeout,
        "limits": spec.limits,
    }
    body: list[bytes] = []
    if spec.script is not None:
        script = spec.script.encode(errors="surrogateescape")
        if len(script) <= INLINE_SCRIPT and spec.stdin is None:
            arguments["script"] = spec.script
        else:
            arguments["script_size"] = len(script)
            body.append(script)
    if spec.stdin is not None:
        arguments["stdin_size"] = len(spec.stdin)
        body.append(spec.stdin)
    return arguments, body


# What the guest says is checked field by field: it may say anything.


def _decoded(payload: bytes) -> dict[str, Any]:
    try:
        return dict(agent.decode(payload))
    except agent.BrokenFrame as error:
        raise ProtocolError(f"the sandbox sent {error}") from error


def _guest_error(said: Mapping[str, Any]) -> GuestError:
    return GuestError(_text(said, "code", 50), _text(said, "message", 1000))


def _text(said: Mapping[str, Any], name: str, limit: int = 8192) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise ProtocolError(f"the sandbox sent no {name}")
    return value[:limit]


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ProtocolError(f"the sandbox sent no {name}")
    return int(value)


def _number(said: Mapping[str, Any], name: str) -> float:
    value = said.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 2**53:
        raise ProtocolError(f"the sandbox sent no {name}")
    return float(value)


def _flag(said: Mapping[str, Any], name: str) -> bool:
    return said.get(name) is True


def _usage(said: Mapping[str, Any]) -> Usage:
    return Usage(
        cpu_seconds=_number(said, "cpu_seconds"),
        memory_bytes=_count(said, "memory_bytes"),
        memory_limit_bytes=_count(said, "memory_limit_bytes"),
        processes=_count(said, "processes"),
        pids_limit=_count(said, "pids_limit"),
        workspace_bytes=_count(said, "workspace_bytes"),
        workspace_limit_bytes=_count(said, "workspace_limit_bytes"),
        oom_kills=_count(said, "oom_kills"),
    )


def _process_exit(said: Mapping[str, Any]) -> ProcessExit:
    return ProcessExit(
        exit_code=max(-1, min(255, _count(said, "exit_code"))),
        signal=None if said.get("signal") is None else _count(said, "signal"),
        timed_out=_flag(said, "timed_out"),
        out_of_memory=_flag(said, "out_of_memory"),
        stdout_bytes=_count(said, "stdout_bytes"),
        stderr_bytes=_count(said, "stderr_bytes"),
        truncated=_flag(said, "truncated"),
        duration=max(0.0, min(1e9, _number(said, "duration"))),
    )


def _process_info(said: Any) -> ProcessInfo:
    if not isinstance(said, dict):
        raise ProtocolError("the sandbox sent a process that is none")
    ended = said.get("exit")
    return ProcessInfo(
        id=_text(said, "id", 64),
        pid=_count(said, "pid"),
        running=_flag(said, "running"),
        attached=_count(said, "attached"),
        exit=_process_exit(ended) if isinstance(ended, dict) else None,
        started_at=_number(said, "started_at"),
        oldest_offset=_count(said, "oldest_offset"),
        next_offset=_count(said, "next_offset"),
        command=_text(said, "command", 200),
    )


def _kept_output(said: Mapping[str, Any]) -> KeptOutput:
    return KeptOutput(
        oldest_offset=_count(said, "oldest_offset"),
        next_offset=_count(said, "next_offset"),
        preamble=_text(said, "preamble", 2048),
    )


def _box_process(said: Any) -> BoxProcess:
    if not isinstance(said, dict):
        raise ProtocolError("the sandbox sent a process that is none")
    return BoxProcess(
        pid=_count(said, "pid"),
        command=_text(said, "command", 200),
        cpu_seconds=_number(said, "cpu_seconds"),
        memory_bytes=_count(said, "memory_bytes"),
        seconds=_number(said, "seconds"),
    )


def _file_stat(said: Any) -> FileStat:
    if not isinstance(said, dict):
        raise ProtocolError("the sandbox sent a file that is none")
    return FileStat(
        path=_text(said, "path"),
        name=_text(said, "name"),
        kind=_text(said, "kind", 20),
        size=_count(said, "size"),
        mode=_count(said, "mode"),
        uid=_count(said, "uid"),
        gid=_count(said, "gid"),
        modified=_number(said, "modified"),
        target=None if said.get("target") is None else _text(said, "target"),
    )


def _output_chunk(payload: bytes) -> OutputChunk:
    if len(payload) < agent.OUTPUT_HEADER.size:
        raise ProtocolError("the sandbox sent output that is none")
    stream, offset = agent.OUTPUT_HEADER.unpack_from(payload)
    if stream >= len(agent.STREAMS):
        raise ProtocolError("the sandbox sent output of no stream")
    return OutputChunk(agent.STREAMS[stream], offset, payload[agent.OUTPUT_HEADER.size :])
