"""Terminals over their WebSocket, on a real server and a real engine."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.browser.people import add_person
from tests.sandboxes.conftest import Box, make_box
from tests.sandboxes.sockets import Browser, terminal
from tests.server import Server

pytestmark = pytest.mark.docker

HIGH, WINDOW, LARGEST_CHUNK = 256 * 1024, 256 * 1024, 256 * 1024
PROMPT = b"$ "


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    with Browser(server) as browser:
        yield browser


def open_one(browser: Browser, box: Box, **wish: str) -> str:
    """Open a terminal; return the address of its socket."""
    answer = browser.post(f"/sandboxes/{box.id}/terminals/open/", **wish)
    assert answer.status_code == 200, answer.text
    return f"/ws{answer.json()['url']}"


async def test_shell_answers_and_says_how_it_ended(browser: Browser, box: Box) -> None:
    async with terminal(browser, open_one(browser, box, rows="30", cols="100")) as viewer:
        hello = await viewer.told("hello")
        assert (hello["rows"], hello["cols"], hello["reset"], hello["ro"]) == (30, 100, True, False)
        await viewer.type(b"stty size; echo $((6*7)); exit 5\n")
        await viewer.until(b"30 100\r\n42\r\n")
        assert (await viewer.told("exit"))["code"] == 5
        with pytest.raises(ConnectionClosed) as closed:
            await viewer.take()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


async def test_each_byte_comes_once_over_two_connections(browser: Browser, box: Box) -> None:
    address = open_one(browser, box, command="seq 1 2000; read x; seq 2001 4000; read x")
    async with terminal(browser, address) as first:
        await first.until(b"\r\n500\r\n")
        position, before = first.position, first.output
    async with terminal(browser, address, query=f"?pos={position}") as second:
        hello = await second.told("hello")
        assert (hello["pos"], hello["reset"]) == (position, False)
        await second.until(b"2000\r\n") if b"2000\r\n" not in before else None
        await second.type(b"\n")
        await second.until(b"4000\r\n")
    numbers = re.findall(rb"(\d+)\r\n", before + second.output)
    assert [int(number) for number in numbers] == list(range(1, 4001))


async def test_page_that_comes_back_late_starts_anew(browser: Browser, box: Box) -> None:
    address = open_one(
        browser, box, command="head -c 3000000 /dev/zero | tr '\\0' x; echo END; read x"
    )
    async with terminal(browser, address) as viewer:
        await viewer.until(b"END")
    async with terminal(browser, address, query="?pos=5") as late:
        hello = await late.told("hello")
        assert hello["reset"] is True
        assert hello["end"] - hello["pos"] <= 1024 * 1024
        await late.until(b"END")


async def test_server_waits_for_what_is_drawn(browser: Browser, box: Box) -> None:
    address = open_one(browser, box, command="yes 0123456789")
    async with terminal(browser, address) as viewer:
        viewer.acknowledges = False
        with pytest.raises(TimeoutError):
            await viewer.until(b"never", seconds=2)
        assert HIGH < len(viewer.output) <= HIGH + LARGEST_CHUNK
        viewer.acknowledges = True
        await viewer.say("ack", pos=viewer.position)
        before = len(viewer.output)
        with pytest.raises(TimeoutError):
            await viewer.until(b"never", seconds=1)
        assert len(viewer.output) > before + HIGH


async def test_frozen_page_holds_nobody_up_for_long(browser: Browser, box: Box) -> None:
    address = open_one(browser, box, command="yes | head -n 2000000; echo E''ND; read x")
    async with terminal(browser, address) as frozen, terminal(browser, address) as viewer:
        frozen.acknowledges = False
        with pytest.raises(TimeoutError):
            await frozen.until(b"END", seconds=2)
        await viewer.until(b"END", seconds=30)
        frozen.acknowledges = True
        await frozen.say("ack", pos=frozen.position)
        await frozen.until(b"END")


async def test_last_wish_for_a_size_counts(browser: Browser, box: Box) -> None:
    async with terminal(browser, open_one(browser, box)) as viewer:
        await viewer.until(PROMPT)
        for rows in range(10, 60):
            await viewer.say("resize", rows=rows, cols=90)
        await viewer.told("size", rows=59, cols=90)
        await viewer.type(b"stty size\n")
        await viewer.until(b"59 90\r\n")


async def test_paste_arrives_whole(browser: Browser, box: Box) -> None:
    address = open_one(
        browser, box, command="stty raw -echo; echo ready; head -c 200000 | sha256sum"
    )
    text = bytes(range(32, 127)) * 2106
    text = text[:200000]
    async with terminal(browser, address) as viewer:
        await viewer.until(b"ready")
        for start in range(0, len(text), 16384):
            await viewer.type(text[start : start + 16384])
        await viewer.until(hashlib.sha256(text).hexdigest().encode())


async def test_interrupt_passes_what_nobody_reads(browser: Browser, box: Box) -> None:
    async with terminal(browser, open_one(browser, box)) as viewer:
        await viewer.until(PROMPT)
        await viewer.type(b"stty raw -echo; echo rea''dy; sleep 1000; stty sane\n")
        await viewer.until(b"ready")
        for _ in range(20):
            await viewer.type(b"x" * 16384)
        await asyncio.sleep(0.7)
        await viewer.type(b"\x03")
        viewer.output = b""
        await viewer.type(b"\nstty sane; echo al''ive\n")
        await viewer.until(b"alive")


async def test_one_types_at_a_time_and_another_takes_over(browser: Browser, box: Box) -> None:
    address = open_one(browser, box)
    async with (
        terminal(browser, address, query="?client=a") as first,
        terminal(browser, address, query="?client=b") as second,
    ):
        await first.told("hello")
        await first.type(b"echo fi''rst\n")
        await first.told("driver", you=True)
        await first.until(b"first")
        await second.told("driver", name="admin", you=False)
        await second.type(b"echo se''cond\n")
        await second.told("warn", code="watching")
        await second.say("take")
        await second.told("driver", you=True)
        await first.told("driver", you=False)
        await second.type(b"echo thi''rd\n")
        assert b"second" not in await first.until(b"third")
        await second.say("resize", rows=40, cols=90)
        await first.told("size", rows=40, cols=90)
        assert (await first.told("viewers", n=2))["n"] == 2


async def test_next_connection_of_a_page_types_on(browser: Browser, box: Box) -> None:
    address = open_one(browser, box)
    async with terminal(browser, address, query="?client=same&turn=1") as first:
        await first.type(b"echo on''e\n")
        await first.until(b"one")
        async with terminal(browser, address, query="?client=same&turn=2") as second:
            await second.told("driver", you=True)
            await second.type(b"echo tw''o\n")
            await second.until(b"two")
            # The former one does not answer back, or they would go on without end.
            with pytest.raises(TimeoutError):
                await first.told("never", seconds=1)
            told = [message for message in first.said if message["t"] == "driver"]
            assert [message["you"] for message in told] == [True, True, False]


async def test_pages_of_the_same_name_and_turn_leave_each_other_alone(
    browser: Browser, box: Box
) -> None:
    address = open_one(browser, box)
    async with (
        terminal(browser, address, query="?client=same&turn=1") as first,
        terminal(browser, address, query="?client=same&turn=1") as second,
    ):
        await first.type(b"echo on''e\n")
        await first.until(b"one")
        await second.say("take")
        await second.told("driver", you=True)
        with pytest.raises(TimeoutError):
            await first.told("never", seconds=1)
        assert sum(message["t"] == "driver" for message in first.said) <= 3


async def test_end_of_the_sandbox_is_told(browser: Browser, server: Server) -> None:
    box = make_box(server)
    async with terminal(browser, open_one(browser, box)) as viewer:
        await viewer.until(PROMPT)
        box.request("DELETE")
        end = await viewer.told("exit")
    assert end["reason"] == "stopped"
    assert "stopped by" in end["msg"]
    page = browser.client.get(f"/sandboxes/{box.id}/terminal/").text
    assert "its sandbox ended" in page.lower()


async def test_paused_sandbox_sends_its_viewers_away(browser: Browser, box: Box) -> None:
    address = open_one(browser, box)
    async with terminal(browser, address) as viewer:
        await viewer.until(PROMPT)
        box.request("POST", "/pause")
        assert "paused" in (await viewer.told("warn", code="refused"))["msg"]
        with pytest.raises(ConnectionClosed) as closed:
            await viewer.take()
        position = viewer.position
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4010
    box.request("POST", "/resume")
    async with terminal(browser, address, query=f"?pos={position}") as viewer:
        await viewer.type(b"echo ag''ain\n")
        await viewer.until(b"again")


async def test_who_may_no_longer_type_is_told_at_once(
    browser: Browser, server: Server, box: Box
) -> None:
    name, password = add_person(server, "member")
    address = open_one(browser, box)
    page = browser.client.get("/settings/members/").text
    row = page[page.index(f">{name}<") :]
    role = re.search(r"/settings/members/\d+/role/", row)
    assert role is not None
    with Browser(server, name, password) as member:
        async with terminal(member, address) as viewer:
            await viewer.until(PROMPT)
            assert browser.post(role[0], role="viewer").is_success
            assert "role was changed" in (await viewer.told("warn", code="refused"))["msg"]


async def test_output_that_somebody_watches_holds_the_sandbox(server: Server) -> None:
    box = make_box(server, timeout=10)
    with Browser(server) as browser:
        address = open_one(browser, box, command="for n in $(seq 60); do echo $n; sleep 0.5; done")
        async with terminal(browser, address) as viewer:
            await viewer.until(b"\r\n36\r\n", seconds=30)
    assert box.data("GET")["sandbox_status"] == "running"
    box.request("DELETE")


async def test_terminal_outlives_its_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = Server(tmp_path_factory.mktemp("terminal")).start()
    try:
        with Browser(server) as browser:
            address = open_one(browser, make_box(server))
            async with terminal(browser, address) as viewer:
                await viewer.until(PROMPT)
                await viewer.type(b"export KEPT=yes; echo be''fore\n")
                await viewer.until(b"before")
                position = viewer.position
                server.kill()
            server.start()
            async with terminal(browser, address, query=f"?pos={position}") as viewer:
                assert (await viewer.told("hello"))["reset"] is False
                await viewer.type(b"echo KEPT is $KEPT\n")
                await viewer.until(b"KEPT is yes")
    finally:
        server.end_sandboxes()
        server.stop()


async def test_closed_terminal_says_so(browser: Browser, box: Box) -> None:
    address = open_one(browser, box)
    async with terminal(browser, address) as viewer:
        await viewer.until(PROMPT)
        answer = browser.post(address.removeprefix("/ws") + "close/")
        assert answer.status_code == 200, answer.text
        await viewer.told("exit")
    assert box.run("true")["exit_code"] == 0


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_socket_of_another_site_is_refused(browser: Browser, box: Box, origin: str) -> None:
    address = open_one(browser, box)
    with pytest.raises(InvalidStatus) as refused:
        async with terminal(browser, address, origin=origin):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("cookie", "address", "code"),
    [
        (False, "", 4003),
        (True, "unknown terminal", 4004),
        (True, "unknown sandbox", 4004),
    ],
)
async def test_stranger_gets_a_reason_and_nothing_else(
    browser: Browser, box: Box, cookie: bool, address: str, code: int
) -> None:
    path = open_one(browser, box)
    if address == "unknown terminal":
        path = f"/ws/sandboxes/{box.id}/terminals/{uuid.uuid4()}/"
    elif address == "unknown sandbox":
        path = path.replace(box.id, str(uuid.uuid4()))
    with Browser(browser.server) as visitor:
        if not cookie:
            visitor.client.cookies.clear()
        async with terminal(visitor, path) as viewer:
            await viewer.told("warn", code="refused")
            with pytest.raises(ConnectionClosed) as closed:
                await viewer.take()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert viewer.output == b""


NONSENSE = (
    "",
    "{",
    "[]",
    '{"t": "ack"}',
    '{"t": "ack", "pos": "x"}',
    '{"t": "ack", "pos": -7}',
    '{"t": "ack", "pos": 1e400}',
    '{"t": "resize", "rows": null}',
    '{"t": "signal", "sig": "SEGV"}',
    '{"t": "ping"}',
    '{"t": 7}',
    "x" * 5000,
)


async def test_nonsense_is_ignored(browser: Browser, box: Box) -> None:
    async with terminal(browser, open_one(browser, box)) as viewer:
        await viewer.until(PROMPT)
        for number, message in enumerate(NONSENSE):
            await viewer.connection.send(message)
            await viewer.type(b"echo st''ill %d\n" % number)
            await viewer.until(b"still %d" % number)


def test_number_of_terminals_is_bounded(browser: Browser, box: Box) -> None:
    for _ in range(16):
        open_one(browser, box, command="sleep 100")
    answer = browser.post(f"/sandboxes/{box.id}/terminals/open/")
    assert answer.status_code == 429
    assert "16 terminals are open" in answer.json()["error"]


async def test_recording_plays_what_was_shown(browser: Browser, server: Server) -> None:
    box = make_box(server)
    server.manage("shell", "-c", "from sandboxes.models import Sandbox; "
                  f"Sandbox.objects.filter(pk='{box.id}').update(records_terminals=True)")  # fmt: skip
    address = open_one(browser, box)
    async with terminal(browser, address) as viewer:
        await viewer.until(PROMPT)
        await viewer.say("resize", rows=33, cols=99)
        await viewer.told("size", rows=33, cols=99)
        await viewer.type(b"echo re''corded; exit\n")
        await viewer.told("exit")
    path = address.removeprefix("/ws") + "recording.cast"
    async with asyncio.timeout(10):
        while "recorded" not in (text := browser.client.get(path).text):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    header, *events = text.strip().splitlines()
    assert '"version": 3' in header
    assert all(re.match(r'\[\d+\.?\d*, "[or]", ".*"\]$', event) for event in events)
    sizes = [event for event in events if '"r"' in event]
    assert '"80x24"' in sizes[0]
    assert '"99x33"' in sizes[-1]
    assert events.index(sizes[-1]) < next(n for n, e in enumerate(events) if "corded" in e)
    box.request("DELETE")
