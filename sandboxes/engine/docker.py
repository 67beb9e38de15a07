"""Boxes on a Docker engine. The only module that imports docker."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import io
import json
import logging
import re
import socket
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.tls import TLSConfig

from .base import (
    Box,
    BoxConflict,
    BoxEnd,
    BoxNotFound,
    BoxPaused,
    BoxSpec,
    BoxState,
    ByteStream,
    Engine,
    EngineDisk,
    EngineError,
    EngineInfo,
    EngineUnavailable,
    Image,
    ImageNotFound,
)
from .endpoint import Certificates, Endpoint
from .hijack import UpgradeRefused, open_exec
from .profile import BOX_LABEL, USER, WORKSPACE, container_config, private_variables

log = logging.getLogger(__name__)

# A docker.APIClient. The published types leave out half of what is called here.
type Api = Any

# The oldest API that has all that the profile asks for: Docker 20.10.
OLDEST_API = "1.41"

THREADS = 16
CONNECT_SECONDS = 0.9
READ_SECONDS = 5.0
CHANGE_SECONDS = 30.0
REGISTRY_SECONDS = 10.0
BUILD_SECONDS = 1800.0

STATES = {
    "created": BoxState.CREATED,
    "running": BoxState.RUNNING,
    "restarting": BoxState.RUNNING,
    "paused": BoxState.PAUSED,
    "exited": BoxState.EXITED,
    "dead": BoxState.EXITED,
    "removing": BoxState.EXITED,
}

# What the engine says, and what we make of it. The first that is found decides.
SAYINGS: tuple[tuple[str, type[EngineError], str], ...] = (
    (r"no such image|does not exist or no pull access", ImageNotFound, "There is no such image."),
    (r"no such container|no such exec", BoxNotFound, "There is no such box."),
    (r"already in use by container", BoxConflict, "The name is taken by another container."),
    (r"is paused|paused container", BoxPaused, "The box is paused."),
    (r"not paused", BoxConflict, "The box is not paused."),
    (r"is not running", BoxConflict, "The box is not running."),
    (r"executable file not found", EngineError, "The image has no such program to run."),
    (r"no space left on device", EngineError, "The engine's disk is full."),
    (r"unknown (or invalid )?runtime", EngineError, "The engine does not have that runtime."),
    (r"client version .* is too", EngineError, "The engine is too old: Docker 20.10 is needed."),
)
STATUSES: dict[int, tuple[type[EngineError], str]] = {
    404: (BoxNotFound, "There is no such box."),
    409: (BoxConflict, "The state of the box does not allow that."),
}


def translate(status: int, text: str) -> EngineError:
    """Turn an error answer of the engine into one of ours. The engine's text may name paths."""
    log.log(logging.WARNING if status >= 500 else logging.INFO, "engine said %s: %s", status, text)
    for pattern, error, message in SAYINGS:
        if re.search(pattern, text, re.IGNORECASE):
            return error(message)
    error, message = STATUSES.get(status, (EngineError, "The engine could not do that."))
    return error(message)


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """Let nothing but an EngineError out, whatever docker-py and what is under it raise."""
    try:
        yield
    except APIError as error:
        raise translate(error.status_code or 0, str(error.explanation or error)) from error
    except UpgradeRefused as error:
        raise translate(error.status, error.message) from error
    except (TimeoutError, requests.Timeout) as error:
        raise EngineUnavailable("The engine did not answer in time.") from error
    except (DockerException, requests.RequestException, OSError) as error:
        log.warning("engine unavailable: %s", error)
        raise EngineUnavailable("The engine cannot be reached.") from error


@dataclass(frozen=True, slots=True)
class Clients:
    """The engine's clients. docker-py has one deadline for each client, so there are two."""

    version: str
    reads: Api
    changes: Api

    @classmethod
    def connect(cls, endpoint: Endpoint) -> Clients:
        """Agree with the engine on the newest API that it has."""
        with contextlib.closing(_client(endpoint, OLDEST_API, READ_SECONDS)) as first:
            version = str(first.version(api_version=False)["ApiVersion"])
        reads = _client(endpoint, version, READ_SECONDS)
        return cls(version, reads, _client(endpoint, version, CHANGE_SECONDS))

    def close(self) -> None:
        self.reads.close()
        self.changes.close()


