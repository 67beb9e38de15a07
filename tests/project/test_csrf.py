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


def test_a_refused_script_is_given_the_token_that_holds_now(
    project: Project, stranger: Project
) -> None:
    owner = make_person("owner", project, stranger)
    owner.handler.enforce_csrf_checks = True
    headers = {"Accept": "application/json", "X-CSRFToken": "x" * 64}
    refused = owner.post("/settings/rename/", {"name": "renamed"}, headers=headers)
    assert refused.status_code == 403
    assert refused["Cache-Control"] == "no-store"
    headers["X-CSRFToken"] = refused.json()["csrf_token"]
    assert owner.post("/settings/rename/", {"name": "renamed"}, headers=headers).status_code == 200
    assert "csrf_token" not in owner.post("/settings/rename/").content.decode()


def test_the_token_cannot_be_read_by_scripts_of_a_page_from_the_cookie(client: Client) -> None:
    cookie = client.get("/login/").cookies["csrftoken"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


# --- WebSockets ------------------------------------------------------------------------------


HOST = "localhost:8029"
OURS = f"http://{HOST}"


async def dial(
    project: Project, session: str, origin: str | None, scheme: str = "ws", **headers: str
) -> ApplicationCommunicator:
    """Open the events of a project as a browser does, with a page's origin."""
    given = {"host": HOST, "cookie": f"sessionid={session}", **headers}
    if origin is not None:
        given["origin"] = origin
    scope = {
        "type": "websocket",
        "scheme": scheme,
        "path": f"/ws/projects/{project.pk}/events/",
        "query_string": b"",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in given.items()
        ],
        "subprotocols": [],
    }
    socket = ApplicationCommunicator(cast("Any", asgi.application), scope)
    await socket.send_input({"type": "websocket.connect"})
    return socket


def session_of(kind: str, project: Project, stranger: Project) -> str:
    client = make_person(kind, project, stranger)
    return client.cookies["sessionid"].value if client.cookies else ""


@pytest.fixture
def session(project: Project, stranger: Project) -> str:
    return session_of("owner", project, stranger)


async def is_let_in(project: Project, session: str, origin: str | None, **how: str) -> bool:
    socket = await dial(project, session, origin, **how)
    if (await socket.receive_output())["type"] != "websocket.accept":
        return False
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait()
    return True


# The last one is right for every host.
HOSTS = (["localhost", "127.0.0.1"], ["*"])


@pytest.mark.parametrize("hosts", HOSTS)
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example:8029",
        "http://evil.example:8029",
        "http://localhost:3000",
        "http://localhost",
        "https://localhost:8029",
        "http://127.0.0.1:8029",
        "http://localhost:99999",
        "http://[",
        "localhost:8029",
        "null",
        "",
        None,
    ],
)
async def test_a_page_of_another_site_opens_no_socket(
    project: Project, session: str, settings, hosts: list[str], origin: str | None
) -> None:
    settings.ALLOWED_HOSTS = hosts
    assert not await is_let_in(project, session, origin)


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        (OURS, HOST, "ws"),
        ("http://localhost", "localhost", "ws"),
        ("http://localhost", "localhost:80", "ws"),
        ("https://localhost", "localhost:443", "wss"),
        ("https://localhost:8443", "localhost:8443", "wss"),
        ("http://[::1]:8029", "[::1]:8029", "ws"),
    ],
)
async def test_our_own_page_opens_its_socket(
    project: Project, session: str, settings, origin: str, host: str, scheme: str
) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "[::1]"]
    assert await is_let_in(project, session, origin, host=host, scheme=scheme)


async def test_behind_a_proxy_the_public_address_is_ours(
    project: Project, session: str, settings
) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "bank.example.org"]
    settings.PUBLIC_URL = "https://bank.example.org:8443"
    # nginx's `$host` has no port; another proxy passes on the address of this server.
    for host in ("bank.example.org", HOST):
        assert await is_let_in(project, session, "https://bank.example.org:8443", host=host)
        assert not await is_let_in(project, session, "https://bank.example.org:9000", host=host)
        assert not await is_let_in(project, session, "http://bank.example.org:8443", host=host)
    assert not await is_let_in(project, session, settings.PUBLIC_URL, host="evil.example")


async def test_the_proxy_says_that_a_page_came_over_tls(
    project: Project, session: str, settings
) -> None:
    settings.ALLOWED_HOSTS = ["bank.example.org"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ours = "https://bank.example.org"
    told = {"host": "bank.example.org", "x_forwarded_proto": "https"}
    assert await is_let_in(project, session, ours, **told)
    assert not await is_let_in(project, session, ours, **{**told, "x_forwarded_proto": "http"})


async def test_an_origin_that_forms_may_come_from_opens_sockets(
    project: Project, session: str, settings
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://bank.example.org", "https://*.example.net:8443"]
    assert await is_let_in(project, session, "https://bank.example.org")
    assert await is_let_in(project, session, "https://one.example.net:8443")
    assert not await is_let_in(project, session, "https://bank.example.org:8443")
    assert not await is_let_in(project, session, "https://one.example.net")
    assert not await is_let_in(project, session, "https://evilexample.net:8443")


@pytest.mark.parametrize("kind", ["stranger", "anonymous"])
async def test_who_is_not_in_the_project_hears_nothing(
    project: Project, stranger: Project, kind: str
) -> None:
    session = await database.write(session_of, kind, project, stranger)
    socket = await dial(project, session, OURS)
    assert (await socket.receive_output())["type"] == "websocket.accept"
    closed = await socket.receive_output()
    assert (closed["type"], closed["code"]) == ("websocket.close", 4003)
