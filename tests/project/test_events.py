"""The WebSocket of changes: who hears of a project, and for how long."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels import layers
from channels.layers import get_channel_layer
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser, User
from django.db import OperationalError
from django.utils import timezone

from project import consumers, database, events, policy, signing_out
from project.consumers import FORBIDDEN, EventsConsumer
from project.models import Membership, Project, Role, Session
from project.policy import add_member
from project.sessions import SessionStore
from project.signing_out import COME_BACK, EndWithSession

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "LOOK_AGAIN_SECONDS", 0.05)


def page_of(project_id: uuid.UUID, user: object, session: SessionStore) -> ApplicationCommunicator:
    """Return the socket of an open page, not connected yet."""
    application: Any = EndWithSession(EventsConsumer.as_asgi())
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
def session(member: User) -> SessionStore:
    session = SessionStore()
    session[SESSION_KEY] = str(member.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = member.get_session_auth_hash()
    session.save()
    return session


def change_password() -> None:
    user = User.objects.get()
    user.set_password("purple monkey dishwasher")
    user.save()


async def hears_now(page: ApplicationCommunicator, project: Project) -> bool:
    """Does a page hear of the next change in a project?"""
    await events.changed(project.id, "disk", 7)
    return not await page.receive_nothing(timeout=0.5)


async def hears(page: ApplicationCommunicator, project: Project) -> bool:
    """Does a page hear of a change in a project, by and by?"""
    for _ in range(20):
        await events.changed(project.id, "disk", 7)
        if not await page.receive_nothing(timeout=0.05):
            told = await page.receive_output()
            return "text" in told and json.loads(told["text"]) == {"what": "disk", "id": "7"}
    return False


async def is_closed(page: ApplicationCommunicator, code: int = FORBIDDEN) -> bool:
    """Is a page told to go, whatever it hears before?"""
    while (told := await page.receive_output(timeout=5))["type"] == "websocket.send":
        pass
    return bool(told == {"type": "websocket.close", "code": code})


async def test_a_member_hears_what_changes(
    project: Project, member: User, session: SessionStore
) -> None:
    page = page_of(project.id, member, session)
    await connect(page)
    assert await hears_now(page, project)
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


@pytest.mark.parametrize(
    "change", ["put out", "signed out", "disabled", "changed the password", "session expired"]
)
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
        "changed the password": change_password,
        "session expired": partial(
            Session.objects.update, expire_date=timezone.now() - timedelta(seconds=1)
        ),
    }
    await database.write(ends[change])
    assert await is_closed(page)


async def test_a_database_that_fails_for_a_moment_ends_neither_socket_nor_watch(
    project: Project, member: User, session: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(project.id, member, session)
    await connect(page)
    assert await hears(page, project)
    asked, loop = asyncio.Event(), asyncio.get_running_loop()

    def fail(*_: object) -> None:
        loop.call_soon_threadsafe(asked.set)
        raise OperationalError("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr(policy, "member_of", fail)
        await asyncio.wait_for(asked.wait(), 5)
        assert await hears(page, project)
    await database.write(Membership.objects.all().delete)
    assert await is_closed(page)


async def test_a_page_that_is_open_for_days_hears_what_changes(
    project: Project, member: User, session: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "LOOK_AGAIN_SECONDS", 600)
    page = page_of(project.id, member, session)
    await connect(page)
    assert await hears(page, project)
    later = time.time() + timedelta(days=30).total_seconds()
    monkeypatch.setattr(layers, "time", SimpleNamespace(time=lambda: later))
    assert await hears(page, project)
    await database.write(change_password)
    await signing_out.look_again(member.pk)
    assert await is_closed(page, COME_BACK)


async def test_a_page_that_the_layer_put_out_joins_again(
    project: Project, member: User, session: SessionStore
) -> None:
    page = page_of(project.id, member, session)
    await connect(page)
    assert await hears(page, project)
    # As it does with a page whose socket takes nothing for a minute.
    layer: Any = get_channel_layer()
    layer.groups.clear()
    assert await hears(page, project)


# --- At once ---------------------------------------------------------------------------------


async def test_a_socket_whose_session_has_ended_is_closed_as_soon_as_it_is_told(
    project: Project, member: User, session: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "LOOK_AGAIN_SECONDS", 600)
    page = page_of(project.id, member, session)
    await connect(page)
    assert await hears(page, project)
    await signing_out.look_again(member.pk)
    assert await hears(page, project)

    await database.write(change_password)
    await signing_out.look_again(member.pk)
    assert await is_closed(page, COME_BACK)
    # Nothing more is said to it.
    await events.changed(project.id, "disk", 7)
    assert await page.receive_nothing(timeout=0.1)
    await page.send_input({"type": "websocket.disconnect", "code": COME_BACK})
    await page.wait()


async def test_what_is_typed_into_a_socket_whose_session_has_ended_is_dropped(
    member: User, session: SessionStore
) -> None:
    taken: list[Any] = []

    async def terminal(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            taken.append(message)
            await send({"type": "websocket.send", "text": "taken"})

    scope = {"type": "websocket", "user": member, "session": session}
    socket = ApplicationCommunicator(EndWithSession(terminal), scope)
    key = {"type": "websocket.receive", "bytes": b"x"}
    await socket.send_input(key)
    await socket.receive_output()
    await database.write(session.flush)
    await signing_out.look_again(member.pk)
    assert await is_closed(socket, COME_BACK)
    await socket.send_input(key)
    await socket.send_input({"type": "websocket.disconnect", "code": COME_BACK})
    await socket.wait()
    assert taken == [key]