class DockerEngine(Engine):
    """Runs each box as a container of one Docker engine."""

    name = "docker"

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self.endpoint = endpoint or Endpoint.from_environment()
        self._clients: Clients | None = None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")

    async def ping(self) -> str:
        version = await self._read(lambda client: client.version(api_version=False))
        return str(version["Version"])

    async def info(self) -> EngineInfo:
        return _info(await self._read(lambda api: api.info()))

    async def disk_usage(self) -> EngineDisk:
        return _disk_usage(await self._change(lambda api: api.df()))

    async def create(self, spec: BoxSpec) -> Box:
        config = container_config(spec)
        try:
            await self._change(lambda api: api.create_container_from_config(config, spec.name))
        except EngineUnavailable as unavailable:
            return await self._look_for(spec, unavailable)
        return await self.get(spec.name)

    async def start(self, name: str) -> None:
        box = await self.get(name)
        await self._change(lambda api: api.start(box.id))

    async def get(self, name: str) -> Box:
        filters = {"name": f"^/{re.escape(name)}$", "label": [BOX_LABEL]}
        found = await self._read(lambda api: api.containers(all=True, filters=filters))
        if not found:
            raise BoxNotFound("There is no such box.")
        return _box(found[0])

    async def list(self, labels: Mapping[str, str]) -> builtins.list[Box]:
        wanted = [BOX_LABEL, *(f"{key}={value}" for key, value in labels.items())]
        # Not containers.list(), which asks again for each one and fails if one goes meanwhile.
        found = await self._read(lambda api: api.containers(all=True, filters={"label": wanted}))
        return [_box(container) for container in found]

    async def end_of(self, name: str) -> BoxEnd:
        box = await self.get(name)
        state = (await self._read(lambda api: api.inspect_container(box.id)))["State"]
        if STATES[state["Status"]] is not BoxState.EXITED:
            raise BoxConflict("The box has not ended.")
        return BoxEnd(state["ExitCode"], state["OOMKilled"])

    async def pause(self, name: str) -> None:
        await self._bring(name, BoxState.PAUSED, lambda api, box_id: api.pause(box_id))

    async def resume(self, name: str) -> None:
        await self._bring(name, BoxState.RUNNING, lambda api, box_id: api.unpause(box_id))

    async def remove(self, name: str) -> None:
        with contextlib.suppress(BoxNotFound):
            # By id: a container that took the name since is not the one to remove.
            box = await self.get(name)
            await self._change(lambda api: _remove(api, box.id))

    async def open_stream(self, name: str, argv: Sequence[str]) -> ByteStream:
        box = await self.get(name)
        version, exec_id = await self._call(
            lambda clients: (clients.version, _prepare_exec(clients.changes, box, argv)),
            CHANGE_SECONDS,
        )
        with engine_errors():
            async with asyncio.timeout(CHANGE_SECONDS):
                return await open_exec(self.endpoint, version, exec_id)

    async def image(self, name: str) -> Image:
        return await self._read(lambda api: _image(api, name))

    async def import_image(
        self, name: str, archive: AsyncIterator[bytes], labels: Mapping[str, str]
    ) -> Image:
        feed = ThreadFeed(archive)
        try:
            await self._build(lambda api: _import(api, name, feed, labels))
        finally:
            feed.stop()
        return await self.image(name)

    async def build_image(
        self,
        name: str,
        context: bytes,
        base: str,
        labels: Mapping[str, str],
        report: Callable[[str], None],
    ) -> Image:
        loop = asyncio.get_running_loop()

        def say(line: str) -> None:
            loop.call_soon_threadsafe(report, line)

        await self._call(lambda clients: _find_base(clients.changes, base), REGISTRY_SECONDS)
        await self._build(lambda api: _build(api, name, context, labels, say))
        return await self.image(name)

    async def log_driver(self, name: str) -> str:
        """Tell where the engine keeps what process 1 of a box prints: "none" is meant."""
        box = await self.get(name)
        config = await self._read(lambda api: api.inspect_container(box.id))
        return str(config["HostConfig"]["LogConfig"]["Type"])

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._clients is not None:
            self._clients.close()

    async def _look_for(self, spec: BoxSpec, unavailable: EngineUnavailable) -> Box:
        """After a create without an answer: it may have happened, and may still happen."""
        if isinstance(unavailable.__cause__, requests.ConnectTimeout):
            raise unavailable  # nothing was sent
        try:
            box = await self.get(spec.name)
        except EngineError:
            raise unavailable from unavailable.__cause__
        if not spec.labels.items() <= box.labels.items():
            raise BoxConflict("The name is taken by another container.") from unavailable
        return box

    async def _bring(self, name: str, state: BoxState, change: Callable[[Api, str], None]) -> None:
        """Bring a box to a state that it, or somebody else at the same time, may reach first."""
        box = await self.get(name)
        if box.state is state:
            return
        try:
            await self._change(lambda api: change(api, box.id))
        except BoxConflict:
            if (await self.get(name)).state is not state:
                raise

    async def _read[T](self, work: Callable[[Api], T]) -> T:
        return await self._call(lambda clients: work(clients.reads), READ_SECONDS)

    async def _change[T](self, work: Callable[[Api], T]) -> T:
        return await self._call(lambda clients: work(clients.changes), CHANGE_SECONDS)

    async def _build[T](self, work: Callable[[Api], T]) -> T:
        return await self._call(lambda clients: work(clients.changes), BUILD_SECONDS)

    async def _call[T](self, work: Callable[[Clients], T], seconds: float) -> T:
        """Run docker-py in a thread of our own, so that it never waits for anybody else's."""
        loop = asyncio.get_running_loop()
        with engine_errors():
            async with asyncio.timeout(seconds):
                return await loop.run_in_executor(self._threads, lambda: work(self._connect()))

    def _connect(self) -> Clients:
        _knock(self.endpoint)
        # Without a lock: a frozen engine would make every thread wait for its turn to time out.
        clients = self._clients or Clients.connect(self.endpoint)
        if self._clients is None:
            self._clients = clients
        elif self._clients is not clients:
            clients.close()  # another thread was faster
        return self._clients


