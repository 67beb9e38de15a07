"""The page of the API keys: a key is made once, shown once, and a wrong form is not lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from project import once
from project.keys import find_key
from project.models import ApiKey, Project
from tests.project.people import make_person

pytestmark = pytest.mark.slow


@pytest.fixture
def owner(project: Project, stranger: Project) -> Client:
    return make_person("owner", project, stranger)


def form(**fields: Any) -> dict[str, Any]:
    return {"name": "nightly etl", "days": "30", "reach": "all", **fields}


def token_on(page: str) -> str:
    return page.split('id="token" value="')[1].split('"')[0]


def test_a_new_key_is_shown_once_however_often_the_page_is_loaded(
    owner: Client, project: Project
) -> None:
    made = owner.post(reverse("new_key"), form())
    assert (made.status_code, made["Location"]) == (303, reverse("keys"))
    # A live part of another page does not take it away.
    owner.get(reverse("keys"), {"part": "rows"})

    first = owner.get(reverse("keys"))
    again = owner.get(reverse("keys")).content.decode()

    token = token_on(first.content.decode())
    assert first["Cache-Control"] == "no-store"
    assert find_key(token) == ApiKey.objects.get(project=project)
    assert token not in again
    assert 'id="token"' not in again


def test_a_new_key_waits_in_two_halves_and_each_alone_tells_nothing(
    owner: Client, project: Project
) -> None:
    form_answer = owner.post(reverse("new_key"), form())
    cookie = form_answer.cookies[once.KEPT]
    in_session = json.dumps(dict(owner.session.items()))
    half = bytes.fromhex(owner.session[once.KEPT]["half"])
    for waiting in (in_session, cookie.value, half.decode("latin-1")):
        assert "sk-ac-" not in waiting
        assert "nightly" not in waiting
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Strict")
    page = owner.get(reverse("keys"))
    assert "sk-ac-" in page.content.decode()
    assert page.cookies[once.KEPT]["max-age"] == 0


@pytest.mark.parametrize("other", [None, "", "00", "xyz", "00" * 300])
def test_a_new_key_without_its_half_is_not_shown_and_nothing_breaks(
    owner: Client, project: Project, other: str | None
) -> None:
    owner.post(reverse("new_key"), form())
    if other is None:
        del owner.cookies[once.KEPT]
    else:
        owner.cookies[once.KEPT] = other
    page = owner.get(reverse("keys"))
    assert page.status_code == 200
    assert 'id="token"' not in page.content.decode()


def test_a_new_key_that_nobody_looked_at_is_forgotten(
    owner: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "SECONDS", -1)
    owner.post(reverse("new_key"), form())
    assert 'id="token"' not in owner.get(reverse("keys")).content.decode()


def test_the_address_of_the_form_leads_to_the_page(owner: Client, project: Project) -> None:
    assert owner.get(reverse("new_key"))["Location"] == reverse("keys")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": " "}, "Give the key a name."),
        ({"name": "x" * 201}, "at most 200 characters"),
        ({"reach": "some"}, "Tick at least one thing"),
        ({"reach": "some", "scope": ["rm:everything"]}, "rm:everything"),
        ({"days": "3"}, "Choose when the key expires."),
    ],
)
def test_a_wrong_form_says_what_and_keeps_the_rest(
    owner: Client, project: Project, wrong: dict[str, Any], told: str
) -> None:
    answer = owner.post(reverse("new_key"), form(**wrong))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert told in page
    assert not ApiKey.objects.filter(project=project).exists()
    if "name" not in wrong:
        assert 'value="nightly etl"' in page


def test_what_was_chosen_is_still_chosen_after_an_error(owner: Client, project: Project) -> None:
    wrong = form(name="", reach="some", scope=["disks:read"])
    page = owner.post(reverse("new_key"), wrong).content.decode()
    assert '<option value="30" selected>' in page
    assert 'value="some" checked' in page
    assert 'value="all" checked' not in page
    assert 'value="disks:read" checked' in page
