"""Who is at the other end of a WebSocket, and whether they may still be there."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from project import database, policy
from project.errors import NotFound
from project.policy import Member, Right
from sandboxes.models import Sandbox


class CloseCode(IntEnum):
    """Why a WebSocket of ours is closed. docs/api.md has the table."""

    ENDED = 1000
    TOO_MUCH = 1009
    # The server stops or has lost the sandbox for a moment: come back at once.
    AGAIN = 1012
    FORBIDDEN = 4003
    NOT_FOUND = 4004
    # The sandbox does not run.
    NOT_RUNNING = 4010


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody at a WebSocket of one sandbox."""

    member: Member
    sandbox: Sandbox

    @property
    def may_work(self) -> bool:
        return self.member.may(Right.WORK)


async def visitor_of(scope: Any, sandbox_id: uuid.UUID) -> Visitor:
    """Return who came to a sandbox. Raises Forbidden if nobody is signed in, and NotFound."""
    return await database.read(_visitor, scope["user"], scope["session"], sandbox_id)


def _visitor(user: object, session: SessionBase, sandbox_id: uuid.UUID) -> Visitor:
    known = policy.signed_in(user, session)
    sandbox = Sandbox.objects.select_related("project").filter(pk=sandbox_id).first()
    if sandbox is None:
        raise NotFound("sandbox not found", tag="sandbox_not_found")
    return Visitor(policy.member_of(known, sandbox.project_id), sandbox)