class ThreadFeed:
    """Hands the chunks of an asynchronous archive to a thread, one at a time."""

    def __init__(self, archive: AsyncIterator[bytes]) -> None:
        self._archive = archive
        self._loop = asyncio.get_running_loop()
        self._stopped = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if chunk is None:
                return
            if chunk:  # an empty one would end an HTTP body
                yield chunk

    async def _next(self) -> bytes | None:
        if self._stopped:
            raise EngineError("The import was given up.")
        return await anext(self._archive, None)

    def stop(self) -> None:
        self._stopped = True


def _knock(endpoint: Endpoint) -> None:
    """Raise OSError if nobody listens at a Unix socket.

    docker-py leaves each Unix socket open that it could not connect. In an outage that would
    eat up the process's files.
    """
    if endpoint.socket_path:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(endpoint.socket_path)


def _client(endpoint: Endpoint, version: str, seconds: float) -> Api:
    client: Api = docker.APIClient(
        base_url=endpoint.url,
        # Given, or the constructor would already talk to the engine.
        version=version,
        tls=_tls(endpoint.certificates) if endpoint.certificates else False,
        max_pool_size=THREADS,
    )
    # Otherwise variables such as REQUESTS_CA_BUNDLE replace the engine's certificate authority.
    client.trust_env = False
    client.timeout = (CONNECT_SECONDS, seconds)
    return client


def _tls(certificates: Certificates) -> TLSConfig:
    return TLSConfig(
        client_cert=(str(certificates.certificate), str(certificates.key)),
        ca_cert=str(certificates.authority) if certificates.authority else None,
        verify=certificates.authority is not None,
    )


