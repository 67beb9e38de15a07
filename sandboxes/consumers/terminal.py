"""The WebSocket of a terminal: the protocol `sbx.term.v1`.

Binary frames are the terminal's bytes, both ways. Text frames are JSON, told apart by `t`:

to the page     hello   {v, sid, pos, end, reset, preamble, rows, cols, ro, viewers}: what follows
                        starts at `pos`, what is older than `end` is a replay; if `reset`, clear
                        first and write `preamble`
                size    {rows, cols}: somebody else has resized it
                typed   {n}: so many bytes of this socket's input were taken, in all
                driver  {name, you}: whose keys count now; an empty name: the next one's to type
                viewers {n}
                warn    {code, msg}
                pong    {ts}
                exit    {code, reason, msg}: the terminal has ended; then the socket is closed
from the page   ack     {pos}: everything before `pos` has been drawn
                resize  {rows, cols}, signal {sig}, take {}, redraw {}, ping {ts}

A page acknowledges what it has drawn, and only so much is sent ahead of that. One viewer's keys
count at a time, the others watch and may take over. A page names itself with `client` and counts
its connections with `turn`: the next one goes on where the last one broke off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any
from urllib.parse import parse_qs

from project import database
from project.errors import Forbidden, Invalid, NotFound, Refused
from sandboxes import guests, terminals
from sandboxes.access import end_of
from sandboxes.consumers.keyboard import Keyboard
from sandboxes.consumers.viewer import WINDOW, Frozen, Viewer
from sandboxes.consumers.visitor import CloseCode, Visitor, visitor_of
from sandboxes.guest.link import Attachment, OutputChunk
from sandboxes.models import Sandbox, Status, Terminal
from sandboxes.terminals import Size

logger = logging.getLogger(__name__)

PROTOCOL = "sbx.term.v1"
# A link that broke is opened anew, so often and with such a pause.
ATTEMPTS = 5
PAUSE_SECONDS = 0.3
MAX_MESSAGE = 4096
# Who works here sees the output: that is use. It is noted no more often than this.
USE_SECONDS = 5.0
PAUSED = "the sandbox is paused; resume it to go on"
# What a page may ask for at once; it asks for no more than one or two.
MAX_TASKS = 16


class Resync(Exception):
    """The page was too slow: what comes next is no longer what it waits for."""


class TerminalConsumer(Viewer):
    """One viewer of one terminal."""

    terminal: Terminal
    keyboard: Keyboard | None = None
    has_joined = False
    # Whose keys count: their channel and their name.
    driver: tuple[str, str] | None = None
    # The size that is wanted, while the terminal is given it.
    wanted: Size | None = None
    used_at = 0.0
    is_counting = False
    counts_again = False

    async def connect(self) -> None:
        arguments = self.scope["url_route"]["kwargs"]
        query = parse_qs(self.scope["query_string"].decode(errors="replace"))
        self.group = terminals.group_of(arguments["terminal_id"])
        self.client = query.get("client", [""])[0][:64]
        self.turn = _offset(query.get("turn", [""])[0]) or 0
        await self.accept(PROTOCOL if PROTOCOL in self.scope["subprotocols"] else None)
        try:
            self.visitor = await visitor_of(self.scope, arguments["sandbox_id"])
            self.terminal = await database.read(
                terminals.find, self.visitor.sandbox, arguments["terminal_id"]
            )
        except Forbidden as refusal:
            await self._refuse(CloseCode.FORBIDDEN, refusal.message)
        except NotFound as refusal:
            await self._refuse(CloseCode.NOT_FOUND, refusal.message)
        else:
            self.read_only = not self.visitor.may_work or "watch" in query
            await self._join(_offset(query.get("pos", [""])[0]))

    async def _join(self, position: int | None) -> None:
        await self.join(self.group)
        self.has_joined = True
        if not self.read_only:
            self.keyboard = Keyboard(self.visitor.sandbox, self.terminal, self._say_typed)
        await self._tell_group("who", client=self.client)
        self.spawn(self._follow(position))
        self.spawn(self.watch_visitor())

    async def disconnect(self, code: int) -> None:
        await super().disconnect(code)
        if self.keyboard is not None:
            await self.keyboard.close()
        if self.has_joined:
            await self._tell_group("left")

    # --- Output -----------------------------------------------------------------------------

    async def _follow(self, position: int | None) -> None:
        """Send what the terminal says until it has ended, over as many links as that takes."""
        for _ in range(ATTEMPTS):
            if await self._is_over():
                return
            try:
                await self._send_all(position)
            except Refused as refusal:
                if refusal.tag == "not_found":
                    # The guest has forgotten it: there is nothing left to show.
                    await self._say_ended()
                    return
                logger.info("terminal %s: %s", self.terminal.id, refusal)
            else:
                return
            position = self.sent
            await asyncio.sleep(PAUSE_SECONDS)
        await self.close(CloseCode.AGAIN)

    async def _send_all(self, position: int | None) -> None:
        """Send what the terminal says until it has ended; begin anew for a page that fell behind."""
        while True:
            try:
                await self._attach_and_send(position)
            except Resync:
                position = None
            except Frozen:
                # Nothing is held up for it meanwhile.
                await self.until_thawed()
                position = self.sent
            else:
                return

    async def _attach_and_send(self, position: int | None) -> None:
        with guests.refusals():
            async with guests.linked(self.visitor.sandbox) as link:
                attachment = await link.attach(
                    self.terminal.process_id, since=position or 0, window=WINDOW
                )
            try:
                if position is not None and position > attachment.kept.next_offset:
                    # No output of this terminal: of another one of that page, perhaps.
                    raise Resync
                await self._say_hello(attachment, position)
                await self._tell_group("viewers")
                async for chunk in attachment.output():
                    await self._send_chunk(chunk)
                end = await attachment.exit()
            finally:
                await attachment.detach()
        await terminals.finish(self.visitor.sandbox, self.terminal, end=end)
        await self._say_ended(end.exit_code)

    async def _say_hello(self, attachment: Attachment, position: int | None) -> None:
        kept = attachment.kept
        starts_anew = position is None or position < kept.oldest_offset
        self.sent = self.acked = kept.oldest_offset if starts_anew else position or 0
        await database.read(self.terminal.refresh_from_db)
        await self._say(
            "hello",
            v=1,
            sid=str(self.terminal.id),
            pos=self.sent,
            end=kept.next_offset,
            reset=starts_anew,
            preamble=kept.preamble if starts_anew else "",
            rows=self.terminal.rows,
            cols=self.terminal.columns,
            ro=self.read_only,
        )

    async def _send_chunk(self, chunk: OutputChunk) -> None:
        if chunk.offset != self.sent:
            raise Resync
        await self.send_output(chunk.data)
        await self._note_use()

    async def _note_use(self) -> None:
        """Renew the sandbox that somebody works in, now and then."""
        now = time.monotonic()
        if self.keyboard is not None and now - self.used_at > USE_SECONDS:
            self.used_at = now
            await database.note_soon(terminals.note_use, self.visitor.sandbox, self.terminal)

    def sandbox_changed(self) -> None:
        self.spawn(self._leave_paused())

    async def _leave_paused(self) -> None:
        """Leave a sandbox that was paused: it says nothing and takes nothing."""
        sandbox = self.visitor.sandbox
        await database.read(sandbox.refresh_from_db)
        if sandbox.status == Status.PAUSED:
            await self._refuse(CloseCode.NOT_RUNNING, PAUSED)

    async def _say_ended(self, code: int | None = None) -> None:
        sandbox = self.visitor.sandbox
        await database.read(sandbox.refresh_from_db)
        await database.read(self.terminal.refresh_from_db)
        if not sandbox.is_alive:
            await self._say("exit", code=code, reason="stopped", msg=_sandbox_ended(sandbox))
        else:
            reason = self.terminal.reason or Terminal.Reason.EXITED
            code = self.terminal.exit_code if code is None else code
            await self._say("exit", code=code, reason=reason, msg="")
        await self.close(CloseCode.ENDED)

    async def _is_over(self) -> bool:
        """Close the socket if the sandbox has ended or is paused."""
        sandbox = self.visitor.sandbox
        await database.read(sandbox.refresh_from_db)
        if sandbox.status == Status.RUNNING:
            return False
        if sandbox.is_alive:
            await self._refuse(CloseCode.NOT_RUNNING, PAUSED)
        else:
            await self._say("exit", code=None, reason="stopped", msg=_sandbox_ended(sandbox))
            await self.close(CloseCode.NOT_RUNNING)
        return True

    # --- Input ------------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take a frame. Nothing here waits for the sandbox, so that acks are never held up."""
        if bytes_data is not None:
            await self._type(bytes_data)
        elif text_data is not None and len(text_data) <= MAX_MESSAGE:
            # What is no message of the protocol is ignored, as a later version's would be.
            with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, Invalid):
                message = json.loads(text_data)
                if isinstance(message, dict):
                    await self._obey(message)

    async def _type(self, data: bytes) -> None:
        if self.keyboard is None:
            await self._say("warn", code="readonly", msg="You may watch this terminal only.")
        elif await self._may_drive() and not self.keyboard.type(data):
            await self.close(CloseCode.TOO_MUCH)

    async def _obey(self, message: dict[str, Any]) -> None:
        kind = message.get("t")
        if kind == "ack":
            self.note_drawn(int(message["pos"]))
        elif kind == "ping":
            await self._say("pong", ts=float(message["ts"]))
        elif self.keyboard is not None:
            await self._obey_typist(message)

    async def _obey_typist(self, message: dict[str, Any]) -> None:
        """Do what only those ask for who may type here."""
        kind = message.get("t")
        if kind == "take":
            await self._drive()
        elif kind == "resize" and await self._may_drive(quietly=True):
            self._want(Size.within(message["rows"], message["cols"]))
        elif len(self.tasks) > MAX_TASKS:
            return
        elif kind == "redraw":
            self.spawn(self._redraw())
        elif kind == "signal" and await self._may_drive():
            self.spawn(self._signal(str(message["sig"])))

    def _want(self, size: Size) -> None:
        """Resize soon; of several wishes that come meanwhile the last one counts."""
        is_resizing, self.wanted = self.wanted is not None, size
        if not is_resizing:
            self.spawn(self._resize())

    async def _resize(self) -> None:
        try:
            done: Size | None = None
            while (size := self.wanted) is not None and size is not done:
                await self._resize_to(size)
                done = size
        finally:
            self.wanted = None

    async def _resize_to(self, size: Size) -> None:
        if (size.rows, size.columns) == (self.terminal.rows, self.terminal.columns):
            return
        with contextlib.suppress(Refused):
            await terminals.resize(self.visitor.sandbox, self.terminal, size)
            self.terminal.rows, self.terminal.columns = size.rows, size.columns
            await self._tell_group("size", rows=size.rows, cols=size.columns)

    async def _redraw(self) -> None:
        """Have a program draw its screen anew, for a page that got the end of it only."""
        rows, columns = self.terminal.rows, self.terminal.columns
        with contextlib.suppress(Refused):
            async with guests.linked(self.visitor.sandbox) as link:
                await link.resize(self.terminal.process_id, rows - 1, columns)
                await link.resize(self.terminal.process_id, rows, columns)

    async def _signal(self, name: str) -> None:
        try:
            await terminals.send_signal(self.visitor.sandbox, self.terminal, name)
        except Refused as refusal:
            await self._say("warn", code="signal", msg=refusal.message)

    # --- Who types --------------------------------------------------------------------------

    async def _may_drive(self, *, quietly: bool = False) -> bool:
        """Do this page's keys count? If nobody's do, they do from now on."""
        if self.driver is None:
            await self._drive()
        if self.driver is not None and self.driver[0] == self.channel_name:
            return True
        if not quietly and self.driver is not None:
            await self._say("warn", code="watching", msg=f"{self.driver[1]} is typing here.")
        return False

    async def _drive(self) -> None:
        self.driver = (self.channel_name, self.visitor.member.name)
        await self._tell_driving()

    async def _tell_driving(self) -> None:
        name = self.visitor.member.name
        await self._tell_group("driving", name=name, client=self.client, turn=self.turn)

    async def terminal_who(self, event: dict[str, Any]) -> None:
        """A viewer has come: whoever types says so."""
        if self.driver is None or self.driver[0] != self.channel_name:
            return
        if event["from"] != self.channel_name:
            await self._tell_driving()

    async def terminal_driving(self, event: dict[str, Any]) -> None:
        mine = event["from"] == self.channel_name
        is_former = event["client"] == self.client and event["turn"] < self.turn
        if is_former and self.client and not self.read_only:
            # What types is this page's own former connection, which nobody has missed yet.
            # That one does not answer: its turn is over.
            await self._drive()
            return
        self.driver = (event["from"], event["name"])
        await self._say("driver", name=event["name"], you=mine)

    async def terminal_left(self, event: dict[str, Any]) -> None:
        if self.driver is not None and self.driver[0] == event["from"]:
            self.driver = None
            await self._say("driver", name="", you=False)
        await self.terminal_viewers(event)

    async def terminal_size(self, event: dict[str, Any]) -> None:
        self.terminal.rows, self.terminal.columns = event["rows"], event["cols"]
        await self._say("size", rows=event["rows"], cols=event["cols"])

    async def terminal_viewers(self, event: dict[str, Any]) -> None:
        """Count the viewers anew, beside the frames that come: the guest may take its time."""
        self.counts_again = True
        if not self.is_counting:
            self.is_counting = True
            self.spawn(self._count_viewers())

    async def _count_viewers(self) -> None:
        try:
            while self.counts_again:
                self.counts_again = False
                with contextlib.suppress(Refused):
                    info = await terminals.info(self.visitor.sandbox, self.terminal)
                    recorder = 1 if self.terminal.recorded else 0
                    await self._say("viewers", n=max(1, info.attached - recorder))
        finally:
            self.is_counting = False

    async def _tell_group(self, kind: str, **more: object) -> None:
        message = {"type": f"terminal.{kind}", "from": self.channel_name, **more}
        await self.channel_layer.group_send(self.group, message)

    # --- Said -------------------------------------------------------------------------------

    async def _say(self, kind: str, **more: object) -> None:
        await self.send(json.dumps({"t": kind, **more}))

    async def _say_typed(self, count: int) -> None:
        await self._say("typed", n=count)
        await self._note_use()

    async def _refuse(self, code: CloseCode, message: str) -> None:
        await self._say("warn", code="refused", msg=message)
        await self.close(code)

    def look_at(self, visitor: Visitor) -> None:
        if self.keyboard is not None and not visitor.may_work:
            raise Forbidden("your role was changed; come back to watch")

    async def put_out(self, message: str) -> None:
        await self._refuse(CloseCode.FORBIDDEN, message)


def _offset(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _sandbox_ended(sandbox: Sandbox) -> str:
    return f"The sandbox has ended: {end_of(sandbox)}."
