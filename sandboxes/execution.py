"""Run one command in a sandbox and follow it to its end.

The process belongs to the guest: if our link breaks, the next one goes on where this one
stopped, and if this server dies, harvest.py of the next one finishes the row.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings

from project import database
from project.errors import Conflict, Failed, Invalid, NotFound, Refused
from project.models import Project
from sandboxes import guests, history, lifecycle, news
from sandboxes.access import require_running
from sandboxes.guest.link import (
    Attachment,
    GuestError,
    LinkLost,
    OutputChunk,
    ProcessExit,
    StartSpec,
)
from sandboxes.models import Command, CommandStatus, Reason, Sandbox
from sandboxes.options import check_environment

logger = logging.getLogger(__name__)

# As timeout(1) of coreutils.
TIMED_OUT_CODE = 124
WORKSPACE = "/workspace"
# The guest ends a command when its time is over; so much later we stop to believe that it will.
BACKSTOP_SECONDS = 20.0
KILL_SECONDS = 10.0
RECONNECTS = 5


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """A command as a caller asks for it."""

    command: str
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended, and what it said."""

    id: uuid.UUID
    stdout: str
    stderr: str
    exit_code: int
    timed_out: bool
    truncated: bool
    out_of_memory: bool
    duration_ms: int


def seconds_for(timeout: float | None) -> float:
    """Return how long a command may run. Raises Invalid for a time out of bounds."""
    if timeout is None:
        return float(settings.COMMAND_SECONDS)
    if not 0 < timeout <= settings.COMMAND_MAX_SECONDS:
        raise Invalid(
            f"timeout: must be above 0, and {settings.COMMAND_MAX_SECONDS:g} seconds at most"
        )
    return timeout


async def run(
    project: Project, sandbox_id: uuid.UUID, request: CommandRequest, *, requested_by: str = ""
) -> CommandResult:
    """Run a command and return what it said. A command that fails is a result, not an error.

    If the caller is cancelled, the whole tree of the command is killed.
    """
    execution = await Execution.begin(project, sandbox_id, request, requested_by=requested_by)
    stdout, stderr = bytearray(), bytearray()
    async for chunk in execution.output():
        (stderr if chunk.stream == "stderr" else stdout).extend(chunk.data)
    return execution.result(stdout, stderr)