def _box(container: Mapping[str, Any]) -> Box:
    """Read one line of the engine's list."""
    return Box(
        name=container["Names"][0].removeprefix("/"),
        id=container["Id"],
        state=STATES[container["State"]],
        labels=container["Labels"],
        created_at=datetime.fromtimestamp(container["Created"], UTC),
    )


def _info(told: Mapping[str, Any]) -> EngineInfo:
    return EngineInfo(
        version=told["ServerVersion"],
        kernel=told["KernelVersion"],
        system=told["OperatingSystem"],
        cpus=told["NCPU"],
        memory_bytes=told["MemTotal"],
        # It has nine digits behind the second, or less.
        at=datetime.fromisoformat(told["SystemTime"]),
        storage=told["Driver"],
        cgroups=f"v{told.get('CgroupVersion') or 1}",
        runtime=told["DefaultRuntime"],
        security=tuple(_option(one) for one in told.get("SecurityOptions") or ()),
        warnings=tuple(told.get("Warnings") or ()),
    )


def _option(text: str) -> str:
    """Return the name in an option such as `name=seccomp,profile=default`."""
    return text.partition(",")[0].removeprefix("name=")


def _disk_usage(told: Mapping[str, Any]) -> EngineDisk:
    def total(kind: str, size: Callable[[Any], int | None]) -> int:
        return sum(size(one) or 0 for one in told.get(kind) or ())

    return EngineDisk(
        # Layers are shared by images, and counted once.
        images=told.get("LayersSize") or 0,
        containers=total("Containers", lambda one: one.get("SizeRw")),
        volumes=total("Volumes", lambda one: (one.get("UsageData") or {}).get("Size")),
        build_cache=total("BuildCache", lambda one: one.get("Size")),
    )


def _remove(api: Api, box_id: str) -> None:
    try:
        api.remove_container(box_id, v=True, force=True)
    except APIError as error:
        gone = error.status_code == 404
        going = error.status_code == 409 and "already in progress" in str(error.explanation)
        if not gone and not going:
            raise


def _prepare_exec(api: Api, box: Box, argv: Sequence[str]) -> str:
    answer = api.exec_create(
        box.id,
        list(argv),
        stdin=True,
        user=USER,
        workdir=WORKSPACE,
        environment=private_variables(box.labels),
    )
    return str(answer["Id"])


def _image(api: Api, name: str) -> Image:
    found = api.inspect_image(name)
    labels = (found.get("Config") or {}).get("Labels") or {}
    return Image(name, found["Id"], found["Size"], labels)


def _import(api: Api, name: str, feed: ThreadFeed, labels: Mapping[str, str]) -> None:
    repository, _, tag = name.rpartition(":")
    changes = [f"LABEL {_quoted(key)}={_quoted(value)}" for key, value in labels.items()]
    answer = api.import_image_from_data(feed, repository, tag, changes)
    _raise_last_error(json.loads(line) for line in answer.splitlines() if line.strip())


def _quoted(text: str) -> str:
    """Quote for a Dockerfile, which replaces variables within quotes."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")


def _find_base(api: Api, base: str) -> None:
    """Make sure that a build can get its base image, here or from a registry."""
    try:
        api.inspect_image(base)
    except APIError:
        try:
            api.inspect_distribution(base)
        except APIError as error:
            log.info("no registry for %s: %s", base, error)
            raise ImageNotFound(f"No registry has {base}, or none answers.") from error


def _build(
    api: Api,
    name: str,
    context: bytes,
    labels: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    events = api.build(
        fileobj=io.BytesIO(context),
        custom_context=True,
        tag=name,
        labels=dict(labels),
        rm=True,
        forcerm=True,
        decode=True,
        timeout=BUILD_SECONDS,
    )
    _raise_last_error(_reported(events, say))


def _reported(
    events: Iterable[dict[str, Any]], say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    for event in events:
        if line := str(event.get("stream", "")).strip():
            say(line)
        yield event


def _raise_last_error(events: Iterable[dict[str, Any]]) -> None:
    """The engine answers 200 before it starts, and tells of a failure in its last words."""
    for event in events:
        if "error" in event:
            raise translate(200, str(event["error"]))
