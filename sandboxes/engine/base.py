"""The one seam to whatever runs boxes: what every engine promises.

tests/engine/test_contract.py holds each promise against every engine.

The errors an engine may raise, and nothing else:

* EngineError            the engine refused or failed; the message is fit for a user
  x EngineUnavailable    no answer from the engine, or not in time; what was asked may have happened
  x BoxNotFound          no box of that name
  x BoxConflict          a box of that name exists, or its state forbids the call
    x BoxPaused          it is paused
  x ImageNotFound        no such image here
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class EngineError(Exception):
    """The engine refused or failed. The message names no host path."""


class EngineUnavailable(EngineError):
    """The engine gave no answer in time. What was asked may have happened."""


class BoxNotFound(EngineError):
    """No box of that name."""


class BoxConflict(EngineError):
    """A box of that name exists already, or its state forbids the call."""


class BoxPaused(BoxConflict):
    """The box is paused, and what was asked needs one that runs."""


class ImageNotFound(EngineError):
    """No such image on the engine."""


class BoxState(StrEnum):
    """What a box is doing, in the words of the reconciler's table."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """Everything a caller may decide about a box. The isolation profile decides the rest."""

    name: str
    image: str
    command: Sequence[str]
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: float = 1.0
    memory_bytes: int = 1024 * 2**20
    workspace_bytes: int = 384 * 2**20
    pids: int = 256
    network: str = "none"
    runtime: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A box as the engine sees it now."""

    name: str
    id: str
    state: BoxState
    labels: Mapping[str, str]
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BoxEnd:
    """How a box ended. `out_of_memory` is a hint: engines are known to leave it False."""

    exit_code: int | None
    out_of_memory: bool


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the engine."""

    name: str
    id: str
    size_bytes: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine tells of itself and of the machine it runs on."""

    version: str
    kernel: str
    system: str
    cpus: int
    memory_bytes: int
    # Its clock when it answered.
    at: datetime
    storage: str = ""
    cgroups: str = ""
    runtime: str = ""
    # What fences its boxes in, such as seccomp and apparmor.
    security: tuple[str, ...] = ()
    # What it itself finds wrong with its machine.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineDisk:
    """How much of the engine's disk is taken, in bytes."""

    images: int = 0
    containers: int = 0
    volumes: int = 0
    build_cache: int = 0


class ByteStream(Protocol):
    """One open byte stream to a guest: what a link speaks over.

    `read` gives b"" at the end. A `write` that is given up still sends all or nothing. `close` may be called at any time, twice too, and lets go
    of every socket under the stream before it returns.
    """

    async def read(self, limit: int) -> bytes: ...

    async def write(self, data: bytes | bytearray | memoryview) -> None: ...

    async def close(self) -> None: ...


class Engine(ABC):
    """Runs boxes. Every call is bounded by a deadline and may be repeated without harm."""

    name: str

    @abstractmethod
    async def ping(self) -> str:
        """Return the engine's version."""

    @abstractmethod
    async def info(self) -> EngineInfo:
        """Return what the engine tells of itself."""

    @abstractmethod
    async def disk_usage(self) -> EngineDisk:
        """Return what the engine keeps on its disk. It counts, so this may take seconds."""

    @abstractmethod
    async def create(self, spec: BoxSpec) -> Box:
        """Make a box and leave it stopped. A second create of a name raises BoxConflict."""

    @abstractmethod
    async def start(self, name: str) -> None:
        """Start a box. Starting a running box does nothing."""

    @abstractmethod
    async def get(self, name: str) -> Box:
        """Return the box as it is now."""

    @abstractmethod
    async def list(self, labels: Mapping[str, str]) -> list[Box]:
        """Return every box, in any state, that carries all these labels."""

    @abstractmethod
    async def end_of(self, name: str) -> BoxEnd:
        """Tell how an exited box ended."""

    @abstractmethod
    async def pause(self, name: str) -> None:
        """Freeze a running box. Pausing a paused box does nothing."""

    @abstractmethod
    async def resume(self, name: str) -> None:
        """Thaw a paused box. Resuming a running box does nothing."""

    @abstractmethod
    async def remove(self, name: str) -> None:
        """Kill a box in any state and remove it with all it held. A missing box is no error.

        Close every stream to the box first: an unread stream of a killed process wedges
        the Docker engine.
        """

    @abstractmethod
    async def open_stream(self, name: str, argv: Sequence[str]) -> ByteStream:
        """Run argv in a running box as its user and return its stdin and stdout as a stream.

        What argv says on stderr is logged at debug level and never mixed into the stream.
        """

    @abstractmethod
    async def image(self, name: str) -> Image:
        """Return an image that is here."""

    @abstractmethod
    async def import_image(
        self, name: str, archive: AsyncIterator[bytes], labels: Mapping[str, str]
    ) -> Image:
        """Make an image from a tar archive of a root file system."""

    async def build_image(
        self,
        name: str,
        context: bytes,
        base: str,
        labels: Mapping[str, str],
        report: Callable[[str], None],
    ) -> Image:
        """Make an image from a tar archive with a Dockerfile, saying how it goes.

        Raises ImageNotFound if `base` is not here and no registry has it.
        """
        raise ImageNotFound("This engine builds no images.")

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections and threads."""
