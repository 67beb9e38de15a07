"""The WebSocket of a command's output, on a real server and a real engine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from tests.sandboxes.conftest import Box
from tests.sandboxes.sockets import Browser, Socket, terminal
from tests.server import Server

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    with Browser(server) as browser:
        yield browser


def socket_of(browser: Browser, box: Box) -> str:
    """Return the address of the output of the command that was started last."""
    page = browser.client.get(f"/sandboxes/{box.id}/commands/?open=last").text
    command = re.search(r'id="run-([0-9a-f-]+)"', page)
    assert command is not None, page
    return f"/ws/sandboxes/{box.id}/commands/{command[1]}/"


async def draw(viewer: Socket, seconds: float) -> None:
    """Take what comes, acknowledging all of it: of each frame the first byte is the stream."""
    drawn = 0
    async with asyncio.timeout(seconds):
        while True:
            before = len(viewer.output)
            await viewer.take()
            if any(message["t"] == "exit" for message in viewer.said):
                return
            drawn += max(0, len(viewer.output) - before - 1)
            await viewer.say("ack", pos=drawn)


async def test_output_comes_with_its_stream_and_its_end(browser: Browser, box: Box) -> None:
    box.data("POST", "/process", json={"command": "echo out; echo err >&2; sleep 1; exit 3"})
    async with terminal(browser, socket_of(browser, box)) as viewer:
        viewer.acknowledges = False
        await draw(viewer, 15)
    assert b"\x00out\n" in viewer.output
    assert b"\x01err\n" in viewer.output
    assert "3" in viewer.said[-1]["words"]


async def test_frozen_page_holds_no_command_up_for_long(browser: Browser, box: Box) -> None:
    wait = "while [ ! -e go ]; do sleep 0.1; done"
    command = f"{wait}; yes | head -n 2000000; touch done; sleep 30"
    box.data("POST", "/process", json={"command": command})
    async with terminal(browser, socket_of(browser, box)) as viewer:
        viewer.acknowledges = False
        await viewer.told("hello", pos=0)
        box.run("touch go")
        async with asyncio.timeout(30):
            while box.run("ls done")["exit_code"] != 0:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        # What it drew at last lets it go on with what is still held.
        with pytest.raises(TimeoutError):
            await viewer.until(b"never", seconds=2)
        drawn, viewer.output = len(viewer.output), b""
        viewer.said.clear()
        await viewer.say("ack", pos=drawn)
        assert (await viewer.told("hello", reset=True))["pos"] > drawn
        await viewer.until(b"y\n" * 10)