class Execution:
    """One command from its history row to its end."""

    def __init__(self, sandbox: Sandbox, row: Command, request: CommandRequest) -> None:
        self.sandbox = sandbox
        self.row = row
        self.seconds = seconds_for(request.timeout)
        self.request = request
        self.end: ProcessExit | None = None
        self.kept = {"stdout": history.StreamKeeper(), "stderr": history.StreamKeeper()}
        self._offset = 0
        self._attachment: Attachment | None = None

    @classmethod
    async def begin(
        cls,
        project: Project,
        sandbox_id: uuid.UUID,
        request: CommandRequest,
        *,
        requested_by: str = "",
    ) -> Execution:
        """Write the history row. Raises NotFound or Conflict if the sandbox cannot be used."""
        check_environment(request.env)
        seconds = seconds_for(request.timeout)
        sandbox, row = await database.note(
            history.begin,
            project,
            sandbox_id,
            known=guests.known(project, sandbox_id),
            command=request.command,
            cwd=request.cwd,
            seconds=seconds,
            requested_by=requested_by,
        )
        news.command_changed(sandbox)
        return cls(sandbox, row, request)

    async def output(self) -> AsyncGenerator[OutputChunk]:
        """Start the command and give what it says until it has ended and its row is finished."""
        try:
            async with asyncio.timeout(self.seconds + BACKSTOP_SECONDS):
                async for chunk in self._followed():
                    self.kept["stderr" if chunk.stream == "stderr" else "stdout"].add(chunk.data)
                    yield chunk
        except Refused as refusal:
            await self._could_not_run(refusal)
            raise
        except TimeoutError:
            await self._abandon("it did not end when its time was over")
            raise Failed("the command did not end when its time was over; it was killed") from None
        except (asyncio.CancelledError, GeneratorExit):
            await asyncio.shield(asyncio.ensure_future(self._abandon("its caller went away")))
            raise
        await self._finish()

    async def _followed(self) -> AsyncGenerator[OutputChunk]:
        """Give the output over as many links as it takes."""
        for _ in range(RECONNECTS):
            try:
                with guests.refusals(), _refused_starts():
                    self._attachment = await self._attach()
                    async for chunk in self._attachment.output():
                        self._offset = chunk.offset + len(chunk.data)
                        yield chunk
                    self.end = await self._attachment.exit()
                return
            except Failed as broken:
                if not isinstance(broken.__cause__, LinkLost):
                    raise
                logger.info("the link to %s broke; opening another", self.sandbox.id)
                await guests.close_link(self.sandbox.id)
                await database.read(self.sandbox.refresh_from_db)
                require_running(self.sandbox)
        raise Failed(
            "the connection to the sandbox keeps breaking off; the command may go on,"
            " and its end will be in the history",
            tag="link_lost",
        )

    async def _attach(self) -> Attachment:
        """Start the command, or follow it further if an earlier link got so far."""
        link = await guests.get_link(self.sandbox)
        if self._attachment is not None:
            try:
                await link.process(self.row.process_id)
            except GuestError as error:
                if error.code != "not_found":
                    raise
            else:
                return await link.attach(self.row.process_id, since=self._offset)
        return await link.start(self._spec(), attach=True)

    def _spec(self) -> StartSpec:
        limit = int(settings.COMMAND_MAX_OUTPUT_BYTES)
        return StartSpec(
            id=self.row.process_id,
            script=self.request.command,
            cwd=self.request.cwd or WORKSPACE,
            env={**self.sandbox.environment, **self.request.env},
            stdin=self.request.stdin,
            timeout=self.seconds,
            limits=(limit, limit),
        )

    async def _finish(self) -> None:
        assert self.end is not None
        await database.note(
            history.finish,
            self.row,
            self.sandbox,
            status=CommandStatus.TIMED_OUT if self.end.timed_out else CommandStatus.EXITED,
            end=self.end,
            stdout=self.kept["stdout"].kept(self.end.stdout_bytes),
            stderr=self.kept["stderr"].kept(self.end.stderr_bytes),
        )
        news.command_changed(self.sandbox)
        await forget(self.sandbox, self.row.process_id)

    async def _could_not_run(self, refusal: Refused) -> None:
        """Close the row of a command that did not run, or whose sandbox is gone."""
        if refusal.tag == "link_lost":
            return  # It may be running still: the harvest finishes its row.
        await self._close_row(CommandStatus.FAILED, refusal.message)

    async def _abandon(self, why: str) -> None:
        """Kill the command's whole tree; if the guest does not do so, end the sandbox."""
        try:
            async with asyncio.timeout(KILL_SECONDS):
                with guests.refusals():
                    link = await guests.get_link(self.sandbox)
                    await link.kill(self.row.process_id)
        except (NotFound, Conflict):
            pass  # It has ended already, or never began.
        except (Refused, TimeoutError):
            logger.warning("the guest of %s does not answer; ending it", self.sandbox.id)
            await lifecycle.kill(
                self.sandbox, reason=Reason.LOST, detail="its guest did not answer"
            )
        await self._close_row(CommandStatus.KILLED, why)
        await forget(self.sandbox, self.row.process_id)

    async def _close_row(self, status: CommandStatus, detail: str) -> None:
        await database.note(
            history.finish,
            self.row,
            self.sandbox,
            status=status,
            stdout=self.kept["stdout"].kept(),
            stderr=self.kept["stderr"].kept(),
            detail=detail,
        )
        news.command_changed(self.sandbox)

    def result(self, stdout: bytes | bytearray, stderr: bytes | bytearray) -> CommandResult:
        """Return the result of an ended command, with notes on what is not to be seen."""
        end = self.end
        assert end is not None
        said = stdout.decode(errors="replace") + _left_out(end.stdout_bytes, len(stdout))
        complained = stderr.decode(errors="replace") + _left_out(end.stderr_bytes, len(stderr))
        if end.timed_out:
            complained += f"\n[timed out after {self.seconds:g} seconds]\n"
        return CommandResult(
            id=self.row.id,
            stdout=said,
            stderr=complained,
            exit_code=TIMED_OUT_CODE if end.timed_out else end.exit_code,
            timed_out=end.timed_out,
            truncated=end.truncated,
            out_of_memory=end.out_of_memory,
            duration_ms=round(end.duration * 1000),
        )


@contextmanager
def _refused_starts() -> Iterator[None]:
    """What the guest says no to here is the caller's wish, such as a folder that is not there."""
    try:
        yield
    except LinkLost:
        raise
    except GuestError as error:
        raise Invalid(f"the command could not be started: {error}", tag=error.code) from error


def _left_out(produced: int, shown: int) -> str:
    if produced <= shown:
        return ""
    return f"\n[output truncated: the first {shown} of {produced} bytes]\n"


async def forget(sandbox: Sandbox, process_id: str) -> None:
    """Tell the guest that the end of a process is on record. Missing it is no harm."""
    try:
        link = await guests.get_link(sandbox)
        await link.forget(process_id)
    except Exception:
        logger.debug("the guest of %s was not told to forget", sandbox.id, exc_info=True)


async def stream(execution: Execution) -> AsyncGenerator[tuple[str, str]]:
    """Give the output of a command as (stream, text), as it comes. Text is never cut in a letter."""
    decoders = {
        name: codecs.getincrementaldecoder("utf-8")(errors="replace")
        for name in ("stdout", "stderr")
    }
    async for chunk in execution.output():
        name = "stderr" if chunk.stream == "stderr" else "stdout"
        text = decoders[name].decode(chunk.data)
        if text:
            yield name, text
    for name, decoder in decoders.items():
        rest = decoder.decode(b"", final=True)
        if rest:
            yield name, rest
