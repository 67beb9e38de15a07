"""Fixtures of the engine's tests. The index:

image            the default sandbox image, made if need be
docker_engine    the shared Docker engine; every box a test made on it goes with the test
engine           each kind of engine in turn, for the contract
make_spec        what a box of this test is made from; it has the test's own label
running          the name of a running box on `engine`
victim           the name of a running box that the tests of a module share; sh runs a script in
                 it, and py a Python program
private_engine   a Docker engine of the test's own, to be killed and frozen
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from sandboxes.engine.base import BoxSpec, Engine, EngineUnavailable
from sandboxes.engine.docker import DockerEngine
from sandboxes.engine.local import LocalEngine
from sandboxes.image.build import default_image_name, ensure_image
from tests import docker_engine as docker_engines
from tests.engine.boxes import MIB, SLEEP, MakeSpec, on_docker, remove_all, run, shell, start_box


@pytest.fixture(scope="session")
def image() -> str:
    try:
        on_docker(lambda engine: ensure_image(engine, print))
    except EngineUnavailable as error:
        pytest.skip(f"needs a Docker engine: {error}")
    return default_image_name()


@pytest.fixture
def labels() -> dict[str, str]:
    return {"sandbank.test": uuid.uuid4().hex}


@pytest.fixture
async def docker_engine(image: str, labels: dict[str, str]) -> AsyncIterator[DockerEngine]:
    engine = DockerEngine()
    yield engine
    await remove_all(engine, labels)
    await engine.close()


@pytest.fixture
async def local_engine() -> AsyncIterator[LocalEngine]:
    engine = LocalEngine()
    yield engine
    await engine.close()


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "local"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(f"{request.param}_engine")  # type: ignore[no-any-return]


@pytest.fixture
def make_spec(labels: dict[str, str]) -> MakeSpec:
    def make(**changes: Any) -> BoxSpec:
        spec = BoxSpec(
            name=f"sandbank-test-{uuid.uuid4().hex[:12]}",
            image=default_image_name(),
            command=SLEEP,
            labels=labels,
            memory_bytes=256 * MIB,
            workspace_bytes=64 * MIB,
            pids=64,
        )
        return replace(spec, **changes)

    return make


@pytest.fixture
async def running(engine: Engine, make_spec: MakeSpec) -> str:
    """The name of a running box."""
    spec = make_spec()
    await engine.create(spec)
    await engine.start(spec.name)
    return spec.name


@pytest.fixture(scope="module")
def victim(image: str) -> Iterator[str]:
    name = f"sandbank-test-{uuid.uuid4().hex[:12]}"
    spec = BoxSpec(
        name=name,
        image=image,
        command=SLEEP,
        labels={"sandbank.test": name},
        memory_bytes=256 * MIB,
        workspace_bytes=64 * MIB,
        pids=64,
    )
    on_docker(lambda engine: start_box(engine, spec))
    yield name
    on_docker(lambda engine: engine.remove(name))


@pytest.fixture
def sh(docker_engine: DockerEngine, victim: str) -> Callable[[str], Awaitable[str]]:
    return lambda script: shell(docker_engine, victim, script)


@pytest.fixture
def py(docker_engine: DockerEngine, victim: str) -> Callable[[str], Awaitable[str]]:
    return lambda program: run(docker_engine, victim, "python3", "-c", program)


@pytest.fixture
def private_engine() -> Iterator[docker_engines.PrivateDocker]:
    if not docker_engines.can_start():
        pytest.skip("needs root and dockerd, to start an engine of its own")
    private = docker_engines.PrivateDocker()
    try:
        private.start()
        yield private
    finally:
        private.destroy()
