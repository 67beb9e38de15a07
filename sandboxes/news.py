"""Tells the open pages of a project what changes in its sandboxes."""

from __future__ import annotations

import asyncio
import uuid

from project import events
from sandboxes.models import Sandbox

# The commands of one sandbox are told of once in so many seconds, however many there are.
QUIET_SECONDS = 1.0

# Sandboxes whose commands were told of a moment ago: has there been another since?
_quiet: dict[uuid.UUID, bool] = {}
_telling: set[asyncio.Task[None]] = set()


async def sandbox_changed(sandbox: Sandbox) -> None:
    """Tell that a sandbox began, ended, or is otherwise not as it was."""
    await events.changed(sandbox.project_id, "sandbox", sandbox.id)


def command_changed(sandbox: Sandbox) -> None:
    """Tell, soon, that a command of a sandbox began or ended. Waits for nothing."""
    if sandbox.id in _quiet:
        _quiet[sandbox.id] = True
    else:
        _tell_of_commands(sandbox.project_id, sandbox.id)


def _tell_of_commands(project_id: uuid.UUID, sandbox_id: uuid.UUID) -> None:
    loop = asyncio.get_running_loop()
    _quiet[sandbox_id] = False
    loop.call_later(QUIET_SECONDS, _end_quiet, project_id, sandbox_id)
    task = loop.create_task(events.changed(project_id, "command", sandbox_id))
    _telling.add(task)
    task.add_done_callback(_telling.discard)


def _end_quiet(project_id: uuid.UUID, sandbox_id: uuid.UUID) -> None:
    if _quiet.pop(sandbox_id, False):
        _tell_of_commands(project_id, sandbox_id)
