"""No other site acts for somebody who is signed in: by a form, or by a WebSocket."""

from __future__ import annotations

from typing import Any, cast

import pytest
from asgiref.testing import ApplicationCommunicator
from django.test import Client

from project import asgi, database
from project.models import Project
from tests.project.people import make_person
from tests.project.routes import all_routes, make_things

pytestmark = pytest.mark.slow

CHANGING = ("POST", "PUT", "PATCH", "DELETE")


def test_no_route_takes_a_form_without_its_token(
    project: Project, stranger: Project, settings
) -> None:
    settings.SANDBOX_ENGINE = "local"
    things = make_things(project)
    owner = make_person("owner", project, stranger)
    owner.handler.enforce_csrf_checks = True
    owner.raise_request_exception = False
    wrong = []
    for route in all_routes():
        for method in CHANGING:
            answer = owner.generic(method, things.address_of(route))
            if answer.status_code not in (403, 405):
                wrong.append(f"{method} {route}: {answer.status_code}")
    assert wrong == []
    assert owner.get("/settings/").status_code == 200


def test_a_form_with_its_token_is_taken(project: Project, stranger: Project) -> None:
    owner = make_person("owner", project, stranger)
    owner.handler.enforce_csrf_checks = True
    page = owner.get("/settings/").content.decode()
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    form = {"name": "renamed", "csrfmiddlewaretoken": token}
    assert owner.post("/settings/rename/", form).status_code == 303
    assert Project.objects.filter(name="renamed").exists()


def test_a_script_is_told_what_to_do_about_its_token(project: Project, stranger: Project) -> None:
    owner = make_person("owner", project, stranger)
    owner.handler.enforce_csrf_checks = True
    answer = owner.post("/settings/rename/", headers={"Accept": "application/json"})
    assert answer.status_code == 403
    assert "load the page anew" in answer.json()["error"]


def test_the_token_cannot_be_read_by_scripts_of_a_page_from_the_cookie(client: Client) -> None:
    cookie = client.get("/login/").cookies["csrftoken"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


# --- WebSockets ------------------------------------------------------------------------------


async def dial(project: Project, session: str, origin: str) -> ApplicationCommunicator:
    """Open the events of a project as a browser does, with a page's origin."""
    headers = [(b"host", b"localhost"), (b"cookie", f"sessionid={session}".encode())]
    if origin:
        headers.append((b"origin", origin.encode()))
    scope = {
        "type": "websocket",
        "path": f"/ws/projects/{project.pk}/events/",
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
    }
    socket = ApplicationCommunicator(cast("Any", asgi.application), scope)
    await socket.send_input({"type": "websocket.connect"})
    return socket


def session_of(kind: str, project: Project, stranger: Project) -> str:
    client = make_person(kind, project, stranger)
    return client.cookies["sessionid"].value if client.cookies else ""


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", ""]
)
async def test_a_page_of_another_site_opens_no_socket(
    project: Project, stranger: Project, monkeypatch, origin: str
) -> None:
    # It was made when the tests' own settings let everybody in.
    monkeypatch.setattr(asgi.sockets, "allowed_origins", ["localhost"])
    session = await database.write(session_of, "owner", project, stranger)
    socket = await dial(project, session, origin)
    answer = await socket.receive_output()
    assert answer["type"] == "websocket.close"


async def test_our_own_page_opens_its_socket(
    project: Project, stranger: Project, monkeypatch
) -> None:
    monkeypatch.setattr(asgi.sockets, "allowed_origins", ["localhost"])
    session = await database.write(session_of, "viewer", project, stranger)
    socket = await dial(project, session, "http://localhost")
    assert (await socket.receive_output())["type"] == "websocket.accept"
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait()


@pytest.mark.parametrize("kind", ["stranger", "anonymous"])
async def test_who_is_not_in_the_project_hears_nothing(
    project: Project, stranger: Project, kind: str
) -> None:
    session = await database.write(session_of, kind, project, stranger)
    socket = await dial(project, session, "http://localhost")
    assert (await socket.receive_output())["type"] == "websocket.accept"
    closed = await socket.receive_output()
    assert (closed["type"], closed["code"]) == ("websocket.close", 4003)
