"""Processes in a guest: what they get, what they say, how they end, and who outlives whom."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from sandboxes.guest import agent
from sandboxes.guest.link import GuestError, Link
from tests.engine.boxes import lives
from tests.guest.guests import (
    MIB,
    Guest,
    a_process,
    all_die,
    comes_true,
    ended,
    result_of,
    run,
    until_said,
)

# Children that a process group does not hold: in a session of their own, orphaned, and without
# anything of their parent's environment. Each says its pid.
ESCAPES = {
    "child": "sleep 60 & echo $!",
    "session": "setsid sh -c 'echo $$; exec sleep 60' &",
    "orphan": "(sleep 60 & echo $!)",
    "daemon": "(setsid sh -c 'echo $$; exec sleep 60' &)",
    "stranger": "(env -i setsid sh -c 'echo $$; exec sleep 60' &)",
    "deaf": "(trap '' TERM HUP INT; echo $BASHPID; while :; do sleep 0.1; done) &",
}


# What it says


async def test_output_comes_by_stream(link: Link) -> None:
    result = await run(link, "echo out; echo err >&2")

    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")


async def test_output_has_offsets_without_a_gap(link: Link) -> None:
    result = await run(link, "for i in $(seq 200); do echo $i; echo $i >&2; done")

    ends = itertools.accumulate((size for _, size in result.pieces), initial=0)
    assert [offset for offset, _ in result.pieces] == list(ends)[:-1]


async def test_bytes_pass_as_they_are(link: Link) -> None:
    result = await run(link, r"printf '\xff\xfe\x00\xc3('")

    assert result.stdout == b"\xff\xfe\x00\xc3("


async def test_last_words_are_not_lost(link: Link) -> None:
    for _ in range(20):
        result = await run(link, "head -c 200000 /dev/zero; printf end")
        assert (len(result.stdout), result.stdout[-3:]) == (200_003, b"end")


@pytest.mark.slow
async def test_megabytes_arrive_whole_while_the_guest_stays_small(guest: Guest, link: Link) -> None:
    attachment, size = await link.start(a_process("head -c 100000000 /dev/zero")), 0

    async for chunk in attachment.output():
        size += len(chunk.data)

    assert size == 100_000_000
    assert (await attachment.exit()).stdout_bytes == size
    assert guest.memory() < 64 * MIB


async def test_output_above_the_limit_is_counted_and_dropped(link: Link) -> None:
    script = "head -c 3000000 /dev/zero; head -c 10 /dev/zero >&2"

    result = await run(link, script, limits=(1000, 1000))

    assert (len(result.stdout), len(result.stderr)) == (1000, 10)
    assert (result.exit.stdout_bytes, result.exit.stderr_bytes) == (3_000_000, 10)
    assert result.exit.truncated


async def test_output_up_to_the_limit_is_not_truncated(link: Link) -> None:
    result = await run(link, "printf 12345", limits=(5, 5))

    assert (result.stdout, result.exit.truncated) == (b"12345", False)


async def test_process_waits_for_a_viewer_that_does_not_read(link: Link) -> None:
    process = a_process("head -c 100000000 /dev/zero")
    attachment = await link.start(process)
    await asyncio.sleep(0.3)

    info = await link.process(process.id)

    assert info.running
    assert info.next_offset <= agent.WINDOW + 2 * agent.MAX_LAG
    assert attachment._channel.held <= 2 * agent.WINDOW


async def test_process_goes_on_when_its_viewer_leaves(link: Link) -> None:
    process = a_process("head -c 20000000 /dev/zero")
    attachment = await link.start(process)
    await asyncio.sleep(0.1)

    await attachment.detach()

    assert (await ended(link, process.id)).stdout_bytes == 20_000_000


# How it ends


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_exit_code_is_told(link: Link, code: int) -> None:
    result = await run(link, f"exit {code}")

    assert (result.exit.exit_code, result.exit.signal) == (code, None)


async def test_signal_that_killed_is_told(link: Link) -> None:
    result = await run(link, "kill -TERM $$")

    assert (result.exit.exit_code, result.exit.signal) == (128 + 15, 15)


async def test_duration_is_told(link: Link) -> None:
    assert 0.2 <= (await run(link, "sleep 0.2")).exit.duration < 2


async def test_signal_reaches_the_process(link: Link) -> None:
    process = a_process("trap 'echo caught; exit 5' USR1; echo ready; while :; do sleep 0.01; done")
    attachment = await link.start(process)
    await until_said(attachment, b"ready")

    await link.signal(process.id, "USR1")
    result = await result_of(attachment)

    assert (result.stdout, result.exit.exit_code) == (b"caught\n", 5)


async def test_signal_nobody_knows_is_refused(link: Link) -> None:
    process = a_process("sleep 60")
    await link.start(process)

    with pytest.raises(GuestError, match="no such signal"):
        await link.signal(process.id, "NONSENSE")


async def test_ended_process_takes_no_signal(link: Link) -> None:
    process = a_process("true")
    await (await link.start(process)).exit()

    with pytest.raises(GuestError, match="has ended"):
        await link.signal(process.id, "TERM")


@pytest.mark.parametrize("call", ["process", "kill", "attach", "close_stdin"])
async def test_unknown_process_is_not_found(link: Link, call: str) -> None:
    with pytest.raises(GuestError) as caught:
        await getattr(link, call)("nobody")

    assert caught.value.code == "not_found"


# What it gets


async def test_arguments_reach_the_program_without_a_shell(link: Link) -> None:
    result = await run(link, argv=["printf", "%s|", "", "a b", "$HOME", "ä\n"])

    assert result.stdout.decode() == "|a b|$HOME|ä\n|"


async def test_script_of_megabytes_runs(link: Link) -> None:
    script = "# a comment of some length, again and again\n" * 120_000 + "echo done"
    assert len(script) > 5 * MIB

    assert (await run(link, script)).stdout == b"done\n"


async def test_script_with_its_input_runs(link: Link) -> None:
    script = "# long\n" * 40_000 + "wc -c"

    assert (await run(link, script, stdin=bytes(300_000))).stdout.strip() == b"300000"


async def test_script_with_a_nul_is_refused(link: Link) -> None:
    with pytest.raises(GuestError, match="NUL"):
        await run(link, "echo \0")


async def test_program_that_is_not_there_is_not_found(link: Link) -> None:
    with pytest.raises(GuestError) as caught:
        await run(link, argv=["no-such-program"])

    assert caught.value.code == "not_found"


async def test_input_is_given_and_ends(link: Link) -> None:
    assert (await run(link, "cat", stdin=b"\xff\0input")).stdout == b"\xff\0input"


async def test_process_without_input_is_at_its_end(link: Link) -> None:
    assert (await run(link, "cat; echo end")).stdout == b"end\n"


async def test_input_stays_open_until_it_is_closed(link: Link) -> None:
    process = a_process("cat", open_stdin=True)
    attachment = await link.start(process)

    await link.write_stdin(process.id, b"one")
    assert await until_said(attachment, b"one") == b"one"
    await link.write_stdin(process.id, b"two")
    await link.close_stdin(process.id)

    assert (await result_of(attachment)).stdout == b"two"


@pytest.mark.slow
async def test_megabytes_of_input_wait_for_a_slow_reader(link: Link) -> None:
    process = a_process("sleep 0.3; wc -c", open_stdin=True)
    attachment = await link.start(process)

    await link.write_stdin(process.id, bytes(9 * MIB))
    await link.close_stdin(process.id)

    assert int((await result_of(attachment)).stdout) == 9 * MIB


async def test_input_to_an_ended_process_is_refused(link: Link) -> None:
    process = a_process("true", open_stdin=True)
    await (await link.start(process)).exit()

    with pytest.raises(GuestError) as caught:
        await link.write_stdin(process.id, b"x")

    assert caught.value.code == "closed"


async def test_process_that_ends_does_not_take_the_rest_of_its_input(link: Link) -> None:
    process = a_process("head -c 10 >/dev/null", open_stdin=True)
    await link.start(process)

    with pytest.raises(GuestError) as caught:
        await link.write_stdin(process.id, bytes(9 * MIB))

    assert caught.value.code == "closed"


async def test_folder_is_chosen(link: Link, folder: str) -> None:
    assert (await run(link, "pwd", cwd=folder)).stdout.decode().strip().endswith(folder)


async def test_folder_that_is_not_there_is_refused(link: Link) -> None:
    with pytest.raises(GuestError, match="cwd") as caught:
        await run(link, "pwd", cwd="/workspace/no-such-folder")

    assert caught.value.code == "not_found"


async def test_variables_are_given(link: Link) -> None:
    assert (await run(link, "echo $A-$B", env={"A": "ä b", "B": ""})).stdout.decode() == "ä b-\n"


async def test_process_finds_neither_token_nor_root(link: Link) -> None:
    environment = (await run(link, "env")).stdout.decode()

    assert "PATH=" in environment
    assert "SANDBANK_GUEST_TOKEN" not in environment
    assert "SANDBANK_ROOT" not in environment


async def test_id_is_used_once(link: Link) -> None:
    process = a_process("sleep 60")
    await link.start(process, attach=False)

    with pytest.raises(GuestError) as caught:
        await link.start(process, attach=False)

    assert caught.value.code == "exists"


async def test_many_run_at_once_on_one_link(link: Link) -> None:
    results = await asyncio.gather(*(run(link, f"echo {n}") for n in range(50)))

    assert [int(result.stdout) for result in results] == list(range(50))


# The end of a whole tree


@pytest.mark.parametrize("escape", ESCAPES)
async def test_timeout_kills_the_whole_tree(link: Link, escape: str) -> None:
    attachment = await link.start(a_process(f"{ESCAPES[escape]}\nsleep 60", timeout=0.2))

    result = await result_of(attachment)

    assert result.exit.timed_out
    assert 0.2 <= result.exit.duration < 3
    assert await all_die(int(result.stdout))


@pytest.mark.parametrize("escape", ESCAPES)
async def test_nothing_of_a_tree_is_left_when_kill_returns(link: Link, escape: str) -> None:
    process = a_process(f"{ESCAPES[escape]}\nsleep 60")
    pid = int(await until_said(await link.start(process), b"\n"))
    assert lives(pid)

    await link.kill(process.id)

    assert not lives(pid)
    assert not lives((await link.process(process.id)).pid)


async def test_children_that_outlived_their_process_can_be_killed(link: Link) -> None:
    process = a_process("sleep 60 & echo $!")
    pid = int((await result_of(await link.start(process))).stdout)
    assert lives(pid)

    await link.kill(process.id)

    assert not lives(pid)


async def test_kill_leaves_what_others_started(link: Link) -> None:
    others = a_process("setsid sleep 60 & echo $!; wait")
    pid = int(await until_said(await link.start(others), b"\n"))
    process = a_process("sleep 60")
    await link.start(process)

    await link.kill(process.id)

    assert lives(pid)
    assert (await link.process(others.id)).running


@pytest.mark.slow
async def test_fork_bomb_is_killed(link: Link) -> None:
    bomb = (
        "bomb() { for i in 1 2; do (sleep 0.05; [ $1 -lt 4 ] && bomb $(($1 + 1))) & done; wait; }"
    )
    process = a_process(f"{bomb}; while :; do bomb 0 & sleep 0.1; done")
    await link.start(process)
    await asyncio.sleep(0.4)

    await link.kill(process.id)

    assert (await run(link, f"grep -lsa {process.id} /proc/[0-9]*/environ")).stdout == b""


async def test_timeout_of_a_process_that_ended_does_nothing(link: Link) -> None:
    result = await run(link, "sleep 60 & echo $!", timeout=0.1)
    await asyncio.sleep(0.2)

    assert not result.exit.timed_out
    assert lives(int(result.stdout))


# Who outlives whom


async def test_job_in_the_background_goes_on_and_holds_nothing_up(link: Link) -> None:
    result = await asyncio.wait_for(run(link, "nohup sleep 60 & echo $!"), 3)

    assert result.exit.duration < 2
    assert lives(int(result.stdout))


async def test_job_in_the_background_may_still_write(link: Link, folder: str, place: Path) -> None:
    await run(link, "(sleep 0.2; head -c 300000 /dev/zero; touch written) &", cwd=folder)

    assert await comes_true((place / "written").exists)


async def test_process_outlives_its_link(guest: Guest, link: Link, folder: str) -> None:
    process = a_process("echo one; until [ -e go ]; do sleep 0.01; done; echo two", cwd=folder)
    first = await guest.link()
    said = await until_said(await first.start(process), b"one\n")
    await first.close()

    attachment = await link.attach(process.id, since=len(said))
    await run(link, "touch go", cwd=folder)

    assert (await result_of(attachment)).stdout == b"two\n"


async def test_whoever_comes_later_reads_from_the_beginning(link: Link) -> None:
    process = a_process("echo one; echo two >&2; exit 3")
    await (await link.start(process)).exit()

    result = await result_of(await link.attach(process.id, since=0))

    assert (result.stdout, result.stderr, result.exit.exit_code) == (b"one\n", b"two\n", 3)


async def test_two_viewers_read_the_same(guest: Guest, link: Link) -> None:
    process = a_process("head -c 5000000 /dev/urandom")
    first, other_link = await link.start(process), await guest.link()
    await link.process(process.id)  # it has been started
    second = await other_link.attach(process.id, since=0)

    one, two = await asyncio.gather(result_of(first), result_of(second))

    assert len(one.stdout) == 5_000_000
    assert one.stdout[-1000:] == two.stdout[-1000:]
    await other_link.close()


async def test_newest_output_is_kept_while_nobody_looks(link: Link) -> None:
    process = a_process("head -c 5000000 /dev/zero; printf end")
    await link.start(process, attach=False)
    await ended(link, process.id)

    result = await result_of(await link.attach(process.id, since=0))

    assert result.stdout.endswith(b"end")
    assert agent.RING // 2 < len(result.stdout) <= agent.RING
    assert result.pieces[0][0] == 5_000_003 - len(result.stdout)


async def test_viewer_from_now_on_hears_nothing_of_before(link: Link, folder: str) -> None:
    process = a_process("echo one; until [ -e go ]; do sleep 0.01; done; echo two", cwd=folder)
    await until_said(await link.start(process), b"one\n")

    attachment = await link.attach(process.id)
    await run(link, "touch go", cwd=folder)

    assert (await result_of(attachment)).stdout == b"two\n"


async def test_processes_are_listed(link: Link) -> None:
    running, done = a_process("sleep 60"), a_process("exit 4")
    await link.start(running)
    await (await link.start(done)).exit()

    found = {process.id: process for process in await link.processes()}

    assert (found[running.id].running, found[running.id].exit) == (True, None)
    assert found[running.id].command == "sleep 60"
    end = found[done.id].exit
    assert end is not None
    assert end.exit_code == 4


async def test_forgotten_process_is_gone(link: Link) -> None:
    process = a_process("true")
    await (await link.start(process)).exit()

    await link.forget(process.id)
    await run(link, "true")  # takes the news along

    with pytest.raises(GuestError):
        await link.process(process.id)


async def test_running_process_is_not_forgotten(link: Link) -> None:
    process = a_process("sleep 60")
    await link.start(process)

    await link.forget(process.id)
    await run(link, "true")

    assert (await link.process(process.id)).running


async def test_guest_that_ran_much_has_no_descriptor_left_open(guest: Guest, link: Link) -> None:
    await run(link, "true")
    before = descriptors(guest)

    for _ in range(20):
        await run(link, "cat", stdin=b"x")
        with pytest.raises(GuestError):
            await run(link, argv=["no-such-program"], stdin=b"x")

    assert await comes_true(lambda: descriptors(guest) <= before)


def descriptors(guest: Guest) -> int:
    return len(list(Path(f"/proc/{guest.pid}/fd").iterdir()))


# What runs in the box

SLEEPER = r"""exec python3 -c '
import ctypes, time
ctypes.CDLL(None).prctl(15, b"\xff) R 1 (", 0, 0, 0)
print("ready", flush=True)
time.sleep(60)'"""


