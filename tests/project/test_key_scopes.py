"""What a key may do and until when: every endpoint of the API is classified."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.urls import resolve
from django.utils import timezone

from project import database, keys, scopes
from project.api import api as ninja
from project.errors import Invalid, Unauthorized
from project.models import ApiKey, Project
from project.scopes import Scope
from tests.conftest import Api

# Whoever has the link may read what it points to: no key, no scope.
PUBLIC = {"material/<token>"}


def endpoints() -> list[tuple[str, str]]:
    """Every endpoint as (method, route), as the resolver names it."""
    found = []
    for _, router in ninja._routers:
        for view in router.path_operations.values():
            for operation in view.operations:
                name = operation.path.replace("{", "<").replace("}", ">").lstrip("/")
                found += [(method, name) for method in operation.methods]
    return [place for place in found if place[1] not in PUBLIC]


EXPECTED = {
    ("GET", "ping"): (),
    ("POST", "disk/<disk_id>/artifact/download_to_sandbox"): ("disks:read", "sandboxes:write"),
    ("POST", "disk/<disk_id>/artifact/upload_from_sandbox"): ("disks:write", "sandboxes:read"),
    ("DELETE", "user/<path:identifier>"): ("project:write", "disks:write"),
}
AREA_OF = {"sandbox": "sandboxes", "disk": "disks", "user": "project", "project": "project"}


@pytest.mark.parametrize(("method", "route"), endpoints())
def test_every_endpoint_is_classified(method: str, route: str) -> None:
    needed = scopes.needed(method, scopes.ROOT + route)
    if (method, route) in EXPECTED:
        assert needed == EXPECTED[method, route]
        return
    area = AREA_OF[route.split("/")[0]]
    assert needed == (f"{area}:{'read' if method == 'GET' else 'write'}",)


def test_the_routes_are_as_the_resolver_names_them() -> None:
    match = resolve(f"/api/v1/sandbox/{uuid4()}/exec")
    assert ("POST", match.route.removeprefix(scopes.ROOT)) in endpoints()


def test_an_endpoint_that_nobody_classified_needs_everything() -> None:
    assert scopes.needed("GET", "api/v1/something/new") == ("all",)
    assert not scopes.allows(["sandboxes:write"], Scope.ALL)


def test_to_write_is_to_read() -> None:
    assert scopes.allows(["disks:write"], Scope.DISKS_READ)
    assert not scopes.allows(["disks:read"], Scope.DISKS_WRITE)
    assert not scopes.allows(["sandboxes:write"], Scope.DISKS_READ)


@pytest.mark.parametrize("chosen", [[], ["root"], ["all", "root"]])
def test_scopes_that_are_none_are_refused(chosen: list[str]) -> None:
    with pytest.raises(Invalid, match="scope"):
        scopes.check(chosen)


def test_all_stands_for_the_others() -> None:
    assert scopes.check(["disks:read", "all"]) == ["all"]
    assert scopes.check(["project:read", "disks:read"]) == ["disks:read", "project:read"]


def key_with(project: Project, *may: str, **options: Any) -> Api:
    return Api(keys.create_key(project, "narrow", may=may, **options)[1])


async def test_a_reader_of_disks_reads_disks_and_nothing_else(project: Project) -> None:
    reader = await made(project, "disks:read")
    assert (await reader.get("/ping")).status_code == 200
    assert (await reader.get("/disk")).status_code == 200
    for refused in (
        await reader.post("/disk"),
        await reader.get("/sandbox"),
        await reader.post("/sandbox"),
        await reader.get("/user/ls"),
        await reader.patch("/project/configs", {"a": 1}),
        await reader.delete("/user/somebody"),
    ):
        assert refused.status_code == 403
        assert refused.json()["error"] == "scope_missing"
    sentence = refused.json()["msg"]
    assert sentence == "this API key may not do this: it lacks the scope project:write"


async def test_a_writer_of_disks_may_both(project: Project) -> None:
    writer = await made(project, "disks:write")
    assert (await writer.post("/disk")).status_code == 201
    assert (await writer.get("/disk")).status_code == 200


async def test_a_copy_needs_both_ends(project: Project) -> None:
    body = {"file_path": "/", "filename": "a", "sandbox_id": str(uuid4()), "sandbox_path": "/"}
    path = f"/disk/{uuid4()}/artifact/download_to_sandbox"
    half = await made(project, "disks:write")
    refused = await half.post(path, body)
    assert (refused.status_code, refused.json()["error"]) == (403, "scope_missing")
    assert refused.json()["msg"].endswith("sandboxes:write")
    both = await made(project, "disks:read", "sandboxes:write")
    answer = await both.post(path, body)
    assert answer.json()["error"] == "disk_forbidden"


async def made(project: Project, *may: str, **options: Any) -> Api:
    return await database.write(key_with, project, *may, **options)


async def test_an_expired_key_is_told_when(project: Project) -> None:
    late = await made(project, "all", expires_at=timezone.now() - timedelta(seconds=1))
    refused = await late.get("/ping")
    assert refused.status_code == 401
    assert refused.json()["error"] == "key_expired"
    assert "this API key expired at 20" in refused.json()["msg"]


async def test_a_large_body_of_an_expired_key_is_told_the_same(project: Project) -> None:
    late = await made(project, "all", expires_at=timezone.now() - timedelta(seconds=1))
    refused = await late.post("/disk", b"x" * (2**20 + 1))
    assert (refused.status_code, refused.json()["error"]) == (401, "key_expired")


def test_a_remembered_key_expires_in_time(project: Project) -> None:
    key, token = keys.create_key(project, "short", expires_at=timezone.now() + timedelta(minutes=5))
    assert keys.find_key(token) == key
    found = keys.remembered(token)
    assert found is not None
    found.expires_at = timezone.now()
    assert keys.remembered(token) is None
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())
    with pytest.raises(Unauthorized, match="expired"):
        keys.find_key(token)
