"""Every promise of sandboxes/engine/base.py, held against every engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sandboxes.engine.base import (
    BoxConflict,
    BoxNotFound,
    BoxPaused,
    BoxState,
    EngineError,
    ImageNotFound,
)
from tests.engine.boxes import MIB, read_all, run, shell, start_box

MISSING = "sandbank-test-missing"


async def test_ping_names_the_version(engine):
    assert (await engine.ping())[0].isdigit()


async def test_engine_tells_of_itself(engine):
    before = datetime.now(UTC)

    info = await engine.info()

    assert info.version == await engine.ping()
    assert info.kernel
    assert info.cpus >= 1
    assert info.memory_bytes > 64 * MIB
    assert abs(info.at - before) < timedelta(minutes=1)


async def test_engine_counts_what_it_keeps_on_disk(engine):
    usage = await engine.disk_usage()

    assert min(usage.images, usage.containers, usage.volumes, usage.build_cache) >= 0


# Life of a box


async def test_created_box_is_not_running(engine, make_spec):
    spec = make_spec()

    box = await engine.create(spec)

    assert (box.name, box.state) == (spec.name, BoxState.CREATED)
    assert await engine.get(spec.name) == box


async def test_box_carries_its_labels(engine, make_spec):
    spec = make_spec()

    box = await engine.create(spec)

    assert spec.labels.items() <= box.labels.items()


async def test_box_knows_when_it_was_created(engine, make_spec):
    box = await engine.create(make_spec())

    assert abs(box.created_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_second_create_of_a_name_is_a_conflict(engine, make_spec):
    spec = make_spec()
    await engine.create(spec)

    with pytest.raises(BoxConflict):
        await engine.create(spec)


async def test_one_of_many_creates_at_once_wins(engine, make_spec):
    spec = make_spec()

    results = await asyncio.gather(*(engine.create(spec) for _ in range(6)), return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["Box"] + 5 * ["BoxConflict"]


async def test_started_box_runs(engine, running):
    assert (await engine.get(running)).state is BoxState.RUNNING


async def test_starting_a_running_box_does_nothing(engine, running):
    await engine.start(running)

    assert (await engine.get(running)).state is BoxState.RUNNING


async def test_pausing_and_resuming(engine, running):
    await engine.pause(running)
    paused = await engine.get(running)
    await engine.resume(running)

    assert paused.state is BoxState.PAUSED
    assert (await engine.get(running)).state is BoxState.RUNNING


async def test_pausing_a_paused_box_does_nothing(engine, running):
    await engine.pause(running)

    await engine.pause(running)

    assert (await engine.get(running)).state is BoxState.PAUSED


async def test_pausing_from_many_sides_at_once_does_no_harm(engine, running):
    await asyncio.gather(*(engine.pause(running) for _ in range(6)))

    assert (await engine.get(running)).state is BoxState.PAUSED


async def test_resuming_a_running_box_does_nothing(engine, running):
    await engine.resume(running)

    assert (await engine.get(running)).state is BoxState.RUNNING


async def test_pausing_a_box_that_was_not_started_is_a_conflict(engine, make_spec):
    box = await engine.create(make_spec())

    with pytest.raises(BoxConflict):
        await engine.pause(box.name)


async def test_resuming_a_box_that_was_not_started_is_a_conflict(engine, make_spec):
    box = await engine.create(make_spec())

    with pytest.raises(BoxConflict):
        await engine.resume(box.name)


async def test_end_of_a_box_has_its_exit_code(engine, make_spec):
    spec = make_spec(command=["python3", "-c", "raise SystemExit(7)"])
    await start_box(engine, spec)
    await wait_for_state(engine, spec.name, BoxState.EXITED)

    assert (await engine.end_of(spec.name)).exit_code == 7


async def test_running_box_has_no_end(engine, running):
    with pytest.raises(BoxConflict):
        await engine.end_of(running)


@pytest.mark.parametrize("state", ["created", "running", "paused", "exited"])
async def test_removed_box_is_gone_whatever_its_state_was(engine, make_spec, state):
    name = await box_in_state(engine, make_spec, state)

    await engine.remove(name)

    with pytest.raises(BoxNotFound):
        await engine.get(name)


async def test_removing_a_missing_box_is_no_error(engine):
    await engine.remove(MISSING)


async def test_removing_from_many_sides_at_once_is_no_error(engine, running):
    await asyncio.gather(*(engine.remove(running) for _ in range(6)))

    with pytest.raises(BoxNotFound):
        await engine.get(running)


async def test_name_of_a_removed_box_is_free_again(engine, make_spec):
    spec = make_spec()
    await engine.create(spec)
    await engine.remove(spec.name)

    assert (await engine.create(spec)).state is BoxState.CREATED


@pytest.mark.parametrize("call", ["get", "start", "pause", "resume", "end_of"])
async def test_missing_box_is_not_found(engine, call):
    with pytest.raises(BoxNotFound):
        await getattr(engine, call)(MISSING)


async def test_spec_that_cannot_be_had_is_refused_in_words(engine, make_spec):
    with pytest.raises(EngineError, match="MiB of memory"):
        await engine.create(make_spec(memory_bytes=128 * MIB, workspace_bytes=100 * MIB))


# Lists


async def test_list_has_every_box_with_the_labels_in_any_state(engine, make_spec, labels):
    for state in BoxState:
        await box_in_state(engine, make_spec, state)

    states = [box.state for box in await engine.list(labels)]

    assert sorted(states) == sorted(BoxState)


async def test_list_leaves_out_boxes_that_lack_one_of_the_labels(engine, make_spec, labels):
    both = await engine.create(make_spec(labels={**labels, "kind": "b=c"}))
    await engine.create(make_spec(labels={**labels, "kind": "other"}))

    found = await engine.list({**labels, "kind": "b=c"})

    assert [box.name for box in found] == [both.name]


async def test_list_of_labels_that_nobody_has_is_empty(engine):
    assert await engine.list({"sandbank.test": "nobody"}) == []


async def test_list_goes_on_while_boxes_come_and_go(engine, make_spec, labels):
    async def come_and_go() -> None:
        for _ in range(5):
            box = await engine.create(make_spec())
            await engine.remove(box.name)

    async def look() -> None:
        for _ in range(20):
            await engine.list(labels)

    await asyncio.gather(come_and_go(), come_and_go(), look())

    assert await engine.list(labels) == []


# Streams


async def test_stream_carries_bytes_both_ways(engine, running):
    stream = await engine.open_stream(running, ["cat"])

    await stream.write(b"\x00\xffhello\r\n")

    assert await read_exactly(stream, 9) == b"\x00\xffhello\r\n"
    await stream.close()


async def test_stream_takes_every_kind_of_bytes(engine, running):
    stream = await engine.open_stream(running, ["cat"])

    for data in (b"a", bytearray(b"b"), memoryview(b"xcx")[1:2]):
        await stream.write(data)

    assert await read_exactly(stream, 3) == b"abc"
    await stream.close()


@pytest.mark.slow
async def test_megabytes_arrive_whole_and_in_order(engine, running):
    stream = await engine.open_stream(running, ["cat"])
    sent = b"".join(number.to_bytes(4, "big") for number in range(2 * MIB))

    _, received = await asyncio.gather(stream.write(sent), read_exactly(stream, len(sent)))

    assert received == sent
    await stream.close()


@pytest.mark.slow
async def test_write_that_is_given_up_sends_all_or_nothing(engine, running):
    stream = await engine.open_stream(running, ["sh", "-c", "sleep 0.5; exec cat"])

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.write(bytes(16 * MIB)), 0.1)
    writing = asyncio.create_task(stream.write(b"end"))

    received = bytearray()
    while not received.endswith(b"end"):
        received += await asyncio.wait_for(stream.read(MIB), 20)
    assert len(received) in (3, 16 * MIB + 3)
    await writing
    await stream.close()


async def test_stream_ends_with_its_program(engine, running):
    stream = await engine.open_stream(running, ["echo", "done"])

    assert await read_all(stream) == b"done\n"
    assert await stream.read(100) == b""
    await stream.close()


async def test_arguments_reach_the_program_as_they_are(engine, running):
    said = await run(engine, running, "printf", "%s|", "", "a b", "$HOME", "'\"", "ä\n")

    assert said == "|a b|$HOME|'\"|ä\n|"


async def test_stderr_is_not_mixed_into_a_stream(engine, running):
    assert await run(engine, running, "sh", "-c", "echo no >&2; echo yes") == "yes\n"


async def test_program_of_a_stream_sees_the_end_when_it_is_closed(engine, running):
    stream = await engine.open_stream(running, ["sh", "-c", "cat; touch /tmp/$0", running])
    await stream.write(b"x")
    assert await read_exactly(stream, 1) == b"x"

    await stream.close()

    assert await appears(engine, running, f"/tmp/{running}")
    await run(engine, running, "rm", f"/tmp/{running}")


async def test_streams_do_not_disturb_each_other(engine, running):
    streams = [await engine.open_stream(running, ["cat"]) for _ in range(5)]

    await asyncio.gather(*(stream.write(b"%d" % n) for n, stream in enumerate(streams)))

    assert [await read_exactly(stream, 1) for stream in streams] == [b"0", b"1", b"2", b"3", b"4"]
    await asyncio.gather(*(stream.close() for stream in streams))


async def test_closing_a_stream_twice_is_no_error(engine, running):
    stream = await engine.open_stream(running, ["cat"])

    await asyncio.gather(stream.close(), stream.close())
    await stream.close()


async def test_closed_stream_is_at_its_end(engine, running):
    stream = await engine.open_stream(running, ["cat"])
    await stream.close()

    assert await stream.read(100) == b""


async def test_close_ends_a_read_that_waits(engine, running):
    stream = await engine.open_stream(running, ["cat"])
    reading = asyncio.create_task(stream.read(100))
    await asyncio.sleep(0.05)

    await stream.close()

    assert await asyncio.wait_for(reading, 2) == b""


async def test_writing_to_a_closed_stream_is_an_error(engine, running):
    stream = await engine.open_stream(running, ["cat"])
    await stream.close()

    with pytest.raises(EngineError):
        await stream.write(b"x")


async def test_program_that_is_not_there_ends_in_an_error(engine, running):
    with pytest.raises(EngineError):
        await run(engine, running, "no-such-program")


async def test_flood_that_nobody_reads_does_not_hold_up_the_removal(engine, running):
    stream = await engine.open_stream(running, ["cat", "/dev/zero"])
    await stream.read(1)

    await stream.close()

    await asyncio.wait_for(engine.remove(running), 8)


async def test_stream_ends_when_its_box_is_removed(engine, running):
    stream = await engine.open_stream(running, ["cat"])
    await stream.write(b"x")
    assert await read_exactly(stream, 1) == b"x"

    await engine.remove(running)

    assert await asyncio.wait_for(stream.read(100), 5) == b""
    await stream.close()


async def test_stream_into_a_missing_box_is_not_found(engine):
    with pytest.raises(BoxNotFound):
        await engine.open_stream(MISSING, ["cat"])


@pytest.mark.parametrize("state", ["created", "paused", "exited"])
async def test_stream_into_a_box_that_does_not_run_is_a_conflict(engine, make_spec, state):
    name = await box_in_state(engine, make_spec, state)

    with pytest.raises(BoxConflict) as refused:
        await engine.open_stream(name, ["cat"])
    assert isinstance(refused.value, BoxPaused) == (state == "paused")


async def test_variables_of_process_1_are_kept_from_other_programs(engine, make_spec):
    spec = make_spec(environment={"TOKEN": "secret"})
    path = f"/tmp/{spec.name}"
    show = f"import os, time; open('{path}', 'w').write(os.environ['TOKEN']); time.sleep(60)"
    await start_box(engine, replace(spec, command=["python3", "-c", show]))

    assert await appears(engine, spec.name, path)
    assert await shell(engine, spec.name, f"rm {path}; echo [$TOKEN]") == "[]\n"


# Images


async def test_missing_image_is_not_found(engine):
    with pytest.raises(ImageNotFound):
        await engine.image("sandbank/no-such-image:1")


# The local engine's boxes have no image.
@pytest.mark.docker
async def test_default_image_is_found(docker_engine, image):
    found = await docker_engine.image(image)

    assert found.name == image
    assert 100 * MIB < found.size_bytes < 700 * MIB
    assert found.labels["sandbank.recipe"] == image.rpartition(":")[2]


@pytest.mark.docker
async def test_box_from_a_missing_image_is_image_not_found(docker_engine, make_spec):
    with pytest.raises(ImageNotFound):
        await docker_engine.create(make_spec(image="sandbank/no-such-image:1"))


async def box_in_state(engine, make_spec, state):
    quick = {"command": ["python3", "-c", ""]} if state == "exited" else {}
    name = (await engine.create(make_spec(**quick))).name
    if state != "created":
        await engine.start(name)
    if state == "paused":
        await engine.pause(name)
    await wait_for_state(engine, name, BoxState(state))
    return name


async def wait_for_state(engine, name, state):
    for _ in range(500):
        if (await engine.get(name)).state is state:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"the box is not {state}")


async def read_exactly(stream, size):
    data = bytearray()
    async with asyncio.timeout(20):
        while len(data) < size:
            chunk = await stream.read(size - len(data))
            assert chunk, "the stream ended early"
            data += chunk
    return bytes(data)


async def appears(engine, name, path):
    """Tell whether a file comes into being within a few seconds."""
    script = f"for i in $(seq 100); do [ -e {path} ] && exit; sleep 0.05; done; echo never"
    return await shell(engine, name, script) == ""
