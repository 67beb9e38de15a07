"""What only a Docker engine can get wrong: foreign containers, silence, crashes, images."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from sandboxes.engine import docker as docker_module
from sandboxes.engine.base import (
    BoxConflict,
    BoxNotFound,
    BoxState,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
)
from sandboxes.engine.docker import DockerEngine, translate
from sandboxes.engine.endpoint import Endpoint
from sandboxes.engine.profile import container_config
from tests.engine.boxes import archive, run, start_box

pytestmark = pytest.mark.docker

NOWHERE = Endpoint(socket_path="/nonexistent/docker.sock")
REFUSED = Endpoint(host="127.0.0.1", port=1)


@pytest.fixture
def foreign(image):
    """A container that somebody else runs under a name that a box could have."""
    name = f"sandbank-test-foreign-{uuid.uuid4().hex[:8]}"
    api = docker.APIClient()
    api.create_container(image, ["sleep", "60"], name=name)
    api.start(name)
    yield name
    assert api.inspect_container(name)["State"]["Running"]
    api.remove_container(name, force=True)
    api.close()


async def test_name_of_a_foreign_container_is_a_conflict(docker_engine, make_spec, foreign):
    with pytest.raises(BoxConflict):
        await docker_engine.create(make_spec(name=foreign))


async def test_foreign_container_is_never_touched(docker_engine, foreign):
    await docker_engine.remove(foreign)

    for call in (docker_engine.start, docker_engine.pause, docker_engine.get):
        with pytest.raises(BoxNotFound):
            await call(foreign)


async def test_foreign_container_is_on_no_list(docker_engine, foreign):
    assert foreign not in [box.name for box in await docker_engine.list({})]


async def test_a_stream_is_opened_without_a_wait_on_the_loop(docker_engine, make_spec, monkeypatch):
    threads = set()
    really_knock = docker_module._knock

    def knock(endpoint):
        threads.add(threading.current_thread())
        really_knock(endpoint)

    name = await start_box(docker_engine, make_spec())
    monkeypatch.setattr(docker_module, "_knock", knock)
    assert await run(docker_engine, name, "echo", "hello") == "hello\n"
    assert threads
    assert threading.current_thread() not in threads


# No engine


@pytest.mark.parametrize("endpoint", [NOWHERE, REFUSED], ids=["unix", "tcp"])
async def test_engine_that_is_down_is_told_at_once(endpoint, make_spec):
    engine = DockerEngine(endpoint)
    calls = [
        engine.ping(),
        engine.create(make_spec()),
        engine.start("sb"),
        engine.get("sb"),
        engine.list({}),
        engine.remove("sb"),
        engine.open_stream("sb", ["cat"]),
        engine.image("sb"),
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(EngineUnavailable):
            await call
        assert time.monotonic() - started < 1
    await engine.close()


async def test_engine_that_crashed_and_came_back_is_found_again(private_engine):
    engine = private_engine.engine()
    await engine.ping()

    private_engine.kill()
    with pytest.raises(EngineUnavailable):
        await engine.list({})
    private_engine.start()

    assert await engine.list({}) == []
    await engine.close()


async def test_stream_ends_when_the_engine_crashes(private_engine, make_spec, image):
    private_engine.copy_image(image)
    engine = private_engine.engine()
    name = await start_box(engine, make_spec())
    stream = await engine.open_stream(name, ["cat"])
    await stream.write(b"x")
    assert await stream.read(1) == b"x"

    private_engine.kill()

    assert await asyncio.wait_for(stream.read(1), 5) == b""
    await stream.close()
    private_engine.start()
    assert (await engine.get(name)).state is BoxState.EXITED
    await engine.close()


async def test_silent_engine_is_given_up_after_the_deadline(private_engine):
    engine = private_engine.engine()
    await engine.ping()
    private_engine.freeze()
    started = time.monotonic()

    results = await asyncio.gather(*(engine.list({}) for _ in range(40)), return_exceptions=True)

    assert {type(result) for result in results} == {EngineUnavailable}
    assert 4 < time.monotonic() - started < 6
    await engine.close()


async def test_create_whose_answer_was_lost_is_found_by_its_name(private_engine, make_spec):
    """The answer is lost on the way: a look finds the box, and a second create is not sent."""
    engine = private_engine.engine()
    await engine.import_image("empty:1", empty_archive(), {})
    spec = make_spec(image="empty:1")
    api = docker.APIClient(f"unix://{private_engine.socket}")
    api.create_container_from_config(container_config(spec), spec.name)
    api.close()

    box = await engine._look_for(spec, EngineUnavailable("no answer"))

    assert box.name == spec.name
    await engine.close()


async def test_box_of_another_spec_is_not_taken_for_ours(private_engine, make_spec):
    engine = private_engine.engine()
    await engine.import_image("empty:1", empty_archive(), {})
    spec = make_spec(image="empty:1")
    await engine.create(spec)

    with pytest.raises(BoxConflict):
        await engine._look_for(replace(spec, labels={"other": "x"}), EngineUnavailable("no answer"))
    await engine.close()


async def test_create_that_timed_out_before_it_happened_is_unavailable(private_engine, make_spec):
    engine = private_engine.engine()

    with pytest.raises(EngineUnavailable, match="no answer"):
        await engine._look_for(make_spec(), EngineUnavailable("no answer"))
    await engine.close()


# Errors


def test_engine_s_own_words_do_not_reach_a_user():
    error = translate(500, "open /var/lib/docker/overlay2/x: no space left on device")

    assert str(error) == "The engine's disk is full."


def test_unknown_error_is_told_without_its_text():
    assert "/var" not in str(translate(500, "mkdir /var/lib/docker: something new"))


async def test_image_without_the_program_says_so(docker_engine, make_spec):
    box = await docker_engine.create(make_spec(command=["no-such-program"]))

    with pytest.raises(EngineError, match="The image has no such program to run"):
        await docker_engine.start(box.name)


async def test_runtime_that_the_engine_lacks_is_named_as_the_reason(docker_engine, make_spec):
    async def make_box():
        await start_box(docker_engine, make_spec(runtime="no-such-runtime"))

    with pytest.raises(EngineError, match="does not have that runtime"):
        await make_box()


# Images


async def test_imported_image_has_its_labels(private_engine):
    engine = private_engine.engine()

    image = await engine.import_image("some/image:1", empty_archive(), {"a.b": 'c "d" $e'})

    assert (image.name, image.labels) == ("some/image:1", {"a.b": 'c "d" $e'})
    assert await engine.image("some/image:1") == image
    await engine.close()


async def test_archive_that_breaks_off_leaves_no_image(private_engine):
    async def broken():
        yield (await anext(empty_archive()))[:600]
        raise EngineError("The recipe failed.")

    engine = private_engine.engine()
    with pytest.raises(EngineError, match="The recipe failed"):
        await engine.import_image("some/image:2", broken(), {})

    with pytest.raises(ImageNotFound):
        await engine.image("some/image:2")
    await engine.close()


async def test_archive_that_is_none_is_refused(private_engine):
    async def nonsense():
        yield b"not a tar archive" * 100

    engine = private_engine.engine()
    with pytest.raises(EngineError):
        await engine.import_image("some/image:3", nonsense(), {})
    await engine.close()


async def test_build_without_its_base_is_image_not_found(private_engine):
    engine = private_engine.engine()

    with pytest.raises(ImageNotFound, match="No registry has"):
        await engine.build_image("some/image:4", b"", "sandbank/no-base:1", {}, print)
    await engine.close()


async def test_dockerfile_is_built_on_a_base_that_is_here(private_engine):
    engine = private_engine.engine()
    said: list[str] = []
    await engine.import_image("base:1", empty_archive(), {})
    context = archive("Dockerfile", b"FROM base:1\nENV A=b\n")

    image = await engine.build_image("some/image:5", context, "base:1", {"k": "v"}, said.append)

    assert image.labels == {"k": "v"}
    assert any("FROM base:1" in line for line in said)
    await engine.close()


async def test_dockerfile_that_fails_is_an_error(private_engine):
    engine = private_engine.engine()
    await engine.import_image("base:1", empty_archive(), {})
    context = archive("Dockerfile", b"FROM base:1\nCOPY missing /\n")

    with pytest.raises(EngineError):
        await engine.build_image("some/image:6", context, "base:1", {}, print)
    await engine.close()


# Nothing leaks


async def test_streams_leave_no_socket_open(docker_engine, make_spec):
    name = await start_box(docker_engine, make_spec())
    await run(docker_engine, name, "true")
    before = open_sockets()

    for _ in range(10):
        await run(docker_engine, name, "true")
        stream = await docker_engine.open_stream(name, ["cat", "/dev/zero"])
        await stream.read(1)
        await stream.close()

    assert open_sockets() <= before


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_streams_work_on_every_event_loop(image, make_spec, loop):
    script = f"""
import asyncio, sys, {loop}
from sandboxes.engine.docker import DockerEngine

async def main(name):
    engine = DockerEngine()
    stream = await engine.open_stream(name, ["cat"])
    await asyncio.gather(stream.write(bytes(3_000_000)), take(stream, 3_000_000))
    await stream.close()
    flood = await engine.open_stream(name, ["cat", "/dev/zero"])
    await flood.read(1)
    await flood.close()
    await engine.close()

async def take(stream, size):
    while size:
        size -= len(await stream.read(size))

{loop}.run(main(sys.argv[1]))
"""

    async def main() -> None:
        engine = DockerEngine()
        name = await start_box(engine, make_spec())
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-X", "dev", "-W", "error", "-c", script, name),
                stderr=subprocess.PIPE,
            )
            assert (await process.communicate())[1] == b""
        finally:
            await engine.remove(name)
            await engine.close()

    asyncio.run(main())


def open_sockets() -> int:
    return sum(entry.is_socket() for entry in Path("/proc/self/fd").iterdir())


async def empty_archive():
    yield archive("nothing", b"")
