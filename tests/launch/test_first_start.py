"""What the first start makes, and what later ones leave alone."""

from __future__ import annotations

import secrets

import pytest
from django.contrib.auth import authenticate

from project.first_start import add_key, make_first
from project.keys import find_key, revoke
from project.models import ApiKey, Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def token() -> str:
    """A key of the operator's own choice. A new one each time: processes remember keys."""
    return f"sk-ac-{secrets.token_hex(16)}"


def test_first_start_makes_a_user_a_project_and_a_key() -> None:
    made = make_first("", "")
    assert made is not None
    user = authenticate(username=made.username, password=made.password)
    assert user is not None
    assert user.is_superuser
    key = find_key(made.token)
    assert key is not None
    assert key.project == Project.objects.get()


def test_password_and_key_may_be_chosen(token: str) -> None:
    made = make_first("correct horse", token)
    assert made is not None
    assert (made.password, made.token) == ("correct horse", token)
    assert find_key(token)


def test_second_start_makes_nothing(token: str) -> None:
    make_first("", "")
    assert make_first("another", token) is None
    assert find_key(token) is None


def test_token_that_is_no_key_makes_nothing() -> None:
    with pytest.raises(ValueError, match="starts with sk-ac-"):
        make_first("", "secret")
    assert not Project.objects.exists()


def test_new_key_opens_the_first_project(token: str) -> None:
    make_first("", "")
    assert add_key(token)
    key = find_key(token)
    assert key is not None
    assert key.project == Project.objects.first()


def test_known_key_is_not_added_again(token: str) -> None:
    make_first("", token)
    assert not add_key(token)
    assert ApiKey.objects.count() == 1


def test_revoked_key_stays_revoked(token: str) -> None:
    make_first("", token)
    revoke(ApiKey.objects.get())
    assert not add_key(token)
    assert find_key(token) is None
