"""This process's links to the guests of running sandboxes, one for each, opened when needed.

What goes wrong on a link is said here, once, in the words of project.errors.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from django.conf import settings

from project.errors import (
    Conflict,
    Failed,
    Forbidden,
    Invalid,
    NoSpace,
    NotFound,
    Refused,
    TooLarge,
    TooMany,
    Unavailable,
    Unprocessable,
)
from project.models import Project
from sandboxes.engine import get_engine
from sandboxes.engine.base import (
    BoxConflict,
    BoxNotFound,
    BoxPaused,
    EngineError,
    EngineUnavailable,
)
from sandboxes.guest.command import relay_command
from sandboxes.guest.link import GuestError, Link, LinkLost
from sandboxes.models import Sandbox

# Idle links beyond this are closed, the longest unused first.
MAX_LINKS = 500
OPEN_SECONDS = 20.0

_links: dict[uuid.UUID, tuple[Link, Sandbox]] = {}
_opening: dict[uuid.UUID, asyncio.Lock] = {}

_REFUSALS: dict[str, type[Refused]] = {
    "not_found": NotFound,
    "exists": Conflict,
    "busy": TooMany,
    "closed": Conflict,
    "changed": Conflict,
    "not_a_file": Unprocessable,
    "not_a_directory": Unprocessable,
    "is_a_directory": Conflict,
    "not_empty": Conflict,
    "no_space": NoSpace,
    "permission_denied": Forbidden,
    "too_large": TooLarge,
    "invalid": Invalid,
    "unsupported": Unprocessable,
}


def socket_name(sandbox_id: uuid.UUID) -> str:
    """Return the abstract socket a sandbox's guest listens on."""
    return f"sandbank-{sandbox_id.hex}"


def guest_token(sandbox_id: uuid.UUID) -> str:
    """Return what proves to a guest that a link is ours. Kept nowhere: any server can make it."""
    message = b"guest token:" + sandbox_id.bytes
    return hmac.new(settings.SECRET_KEY.encode(), message, hashlib.sha256).hexdigest()


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the engine or the guest says into a refusal."""
    try:
        yield
    except EngineUnavailable as error:
        raise Unavailable(
            "the engine that runs the sandboxes does not answer; try again in a moment",
            tag="engine_unavailable",
        ) from error
    except BoxPaused as error:
        raise Conflict("the sandbox is paused; resume it first", tag="sandbox_paused") from error
    except (BoxNotFound, BoxConflict) as error:
        raise NotFound("sandbox not found: its box is gone", tag="sandbox_lost") from error
    except EngineError as error:
        raise Failed(f"the engine refused: {error}", tag="engine_error") from error
    except LinkLost as error:
        raise Failed(
            "the connection to the sandbox broke off; it is not known how far it got",
            tag="link_lost",
        ) from error
    except GuestError as error:
        raise _REFUSALS.get(error.code, Failed)(str(error), tag=error.code) from error


@asynccontextmanager
async def linked(sandbox: Sandbox) -> AsyncIterator[Link]:
    """Give the link to a running sandbox's guest; say what goes wrong in our own words."""
    with refusals():
        yield await get_link(sandbox)


async def get_link(sandbox: Sandbox) -> Link:
    """Return an open link to the guest. Raises EngineError or GuestError."""
    link = _open_link_to(sandbox.id)
    if link is not None:
        _links[sandbox.id] = _links.pop(sandbox.id)  # The most recently used stands last.
        return link
    async with _opening.setdefault(sandbox.id, asyncio.Lock()):
        link = _open_link_to(sandbox.id)
        if link is None:
            link = await open_link(sandbox)
            _links[sandbox.id] = link, sandbox
            await _close_surplus()
    _opening.pop(sandbox.id, None)
    return link


def _open_link_to(sandbox_id: uuid.UUID) -> Link | None:
    link, _ = _links.get(sandbox_id, (None, None))
    return None if link is None or link.closed else link


def has_room(sandbox_id: uuid.UUID) -> bool:
    """Say whether a link to this sandbox is open, or may be without closing another's."""
    return _open_link_to(sandbox_id) is not None or len(_links) < MAX_LINKS


def known(project: Project, sandbox_id: uuid.UUID) -> Sandbox | None:
    """Return a project's sandbox as it was when its link was opened. Asks nobody."""
    _, sandbox = _links.get(sandbox_id, (None, None))
    return sandbox if sandbox is not None and sandbox.project_id == project.pk else None


async def open_link(sandbox: Sandbox) -> Link:
    """Open one more link to the guest, for the caller's own use."""
    relay = relay_command(socket_name(sandbox.id))
    stream = await get_engine().open_stream(sandbox.box_name, relay)
    try:
        return await Link.open(stream, guest_token(sandbox.id), timeout=OPEN_SECONDS)
    except BaseException:
        await stream.close()
        raise


async def close_link(sandbox_id: uuid.UUID) -> None:
    """Close the link to a sandbox. Do so before its box is killed."""
    link, _ = _links.pop(sandbox_id, (None, None))
    if link is not None:
        await link.close()


async def close_all() -> None:
    for sandbox_id in list(_links):
        await close_link(sandbox_id)


async def _close_surplus() -> None:
    idle = [sandbox_id for sandbox_id, (link, _) in _links.items() if not link.busy]
    for sandbox_id in idle[: max(0, len(_links) - MAX_LINKS)]:
        await close_link(sandbox_id)
