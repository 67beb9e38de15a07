"""The WebSocket of changes: who hears of a project, and for how long."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore

from project import consumers, database, events
from project.consumers import FORBIDDEN, EventsConsumer
from project.models import Membership, Project, Role
from project.policy import add_member

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "LOOK_AGAIN_SECONDS", 0.05)


def page_of(project_id: uuid.UUID, user: object, session: SessionStore) -> ApplicationCommunicator:
    """Return the socket of an open page, not connected yet."""
    application: Any = EventsConsumer.as_asgi()
    route = {"kwargs": {"project_id": project_id}}
    scope = {"type": "websocket", "user": user, "session": session, "url_route": route}
    return ApplicationCommunicator(application, scope)


async def connect(page: ApplicationCommunicator) -> None:
    await page.send_input({"type": "websocket.connect"})
    assert (await page.receive_output())["type"] == "websocket.accept"


@pytest.fixture
def member(project: Project) -> User:
    user = User.objects.create_user("mia")
    add_member(project, user, Role.VIEWER)
    return user


@pytest.fixture
def session() -> SessionStore:
    session = SessionStore()
    session.save()
    return session


async def hears(page: ApplicationCommunicator, project: Project) -> bool:
    """Does a page hear of a change in a project? It joins soon after its handshake."""
    for _ in range(20):
        await events.changed(project.id, "disk", 7)
        if not await page.receive_nothing(timeout=0.05):
            told = await page.receive_output()
            return "text" in told and json.loads(told["text"]) == {"what": "disk", "id": "7"}
    return False


async def is_closed(page: ApplicationCommunicator) -> bool:
    """Is a page told to go, whatever it hears before?"""
    while (told := await page.receive_output(timeout=5))["type"] == "websocket.send":
        pass
    return bool(told == {"type": "websocket.close", "code": FORBIDDEN})


async def test_a_member_hears_what_changes(
    project: Project, member: User, session: SessionStore
) -> None:
    page = page_of(project.id, member, session)
    await connect(page)
    assert await hears(page, project)
    await page.send_input({"type": "websocket.disconnect", "code": 1000})
    await page.wait()


async def test_nobody_else_hears_anything(
    project: Project, stranger: Project, member: User, session: SessionStore
) -> None:
    for visitor, where in (
        (member, stranger.id),
        (member, uuid.uuid4()),
        (AnonymousUser(), project.id),
    ):
        page = page_of(where, visitor, session)
        await connect(page)
        assert await is_closed(page)


@pytest.mark.parametrize("change", ["put out", "signed out", "disabled"])
async def test_who_may_no_longer_look_is_told_to_go(
    project: Project, member: User, session: SessionStore, change: str
) -> None:
    page = page_of(project.id, member, session)
    await connect(page)
    assert await hears(page, project)
    ends: dict[str, Callable[[], object]] = {
        "put out": Membership.objects.all().delete,
        "signed out": session.flush,
        "disabled": partial(User.objects.update, is_active=False),
    }
    await database.write(ends[change])
    assert await is_closed(page)
