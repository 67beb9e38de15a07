"""Users and configs of a project."""

from __future__ import annotations

import json

import pytest

from project.users import ensure_user


@pytest.fixture
def alice(project):
    return ensure_user(project, "alice/her@example.org?#")


ALICE = "/user/alice%2Fher%40example.org%3F%23"


async def test_users_are_listed_whole_without_a_limit(api, alice) -> None:
    data = (await api.get("/user/ls")).json()["data"]
    assert [user["identifier"] for user in data["items"]] == [alice.identifier]
    assert data["has_more"] is False


async def test_resources_of_a_user_are_counted(api, alice) -> None:
    data = (await api.get(f"{ALICE}/resources")).json()["data"]
    assert data == {"counts": {"sessions_count": 0, "disks_count": 0, "skills_count": 0}}


async def test_resources_of_an_unknown_user_are_404(api) -> None:
    assert (await api.get("/user/nobody/resources")).status_code == 404


async def test_a_strangers_user_is_unknown(stranger_api, alice) -> None:
    assert (await stranger_api.get(f"{ALICE}/resources")).status_code == 404


async def test_a_user_is_deleted_and_deleting_nobody_is_no_error(api, alice) -> None:
    assert (await api.delete(ALICE)).status_code == 200
    assert (await api.delete(ALICE)).status_code == 200
    assert (await api.get("/user/ls")).json()["data"]["items"] == []


async def test_configs_are_merged_and_null_deletes(api) -> None:
    await api.patch("/project/configs", {"a": 1, "b": 2})
    changed = await api.patch("/project/configs", {"b": None, "c": [3]})
    assert changed.json()["data"] == {"a": 1, "c": [3]}
    read = await api.get("/project/configs")
    assert read.json()["data"] == {"a": 1, "c": [3], "encryption_enabled": False}


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "nothing",
        json.dumps({"task_success_criteria": "x" * 2001}),
        "[" * 60_000,
        f'{{"a": {"[" * 260}{"]" * 260}}}',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": "\\u0000"}',
        '{"task_success_criteria": "\\ud800"}',
    ],
)
async def test_configs_that_are_none_are_400(api, body: str) -> None:
    assert (await api.patch("/project/configs", body)).status_code == 400
    assert (await api.get("/project/configs")).json()["data"] == {"encryption_enabled": False}


async def test_configs_over_the_limit_are_413(api) -> None:
    assert (await api.patch("/project/configs", {"a": "x" * 70_000})).status_code == 413


async def test_configs_that_grow_over_the_limit_are_413(api) -> None:
    assert (await api.patch("/project/configs", {"a": "x" * 40_000})).status_code == 200
    assert (await api.patch("/project/configs", {"b": "x" * 40_000})).status_code == 413
    assert set((await api.get("/project/configs")).json()["data"]) == {"a", "encryption_enabled"}


async def test_encryption_is_refused_with_a_reason(api) -> None:
    response = await api.post("/project/encrypt")
    assert response.status_code == 400
    assert "compact key" in response.json()["msg"]
