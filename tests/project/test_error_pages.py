"""What a person is shown when something is refused or fails: a sentence, an id, a way on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from project import errors
from project.asgi import application
from project.errors import Refused
from project.models import Project
from project.pages import PageRequest, page
from project.views.errors import no_such_page, not_allowed, not_understood, our_fault
from tests.project.people import make_person

pytestmark = pytest.mark.slow

REFUSALS = {
    400: errors.Invalid,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    429: errors.TooMany,
    503: errors.Unavailable,
}


class Gone(Refused):
    status = 410
    tag = "gone"


@page()
async def refuse(request: PageRequest, status: int) -> HttpResponse:
    raise {**REFUSALS, 410: Gone}[status]("the otter is elsewhere")


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("secret of the database")


handler400, handler403, handler404, handler500 = (
    not_understood, not_allowed, no_such_page, our_fault,
)  # fmt: skip
urlpatterns = [
    path("refuse/<int:status>/", refuse),
    path("fail/", fail),
    path("", include("project.urls")),
]
here = override_settings(ROOT_URLCONF=__name__)


@pytest.fixture
def viewer(project: Project, stranger: Project) -> Client:
    client = make_person("viewer", project, stranger)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("status", [*REFUSALS, 410])
@here
def test_a_refusal_is_a_page_with_a_sentence_an_id_and_a_way_on(
    viewer: Client, status: int
) -> None:
    answer = viewer.get(f"/refuse/{status}/")
    text = answer.content.decode()
    assert answer.status_code == status
    assert "The otter is elsewhere." in text
    assert answer["X-Request-Id"] in text
    assert 'href="/"' in text
    assert f"Error {status}" in text


@pytest.mark.parametrize("status", [*REFUSALS, 410])
@here
def test_a_refusal_is_json_for_a_script(viewer: Client, status: int) -> None:
    answer = viewer.get(f"/refuse/{status}/", headers={"Accept": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"] == "the otter is elsewhere"
    assert answer.json()["request_id"] == answer["X-Request-Id"]


@here
def test_a_refused_form_goes_back_with_the_sentence(viewer: Client) -> None:
    before = {"Referer": "http://testserver/settings/"}
    answer = viewer.post("/refuse/409/", headers=before, follow=True)
    assert answer.redirect_chain == [("http://testserver/settings/", 303)]
    assert "The otter is elsewhere." in answer.content.decode()


@here
def test_a_refused_form_of_elsewhere_is_an_error_page(viewer: Client) -> None:
    answer = viewer.post("/refuse/409/", headers={"Referer": "http://elsewhere.example/"})
    assert answer.status_code == 409


@here
def test_a_failure_tells_its_id_and_nothing_of_itself(viewer: Client, caplog) -> None:
    answer = viewer.get("/fail/")
    text = answer.content.decode()
    assert answer.status_code == 500
    assert "secret of the database" not in text
    assert answer["X-Request-Id"] in text
    answer = viewer.get("/fail/", headers={"Accept": "application/json"})
    assert answer.json()["request_id"] == answer["X-Request-Id"]


def test_a_missing_page_and_a_strangers_look_the_same(viewer: Client, stranger: Project) -> None:
    missing = viewer.get("/nothing/here/")
    assert missing.status_code == 404
    assert "Nothing here" in missing.content.decode()
    switch = viewer.post(f"/projects/{stranger.pk}/switch/")
    assert switch.status_code == 404


def test_a_name_of_the_server_that_is_not_its_own_is_refused(client: Client, settings) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    answer = client.get("/login/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "could not be understood" in answer.content.decode()


def test_an_address_of_forms_says_so_to_who_looks(viewer: Client) -> None:
    answer = viewer.get("/settings/rename/")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "takes forms only" in answer.content.decode()


def test_a_missing_address_of_the_api_is_answered_as_the_api_does(client: Client) -> None:
    answer = client.get("/api/v2/ping")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


# --- Before Django ---------------------------------------------------------------------------


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(cast("Any", application), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_a_form_that_is_too_large_gets_a_page(http: httpx.AsyncClient, project) -> None:
    answer = await http.post("/login/", content=b"x" * (2**20 + 1))
    assert answer.status_code == 413
    assert "The body is over the limit of 1 MiB" in answer.text
    assert answer.headers["X-Request-Id"] in answer.text
    assert "Content-Security-Policy" in answer.headers


async def test_a_script_that_sends_too_much_gets_json(http: httpx.AsyncClient, project) -> None:
    accept = {"Accept": "application/json"}
    answer = await http.post("/login/", content=b"x" * (2**20 + 1), headers=accept)
    assert answer.status_code == 413
    assert json.loads(answer.content)["tag"] == "too_large"
