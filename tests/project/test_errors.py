"""The one shape of an error, on every address of the API."""

from __future__ import annotations

import pytest


def assert_problem(response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    body = response.json()
    assert body["code"] == status
    assert body["msg"]
    assert "data" not in body


async def test_an_unknown_address_is_json(api) -> None:
    assert_problem(await api.get("/no/such/thing"), 404)


async def test_an_address_with_a_slash_too_many_is_not_redirected(api) -> None:
    assert_problem(await api.get("/ping/"), 404)


async def test_a_wrong_method_is_json(api) -> None:
    assert_problem(await api.post("/ping"), 405)


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many"])
async def test_a_limit_out_of_bounds_is_400(api, limit: str) -> None:
    assert_problem(await api.get("/sandbox", {"limit": limit}), 400)


async def test_a_tampered_cursor_is_400(api) -> None:
    response = await api.get("/sandbox", {"cursor": "tampered"})
    assert_problem(response, 400)
    assert response.json()["error"] == "invalid_cursor"


async def test_an_id_that_is_none_is_400_and_named(api) -> None:
    response = await api.get("/sandbox/not-an-id")
    assert_problem(response, 400)
    assert "sandbox_id" in response.json()["msg"]


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "{} {}", '{"command": 7}'])
async def test_a_body_that_is_not_understood_is_400(api, body: str) -> None:
    path = "/sandbox/00000000-0000-4000-8000-000000000000/exec"
    assert_problem(await api.post(path, body), 400)


async def test_every_answer_has_a_request_id(api) -> None:
    assert len((await api.get("/ping")).headers["X-Request-Id"]) == 16


async def test_a_request_id_of_the_callers_own_is_taken_if_it_is_fit_for_a_log(api) -> None:
    offered = await api.get("/ping", headers={"X-Request-Id": "trace-1234"})
    assert offered.headers["X-Request-Id"] == "trace-1234"
    forged = await api.get("/ping", headers={"X-Request-Id": "line\\nbreak <b>"})
    assert "break" not in forged.headers["X-Request-Id"]
