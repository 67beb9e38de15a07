"""A client that goes away in the middle of a change: what was done is in the activity."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from project import database, pages
from project.asgi import application
from project.models import Activity, Project
from sandboxes import lifecycle
from sandboxes.models import Sandbox
from sandboxes.views import bulk
from tests.project.people import make_person
from tests.sandboxes.test_sampling import make_row

pytestmark = pytest.mark.slow

CSRF = "x" * 32


class Cut:
    """A form that is sent by a client which hangs up as soon as `begun` is set."""

    def __init__(self, project: Project, session: str, path: str, **form: Any) -> None:
        cookies = f"sessionid={session}; csrftoken={CSRF}"
        self._body = urlencode(form, doseq=True).encode()
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                (b"cookie", cookies.encode()),
                (b"x-csrftoken", CSRF.encode()),
                (b"x-project", str(project.pk).encode()),
                (b"content-type", b"application/x-www-form-urlencoded"),
                (b"content-length", str(len(self._body)).encode()),
            ],
        }
        self.begun = asyncio.Event()
        self.answered: list[Any] = []

    async def send_and_hang_up(self) -> asyncio.Task[None]:
        """Return the request once Django knows that nobody waits for its answer."""
        messages = asyncio.Queue[dict[str, Any]]()
        messages.put_nowait({"type": "http.request", "body": self._body})

        async def answer(message: Any) -> None:
            self.answered.append(message)

        asked = application(cast("Any", self._scope), cast("Any", messages.get), answer)
        request = asyncio.ensure_future(asked)
        await self.begun.wait()
        messages.put_nowait({"type": "http.disconnect"})
        while not (request.done() or request.cancelling()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        return request


@pytest.fixture
def sandbox(project: Project) -> Sandbox:
    return make_row(project, name="calm-otter")


@pytest.fixture
async def session(project: Project, stranger: Project) -> str:
    client = await database.write(make_person, "member", project, stranger)
    return str(client.cookies["sessionid"].value)


async def test_what_was_done_meanwhile_is_noted(
    project: Project, session: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(project, session, f"/sandboxes/{sandbox.pk}/stop/")
    goes_on = asyncio.Event()

    async def kill(sandbox: Sandbox, *, by: str) -> bool:
        cut.begun.set()
        await goes_on.wait()
        return True

    monkeypatch.setattr(lifecycle, "kill", kill)
    request = await cut.send_and_hang_up()
    goes_on.set()
    await request
    line = await database.read(Activity.objects.get)
    assert (line.verb, line.object_name, line.actor) == ("sandbox.kill", "calm-otter", "member")
    assert cut.answered == []


async def test_what_takes_too_long_then_is_given_up(
    project: Project, session: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LONGEST_CHANGE_SECONDS", 0.01)
    cut = Cut(project, session, f"/sandboxes/{sandbox.pk}/stop/")
    given_up = asyncio.Event()

    async def kill(sandbox: Sandbox, *, by: str) -> bool:
        cut.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        raise AssertionError

    monkeypatch.setattr(lifecycle, "kill", kill)
    request = await cut.send_and_hang_up()
    await request
    await given_up.wait()


async def test_each_of_several_is_noted_as_it_is_done(
    project: Project, session: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = await database.write(lambda: make_row(project, name="slow"))
    first_is_noted, goes_on = asyncio.Event(), asyncio.Event()
    note = pages.note

    async def pause(sandbox: Sandbox) -> None:
        if sandbox.pk == slow.pk:
            await goes_on.wait()

    async def note_and_tell(*args: Any, **more: Any) -> None:
        await note(*args, **more)
        first_is_noted.set()

    monkeypatch.setattr(lifecycle, "pause", pause)
    monkeypatch.setattr(bulk, "note", note_and_tell)
    cut = Cut(project, session, "/sandboxes/bulk/", act="pause", ids=[sandbox.pk, slow.pk])
    cut.begun = first_is_noted
    request = await cut.send_and_hang_up()
    lines = await database.read(lambda: list(Activity.objects.values_list("object_name")))
    assert lines == [("calm-otter",)]
    goes_on.set()
    await request
    assert await database.read(Activity.objects.count) == 2
