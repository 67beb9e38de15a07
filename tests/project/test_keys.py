"""API keys, by themselves and at the API's door."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from project import database, keys
from project.models import ApiKey, Project


def test_a_key_is_not_kept_in_clear(project: Project) -> None:
    key, token = keys.create_key(project, "agent")
    assert token.startswith("sk-ac-")
    stored = ApiKey.objects.values().get(pk=key.pk)
    assert token not in str(stored)


def test_a_key_is_found_by_its_token_and_nothing_is_written(project: Project) -> None:
    key, token = keys.create_key(project, "agent")
    with CaptureQueriesContext(connection) as asked:
        assert keys.find_key(token) == key
    assert [query["sql"].split()[0] for query in asked] == ["SELECT"]


async def test_the_use_of_a_key_is_noted_once_in_a_while(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, token = await database.write(keys.create_key, project, "agent")

    async def use() -> Any:
        assert await keys.recognise(token) == key
        database.finish_notes()
        return (await database.read(ApiKey.objects.get, pk=key.pk)).last_used_at

    first = await use()
    assert first is not None
    assert await use() == first
    keys.forget()
    assert await use() == first
    monkeypatch.setattr(keys, "LAST_USED_PRECISION", timedelta(0))
    assert await use() > first


def test_a_revoked_key_is_unknown_at_once(project: Project) -> None:
    key, token = keys.create_key(project, "agent")
    keys.revoke(key)
    assert keys.find_key(token) is None


@pytest.mark.parametrize("token", ["secret", "sk-ac-short", "sk-ac-" + "ü" * 20])
def test_a_token_of_ones_own_must_have_the_form_of_a_key(project: Project, token: str) -> None:
    with pytest.raises(ValueError, match="sk-ac-"):
        keys.create_key(project, "agent", token)


def test_the_command_makes_a_key_that_may_what_it_says(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_key", project="ours", name="ci", may=["disks:read"], days=7)
    key = keys.find_key(capsys.readouterr().out.strip())
    assert key is not None
    assert (key.project, key.name, key.scopes) == (project, "ci", ["disks:read"])
    assert key.expires_at is not None
    assert timedelta(days=6) < key.expires_at - timezone.now() < timedelta(days=8)
    with pytest.raises(CommandError, match="--days"):
        call_command("create_key", days=0)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sk-ac-nothing-before-it",
        "bearer sk-ac-lower-case-scheme",
        "Bearer  sk-ac-two-spaces",
        "Bearer wrong-prefix",
        "Bearer sk-ac-unknown-key-of-nobody",
        "Basic c2stYWM6",
    ],
)
async def test_without_a_good_key_the_answer_is_401(project: Project, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    response = await AsyncClient().get("/api/v1/ping", headers=headers)
    assert response.status_code == 401
    assert response.json()["code"] == 401
    assert response.json()["msg"].startswith("Unauthorized")
    assert "data" not in response.json()


async def test_a_good_key_gets_a_pong(api) -> None:
    response = await api.get("/ping")
    assert (response.status_code, response.json()) == (200, {"code": 0, "msg": "pong"})
