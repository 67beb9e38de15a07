"""An engine for fast tests and for work on pages: a box is a subprocess in a temporary folder.

It isolates NOTHING. What runs in such a box runs as the user of this server, sees his files and
his network, and is held by no limit. So get_engine() gives it only to tests and with DEBUG.

A box has no image either: its programs are those of this machine. It gets a folder of its own
with a workspace in it, and the guest is told to take that folder for /. Boxes are known to this
object alone, and end with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from . import profile
from .base import (
    Box,
    BoxConflict,
    BoxEnd,
    BoxNotFound,
    BoxPaused,
    BoxSpec,
    BoxState,
    Engine,
    EngineDisk,
    EngineError,
    EngineInfo,
    Image,
    ImageNotFound,
)

logger = logging.getLogger(__name__)

FOLDERS = ("workspace", "home/sandbox", "tmp", "run", "skills")
# Tells the guest which folder stands for /.
ROOT = "SANDBANK_ROOT"
KILL_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 0.002


@dataclass(eq=False)
class _LocalBox:
    spec: BoxSpec
    folder: Path
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    main: subprocess.Popen[bytes] | None = None
    paused: bool = False
    # What looks after the programs of streams, until they end.
    tending: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def state(self) -> BoxState:
        if self.main is None:
            return BoxState.CREATED
        if self.main.poll() is not None:
            return BoxState.EXITED
        return BoxState.PAUSED if self.paused else BoxState.RUNNING

    @property
    def environment(self) -> dict[str, str]:
        """Return what every program in the box finds; nothing of the server's own."""
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        home = str(self.folder / "home/sandbox")
        return {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "USER": "sandbox"}

    def start(self) -> None:
        try:
            self.main = subprocess.Popen(
                self.spec.command,
                cwd=self.folder / "workspace",
                env={**self.environment, ROOT: str(self.folder), **self.spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"The box did not start: {error.strerror}.") from error

    def seen(self) -> Box:
        return Box(self.spec.name, self.id, self.state, dict(self.spec.labels), self.created_at)


class LocalEngine(Engine):
    """Runs boxes as subprocesses, for whoever trusts what runs in them."""

    name = "local"

    def __init__(self) -> None:
        self._boxes: dict[str, _LocalBox] = {}
        self._images: dict[str, Image] = {}

    async def ping(self) -> str:
        return f"{sys.version_info.major}.{sys.version_info.minor} (local, no isolation)"

    async def info(self) -> EngineInfo:
        machine = os.uname()
        return EngineInfo(
            version=await self.ping(),
            kernel=machine.release,
            system=machine.sysname,
            cpus=os.cpu_count() or 1,
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            at=datetime.now(UTC),
        )

    async def disk_usage(self) -> EngineDisk:
        return EngineDisk(images=sum(image.size_bytes for image in self._images.values()))

    async def create(self, spec: BoxSpec) -> Box:
        profile.container_config(spec)  # refuses what no box can have
        if spec.name in self._boxes:
            raise BoxConflict(f"There is a box {spec.name!r} already.")
        box = _LocalBox(spec, Path(tempfile.mkdtemp(prefix="sandbank-local-")))
        for name in FOLDERS:
            (box.folder / name).mkdir(parents=True)
        self._boxes[spec.name] = box
        return box.seen()

    async def start(self, name: str) -> None:
        box = self._find(name)
        if box.state is BoxState.RUNNING:
            return
        if box.state is BoxState.PAUSED:
            raise BoxPaused("The box is paused.")
        box.start()

    async def get(self, name: str) -> Box:
        return self._find(name).seen()

    async def list(self, labels: Mapping[str, str]) -> list[Box]:
        boxes = [box.seen() for box in self._boxes.values()]
        return [box for box in boxes if labels.items() <= box.labels.items()]

    async def end_of(self, name: str) -> BoxEnd:
        box = self._find(name)
        if box.state is not BoxState.EXITED:
            raise BoxConflict("The box has not ended.")
        assert box.main is not None
        code = box.main.returncode
        return BoxEnd(exit_code=128 - code if code < 0 else code, out_of_memory=False)

    async def pause(self, name: str) -> None:
        box = self._find(name)
        self._need(box, BoxState.RUNNING, BoxState.PAUSED)
        _stop(box)
        box.paused = True

    async def resume(self, name: str) -> None:
        box = self._find(name)
        self._need(box, BoxState.RUNNING, BoxState.PAUSED)
        _signal(_members(box), signal.SIGCONT)
        box.paused = False

    async def remove(self, name: str) -> None:
        box = self._boxes.get(name)
        if box is None:
            return
        async with asyncio.timeout(KILL_SECONDS):
            while members := _stop(box):
                _signal(members, signal.SIGKILL)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            if box.main is not None:
                await asyncio.to_thread(box.main.wait)
            await asyncio.gather(*box.tending)
        await asyncio.to_thread(shutil.rmtree, box.folder, ignore_errors=True)
        if self._boxes.get(name) is box:
            del self._boxes[name]

    async def open_stream(self, name: str, argv: Sequence[str]) -> LocalStream:
        box = self._find(name)
        self._need(box, BoxState.RUNNING)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                program = await asyncio.create_subprocess_exec(
                    *argv,
                    cwd=box.folder / "workspace",
                    env=box.environment,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise EngineError(f"{argv[0]} cannot be run: {error.strerror}.") from error
        tending = asyncio.create_task(_tend(program, argv[0]))
        box.tending.add(tending)
        tending.add_done_callback(box.tending.discard)
        return LocalStream(ours)

    async def image(self, name: str) -> Image:
        try:
            return self._images[name]
        except KeyError:
            raise ImageNotFound(f"There is no image {name!r}.") from None

    async def import_image(
        self, name: str, archive: AsyncIterator[bytes], labels: Mapping[str, str]
    ) -> Image:
        size = sum([len(chunk) async for chunk in archive])
        self._images[name] = Image(name, uuid.uuid4().hex, size, dict(labels))
        return self._images[name]

    async def build_image(
        self,
        name: str,
        context: bytes,
        base: str,
        labels: Mapping[str, str],
        report: Callable[[str], None],
    ) -> Image:
        """Note that there is an image. Nothing has to be built where no box looks into one."""
        self._images[name] = Image(name, uuid.uuid4().hex, len(context), dict(labels))
        return self._images[name]

    async def close(self) -> None:
        """End every box."""
        await asyncio.gather(*(self.remove(name) for name in list(self._boxes)))

    def _find(self, name: str) -> _LocalBox:
        try:
            return self._boxes[name]
        except KeyError:
            raise BoxNotFound(f"There is no box {name!r}.") from None

    def _need(self, box: _LocalBox, *states: BoxState) -> None:
        if box.state not in states:
            conflict = BoxPaused if box.state is BoxState.PAUSED else BoxConflict
            raise conflict(f"The box is {box.state}.")


class LocalStream:
    """Our end of the socket that is a program's stdin and stdout."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._reading, self._writing = asyncio.Lock(), asyncio.Lock()

    async def read(self, limit: int) -> bytes:
        async with self._reading:
            if self._end.fileno() < 0:
                return b""
            try:
                return await asyncio.get_running_loop().sock_recv(self._end, limit)
            except OSError:
                return b""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        # Whoever gives up waiting leaves no half of it behind.
        await asyncio.shield(asyncio.ensure_future(self._write(bytes(data))))

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            if self._end.fileno() < 0:
                raise EngineError("The stream is closed.")
            try:
                await asyncio.get_running_loop().sock_sendall(self._end, data)
            except OSError as error:
                raise EngineError(f"The stream ended: {error.strerror}.") from error

    async def close(self) -> None:
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)  # wakes whoever reads or writes
        async with self._reading, self._writing:
            self._end.close()


async def _tend(program: Process, name: str) -> None:
    """Log what a program says on stderr, and bury it."""
    assert program.stderr is not None
    while said := await program.stderr.read(4096):
        logger.debug("%s: %s", name, said.decode(errors="replace").rstrip())
    await program.wait()


def _members(box: _LocalBox) -> set[int]:
    """Return every living process of a box: its descendants, and who has its folder for a home."""
    mark, children = os.fsencode(box.folder), defaultdict(list)
    found = {box.main.pid} if box.main is not None and box.main.poll() is None else set()
    for pid, parent in _living():
        children[parent].append(pid)
        with suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes():
                found.add(pid)
    pending = list(found)
    while pending:
        born = [pid for pid in children[pending.pop()] if pid not in found]
        found.update(born)
        pending += born
    return found


def _living() -> Iterable[tuple[int, int]]:
    """Yield each process that is no zombie, and its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in brackets may hold anything, so the fields are counted behind it.
            status = path.read_bytes().rpartition(b")")[2].split()
            if status[0] not in (b"Z", b"X"):
                yield int(path.parent.name), int(status[1])


def _stop(box: _LocalBox) -> set[int]:
    """Stop every process of a box, until no new one is born. Return them."""
    stopped: set[int] = set()
    while born := _members(box) - stopped:
        _signal(born, signal.SIGSTOP)
        stopped |= born
    return stopped


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
