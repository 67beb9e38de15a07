"""The guest as process 1 of a real box: it reaps, cannot be harmed from inside, and ends in time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from sandboxes.engine.base import BoxSpec, BoxState, EngineUnavailable
from sandboxes.engine.docker import DockerEngine
from sandboxes.guest import agent
from sandboxes.guest.command import agent_command, relay_command
from sandboxes.guest.link import GuestError, Link
from sandboxes.image.build import ensure_image
from tests.engine.boxes import MIB, start_box
from tests.guest.guests import TOKEN, a_process, run, until_said

pytestmark = pytest.mark.docker

type OnDocker = Callable[[DockerEngine], Coroutine[Any, Any, Any]]

# Kills and looks from inside. Each says "alive" at the end: a refusal is none of its business.
ATTACKS = {
    "kill": "kill -9 1",
    "kill all": "(trap '' TERM; kill -TERM -1) &",
    "by name": "pkill -9 python3",
    "stop": "kill -STOP 1",
    "tracing": "python3 -c 'import ctypes; print(ctypes.CDLL(None).ptrace(16, 1, 0, 0))'",
    "memory": 'python3 -c \'open("/proc/1/mem", "r+b").write(b"x")\'',
    "score": "echo 1000 > /proc/1/oom_score_adj",
}
SECRETS = ["environ", "mem", "maps", "fd/0", "cwd", "exe", "stack"]


def on_docker(work: OnDocker) -> Any:
    async def main() -> Any:
        engine = DockerEngine()
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def a_spec(name: str, image: str) -> BoxSpec:
    return BoxSpec(
        name=name,
        image=image,
        command=agent_command(name),
        labels={"sandbank.test": name},
        environment={agent.TOKEN: TOKEN},
        memory_bytes=256 * MIB,
        workspace_bytes=16 * MIB,
        pids=64,
    )


@pytest.fixture(scope="module")
def image() -> str:
    try:
        return str(on_docker(lambda engine: ensure_image(engine, print)).name)
    except EngineUnavailable as error:
        pytest.skip(f"needs a Docker engine: {error}")


@pytest.fixture(scope="module")
def box(image: str) -> Iterator[str]:
    """The name of a box that the tests here share."""
    name = f"sandbank-test-{uuid.uuid4().hex[:12]}"
    on_docker(lambda engine: start_box(engine, a_spec(name, image)))
    yield name
    on_docker(lambda engine: engine.remove(name))


@pytest.fixture
async def engine() -> AsyncIterator[DockerEngine]:
    engine = DockerEngine()
    yield engine
    await engine.close()


async def open_link(engine: DockerEngine, box: str) -> Link:
    return await Link.open(await engine.open_stream(box, relay_command(box)), TOKEN)


@pytest.fixture
async def link(engine: DockerEngine, box: str) -> AsyncIterator[Link]:
    link = await open_link(engine, box)
    yield link
    await link.close()


async def test_guest_is_process_1_and_shows_its_name(link: Link) -> None:
    result = await run(
        link, "cat /proc/1/cmdline; echo; id -u; awk '/^Uid/{print $2}' /proc/1/status"
    )

    assert result.stdout.replace(b"\0", b"").split() == [b"sandbank-guest", b"1000", b"1000"]


async def test_command_gets_the_workspace_and_a_home(link: Link) -> None:
    assert (await run(link, "pwd; echo $HOME")).stdout == b"/workspace\n/home/sandbox\n"


async def test_orphans_are_buried(link: Link) -> None:
    for _ in range(5):
        await run(link, "for i in 1 2 3 4 5; do (setsid true &); done; sleep 0.05")

    assert await zombies(link) == 0


async def test_tree_is_killed_and_buried(link: Link) -> None:
    script = "for i in 1 2 3; do (setsid sleep 61 &); env -i setsid sleep 61 & done; echo up; wait"
    process = a_process(script)
    await until_said(await link.start(process), b"up")
    await asyncio.sleep(0.1)

    await link.kill(process.id)

    assert (await run(link, "pgrep -c -f 'sleep 6[1]'")).stdout == b"0\n"
    assert await zombies(link) == 0


async def test_timeout_kills_the_tree(link: Link) -> None:
    result = await run(link, "(setsid sleep 62 &); sleep 62", timeout=0.3)

    assert result.exit.timed_out
    assert (await run(link, "pgrep -c -f 'sleep 6[2]'")).stdout == b"0\n"


@pytest.mark.parametrize("attack", ATTACKS)
async def test_guest_is_not_harmed_from_inside(engine: DockerEngine, box: str, attack: str) -> None:
    """An attack may take its own link along, whose relay is code in the box: a new one opens."""
    link = await open_link(engine, box)
    try:
        process = a_process(f"exec 2>/dev/null; {ATTACKS[attack]}; sleep 0.1")
        await (await link.start(process)).exit()
    except GuestError:
        pass
    finally:
        await link.close()

    again = await open_link(engine, box)
    assert (await run(again, "awk '/^State/{print $2}' /proc/1/status")).stdout in (b"S\n", b"R\n")
    assert (await again.usage()).processes > 0
    await again.close()


@pytest.mark.parametrize("name", SECRETS)
async def test_secrets_of_the_guest_cannot_be_read_from_inside(link: Link, name: str) -> None:
    result = await run(link, f"cat /proc/1/{name} || readlink /proc/1/{name}")

    assert TOKEN.encode() not in result.stdout
    assert result.stdout == b""
    assert result.exit.exit_code != 0


async def test_token_is_in_no_environment(link: Link) -> None:
    result = await run(link, f"env; cat /proc/[0-9]*/environ 2>/dev/null | grep -a -c '{TOKEN}'")

    assert b"SANDBANK_GUEST_TOKEN" not in result.stdout
    assert result.stdout.endswith(b"\n0\n")


async def test_memory_bomb_takes_the_command_and_not_the_guest(link: Link) -> None:
    result = await run(link, "python3 -c 'x = bytearray(1 << 30); print(len(x))'")

    assert (result.stdout, result.exit.signal) == (b"", 9)
    assert result.exit.out_of_memory
    assert (await run(link, "echo fine")).stdout == b"fine\n"


@pytest.mark.parametrize("size", [20 * MIB, None], ids=["announced", "found out"])
async def test_full_workspace_is_told_and_no_half_file_is_left(
    link: Link, size: int | None
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(MIB)

    with pytest.raises(GuestError, match="space") as caught:
        await link.write("/workspace/large", chunks(), size=size)

    assert caught.value.code == "no_space"
    assert (await run(link, "ls -A /workspace")).stdout == b""


async def test_root_is_not_written_to(link: Link) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(GuestError) as caught:
        await link.write("/etc/file", chunks())

    assert caught.value.code == "permission_denied"


async def test_terminal_works_in_a_box(link: Link) -> None:
    result = await run(link, "tty; stty size", pty=(40, 100))

    assert result.pty.splitlines()[1] == b"40 100"


async def test_box_ends_by_itself_at_its_deadline(engine: DockerEngine, image: str) -> None:
    name = f"sandbank-test-{uuid.uuid4().hex[:12]}"
    await start_box(engine, a_spec(name, image))
    try:
        link = await open_link(engine, name)
        await link.deadline(60)
        await link.deadline(0.5)
        assert (await run(link, "echo fine")).stdout == b"fine\n"
        await link.close()
        assert (await engine.get(name)).state is BoxState.RUNNING

        assert await ends(engine, name)
    finally:
        await engine.remove(name)


async def ends(engine: DockerEngine, name: str) -> bool:
    for _ in range(100):
        if (await engine.get(name)).state is BoxState.EXITED:
            return True
        await asyncio.sleep(0.05)
    return False


async def zombies(link: Link) -> int:
    said = (await run(link, "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")).stdout
    return int(said)
