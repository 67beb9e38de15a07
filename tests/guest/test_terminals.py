"""A process on a terminal: prompt, size, control characters and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from sandboxes.guest import agent
from sandboxes.guest.link import Attachment, GuestError, Link
from tests.guest.guests import Guest, a_process, result_of, run, until_said

SIZE = (24, 80)
PROMPT = {"PS1": "ready> ", "BASH_ENV": "", "INPUTRC": "/dev/null"}


@pytest.fixture
async def shell(link: Link) -> tuple[str, Attachment]:
    """The id and the output of a shell that has shown its prompt."""
    process = a_process(argv=["bash", "--norc", "--noprofile"], pty=SIZE, env=PROMPT)
    attachment = await link.start(process)
    await until_said(attachment, b"ready> ")
    return process.id, attachment


async def test_shell_shows_a_prompt_and_answers(link: Link, shell: tuple[str, Attachment]) -> None:
    process_id, attachment = shell

    await link.write_stdin(process_id, b"echo $((6 * 7))\n")

    assert b"42\r\n" in await until_said(attachment, b"42\r\n")


async def test_shell_is_what_runs_where_nothing_is_named(link: Link) -> None:
    process = a_process(pty=SIZE)
    attachment = await link.start(process)

    await link.write_stdin(process.id, b"exit 6\n")

    assert (await attachment.exit()).exit_code == 6


async def test_output_of_a_terminal_is_one_stream(link: Link) -> None:
    result = await run(link, "tty; echo err >&2", pty=SIZE)

    assert result.pty.startswith(b"/dev/pts/")
    assert result.pty.endswith(b"err\r\n")
    assert (result.stdout, result.stderr) == (b"", b"")


async def test_terminal_has_the_size_it_was_given(link: Link) -> None:
    assert (await run(link, "stty size", pty=(40, 100))).pty == b"40 100\r\n"


@pytest.mark.parametrize(("asked", "had"), [((50, 120), b"50 120\r\n"), ((0, 9999), b"1 500\r\n")])
async def test_terminal_is_resized(
    link: Link, shell: tuple[str, Attachment], asked: tuple[int, int], had: bytes
) -> None:
    process_id, attachment = shell

    await link.resize(process_id, *asked)
    await link.write_stdin(process_id, b"stty size\n")

    assert had in await until_said(attachment, had)


async def test_program_is_told_of_a_new_size(link: Link) -> None:
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done"
    process = a_process(script, pty=SIZE)
    attachment = await link.start(process)
    await until_said(attachment, b"ready")

    await link.resize(process.id, 33, 44)

    assert b"33 44\r\n" in (await result_of(attachment)).pty


async def test_process_without_a_terminal_has_no_size(link: Link) -> None:
    process = a_process("sleep 60")
    await link.start(process)

    with pytest.raises(GuestError) as caught:
        await link.resize(process.id, 10, 10)

    assert caught.value.code == "unsupported"


async def test_interrupt_key_ends_what_runs_and_not_the_shell(
    link: Link, shell: tuple[str, Attachment]
) -> None:
    process_id, attachment = shell
    await link.write_stdin(process_id, b"sh -c 'echo begun; exec sleep 60'\n")
    await until_said(attachment, b"begun\r\n")

    await link.write_stdin(process_id, b"\x03")
    await link.write_stdin(process_id, b"echo $?\n")

    assert b"130\r\n" in await until_said(attachment, b"130\r\n")


async def test_end_of_input_ends_the_shell(link: Link, shell: tuple[str, Attachment]) -> None:
    process_id, attachment = shell

    await link.write_stdin(process_id, b"\x04")

    assert (await attachment.exit()).exit_code == 0


async def test_end_of_the_shell_is_told_though_its_children_live(link: Link) -> None:
    result = await run(link, "trap '' HUP; sleep 60 & exit 3", pty=SIZE)

    assert result.exit.exit_code == 3


async def test_terminal_outlives_its_link(
    guest: Guest, link: Link, shell: tuple[str, Attachment]
) -> None:
    process_id, _ = shell
    await link.close()

    again = await guest.link()
    attachment = await again.attach(process_id)
    await again.write_stdin(process_id, b"echo $((6 * 7))\n")

    assert b"42" in await until_said(attachment, b"42\r\n")
    await again.close()


async def test_line_that_nobody_reads_does_not_hold_the_guest_up(link: Link) -> None:
    process = a_process("stty raw -echo; echo ready; sleep 60", pty=SIZE)
    await until_said(await link.start(process), b"ready")
    # More than the terminal takes while nobody reads: the rest waits in the guest.
    writing = link.write_stdin(process.id, bytes(100_000))

    with pytest.raises(GuestError) as caught:
        await both(writing, link.kill(process.id))

    assert caught.value.code == "closed"
    assert (await run(link, "echo fine")).stdout == b"fine\n"


async def both(writing: Coroutine, killing: Coroutine) -> None:
    task = asyncio.create_task(writing)
    await asyncio.sleep(0.1)
    assert not task.done()
    await killing
    await task


async def test_modes_outlive_the_output_that_set_them(link: Link) -> None:
    script = r"printf '\033[?1049h\033[?2004;1002h'; head -c 3000000 /dev/zero | tr '\\0' x; printf '\033[?2004l'; sleep 60"
    process = a_process(script, pty=SIZE)
    await link.start(process, attach=False)
    async with asyncio.timeout(20):
        while (await link.process(process.id)).next_offset < 3_000_000:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    attachment = await link.attach(process.id, since=0)
    kept = attachment.kept
    assert kept.oldest_offset > 1_000_000
    assert kept.next_offset - kept.oldest_offset <= agent.RING
    assert kept.preamble == "\x1b[?1049h\x1b[?2004h\x1b[?1002h"
    first = await anext(aiter(attachment.output()))
    assert first.offset == kept.oldest_offset
    await link.kill(process.id)


def test_mode_cut_in_two_is_found() -> None:
    for cut in range(1, 8):
        modes = agent.Modes()
        text = b"\x1b[?1049h"
        modes.feed(text[:cut])
        modes.feed(text[cut:])
        assert modes.preamble() == "\x1b[?1049h"


@pytest.mark.slow
async def test_interrupt_reaches_the_foreground_and_drops_what_was_typed(link: Link) -> None:
    process = a_process(argv=["bash", "--norc", "--noprofile"], pty=SIZE, env=PROMPT)
    await link.start(process, attach=False)
    await link.write_stdin(process.id, b"stty raw -echo; sleep 1000\n")
    await asyncio.sleep(0.3)
    # Nobody reads this: the terminal takes some of it and no more.
    typing = asyncio.create_task(link.write_stdin(process.id, b"x" * 500_000))
    await asyncio.sleep(0.3)
    assert not typing.done()
    await link.signal(process.id, "INT", foreground=True)
    async with asyncio.timeout(5):
        await typing
    assert (await link.process(process.id)).running
    await link.kill(process.id)


async def test_small_window_holds_the_rest_back(link: Link) -> None:
    process = a_process("head -c 900000 /dev/zero", pty=SIZE)
    await link.start(process, attach=False)
    async with asyncio.timeout(20):
        while (await link.process(process.id)).running:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    attachment = await link.attach(process.id, since=0, window=65536)
    await asyncio.sleep(0.2)
    assert attachment._channel.held <= 65536 + 64 * 32
    assert sum([len(chunk.data) async for chunk in attachment.output()]) == 900000