@pytest.mark.slow
async def test_top_tells_of_what_others_started_too(link: Link) -> None:
    process = a_process("(setsid sleep 61 &) ; while :; do :; done")
    await link.start(process, attach=False)
    await asyncio.sleep(0.5)

    found, total = await link.top()

    assert total == len(found)
    commands = {one.command: one for one in found}
    assert commands["sleep 61"].cpu_seconds < 0.1
    (busy,) = (one for name, one in commands.items() if "while :" in name)
    assert 0.1 < busy.cpu_seconds < 5
    assert 0.1 < busy.memory_bytes / MIB < 50
    assert 0 <= busy.seconds < 30
    await link.kill(process.id)
    assert "sleep 61" not in [one.command for one in (await link.top())[0]]


async def test_a_process_hides_behind_no_name(link: Link) -> None:
    process = a_process(SLEEPER)
    await until_said(await link.start(process), b"ready")
    (found, _) = await link.top()
    (seen,) = (one for one in found if one.command.startswith("python3"))

    await link.kill(process.id)

    assert await all_die(seen.pid)


async def test_a_child_that_hides_behind_a_name_is_killed_with_its_tree(link: Link) -> None:
    process = a_process(f"({SLEEPER}) & wait")
    await until_said(await link.start(process), b"ready")
    (seen,) = (one for one in (await link.top())[0] if one.command.startswith("python3"))

    await link.kill(process.id)

    assert await all_die(seen.pid)
