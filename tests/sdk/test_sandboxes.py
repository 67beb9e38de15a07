"""Sandboxes through the real acontext client, sync and async."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from acontext.errors import TransportError

from tests.sdk.conftest import refusal
from tests.server import Server


async def run(client: Any, sandbox_id: str, command: str) -> Any:
    return await client.sandboxes.exec_command(sandbox_id=sandbox_id, command=command)


async def test_a_sandbox_runs_when_it_is_answered(client: Any) -> None:
    sandbox = await client.sandboxes.create()
    assert sandbox.sandbox_status == "running"
    assert sandbox.sandbox_created_at < sandbox.sandbox_expires_at
    killed = await client.sandboxes.kill(sandbox.sandbox_id)
    assert (killed.status, killed.errmsg) == (0, "")


async def test_a_command_is_answered_with_both_streams_and_its_exit_code(
    client: Any, sandbox_id: str
) -> None:
    result = await run(client, sandbox_id, "echo out && echo err >&2; pwd; exit 3")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n/workspace\n", "err\n", 3)


async def test_an_unknown_program_is_a_result_and_no_error(client: Any, sandbox_id: str) -> None:
    result = await run(client, sandbox_id, "no-such-program")
    assert result.exit_code == 127
    assert "no-such-program" in result.stderr


async def test_a_command_has_a_home_and_unicode(client: Any, sandbox_id: str) -> None:
    result = await run(client, sandbox_id, "touch ~/file && id -un && echo 'Grüße 😀'")
    assert result.stdout == "sandbox\nGrüße 😀\n"


@pytest.mark.parametrize("size", [300_000, 5_000_000])
async def test_a_command_may_carry_a_whole_file(client: Any, sandbox_id: str, size: int) -> None:
    text = "x" * size
    result = await run(client, sandbox_id, f"cat > big.txt <<'END'\n{text}\nEND\nwc -c < big.txt")
    assert result.stdout.strip() == str(size + 1)


async def test_output_over_the_limit_is_cut_and_the_command_ends_by_itself(
    client: Any, sandbox_id: str
) -> None:
    result = await run(client, sandbox_id, "head -c 100000000 /dev/zero | tr '\\0' x; echo end >&2")
    assert result.exit_code == 0
    assert result.stderr == "end\n"
    assert len(result.stdout) < 11_000_000
    assert "of 100000000 bytes" in result.stdout[-200:]


async def test_output_that_is_not_utf8_is_answered_with_replacements(
    client: Any, sandbox_id: str
) -> None:
    result = await run(client, sandbox_id, r"printf 'a\xff\xfeb'")
    assert result.stdout == "a\ufffd\ufffdb"


async def test_a_background_job_does_not_hold_the_answer_and_goes_on(
    client: Any, sandbox_id: str
) -> None:
    await asyncio.wait_for(
        run(client, sandbox_id, "nohup sh -c 'sleep 2; echo done > later' >/dev/null 2>&1 &"), 1.9
    )
    result = await run(client, sandbox_id, "sleep 3; cat later")
    assert result.stdout == "done\n"


async def test_files_of_one_command_are_there_for_the_next(client: Any, sandbox_id: str) -> None:
    await run(client, sandbox_id, "echo kept > kept.txt")
    assert (await run(client, sandbox_id, "cat kept.txt")).stdout == "kept\n"


async def test_commands_run_side_by_side(client: Any, sandbox_id: str) -> None:
    results = await asyncio.gather(*(run(client, sandbox_id, f"echo {n}") for n in range(20)))
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(20)]


async def test_an_empty_command_is_400(client: Any, sandbox_id: str) -> None:
    assert (await refusal(run(client, sandbox_id, ""))).status_code == 400


async def test_an_unknown_sandbox_is_404(client: Any) -> None:
    error = await refusal(run(client, str(uuid.uuid4()), "true"))
    assert (error.status_code, error.message) == (404, "sandbox not found")


async def test_an_id_that_is_none_is_400(client: Any) -> None:
    assert (await refusal(run(client, "nonsense", "true"))).status_code == 400


async def test_a_dead_sandbox_is_404_with_the_reason(client: Any) -> None:
    sandbox_id = (await client.sandboxes.create()).sandbox_id
    await client.sandboxes.kill(sandbox_id)
    error = await refusal(run(client, sandbox_id, "true"))
    assert error.status_code == 404
    assert "it was killed by the API key" in str(error.message)


async def test_a_second_kill_says_that_it_was_killed(client: Any) -> None:
    sandbox_id = (await client.sandboxes.create()).sandbox_id
    await client.sandboxes.kill(sandbox_id)
    again = await client.sandboxes.kill(sandbox_id)
    assert (again.status, again.errmsg) == (1, "sandbox already killed")


async def test_a_sandbox_killed_while_a_command_runs_says_so(client: Any) -> None:
    sandbox_id = (await client.sandboxes.create()).sandbox_id
    running = asyncio.ensure_future(run(client, sandbox_id, "sleep 60"))
    await asyncio.sleep(0.5)
    await client.sandboxes.kill(sandbox_id)
    error = await asyncio.wait_for(refusal(running), 10)
    assert error.status_code == 404
    assert "killed" in str(error.message)


async def test_a_strangers_sandbox_looks_missing(
    client: Any, stranger: Any, sandbox_id: str
) -> None:
    theirs = await refusal(run(stranger, sandbox_id, "true"))
    missing = await refusal(run(stranger, str(uuid.uuid4()), "true"))
    assert theirs.status_code == missing.status_code == 404
    assert theirs.message == missing.message
    assert (await refusal(stranger.sandboxes.kill(sandbox_id))).status_code == 404
    assert (await run(client, sandbox_id, "echo untouched")).stdout == "untouched\n"


async def test_logs_hold_every_command(client: Any, sandbox_id: str) -> None:
    await run(client, sandbox_id, "echo one")
    await run(client, sandbox_id, "exit 9")
    logs = await client.sandboxes.get_logs(limit=1, time_desc=True)
    assert logs.items[0].id == sandbox_id
    history = [(c.command, c.exit_code) for c in logs.items[0].history_commands]
    assert history == [("echo one", 0), ("exit 9", 9)]
    assert logs.has_more


async def test_a_tampered_cursor_is_400(client: Any) -> None:
    error = await refusal(client.sandboxes.get_logs(cursor="bm90aGluZw"))
    assert error.status_code == 400


async def test_a_client_that_goes_away_takes_its_command_with_it(
    client: Any, server: Server, sandbox_id: str
) -> None:
    with pytest.raises(TransportError):
        await client.sandboxes.exec_command(
            sandbox_id=sandbox_id, command="setsid sleep 777 & sleep 777", timeout=1
        )
    for _ in range(50):
        result = await run(client, sandbox_id, "pgrep -fc 'sleep 77[7]'")
        if result.stdout.strip() == "0":
            return
        await asyncio.sleep(0.1)
    pytest.fail("the command of a caller that went away goes on")
