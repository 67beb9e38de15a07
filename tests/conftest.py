"""Fixtures of every test. The index:

project, stranger   two projects that must never see each other
token               an API key of `project`; `stranger_token` one of `stranger`
api, stranger_api   JSON clients of the API, in process, with those keys
server              a real server on the real engine, one for the whole session
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

from project import database, keys
from project.asgi import application
from project.keys import create_key
from project.models import Project
from tests.server import Server

# The migrations made their rows.
KEPT_MODELS = (ContentType, Permission)
REQUIRED = os.environ.get("REQUIRE_ENGINE") == "1"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Where the engine is required, a skipped test is a failed one."""
    outcome = yield
    report = outcome.get_result()
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be skipped: {report.longrepr}"


class Api:
    """Speaks to the whole application as a client does, in process: no server, no socket."""

    def __init__(self, token: str) -> None:
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(cast("Any", application), raise_app_exceptions=False),
            base_url="http://localhost/api/v1",
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

    async def request(self, method: str, path: str, body: Any = None, **extra: Any) -> Any:
        if body is not None:
            extra["content"] = body if isinstance(body, str | bytes) else json.dumps(body)
            extra.setdefault("headers", {}).setdefault("Content-Type", "application/json")
        return await self.client.request(method, path, **extra)

    async def get(self, path: str, query: dict[str, Any] | None = None, **extra: Any) -> Any:
        return await self.request("GET", path, params=query, **extra)

    async def post(self, path: str, body: Any = None, **extra: Any) -> Any:
        return await self.request("POST", path, body, **extra)

    async def put(self, path: str, body: Any = None, **extra: Any) -> Any:
        return await self.request("PUT", path, body, **extra)

    async def patch(self, path: str, body: Any = None, **extra: Any) -> Any:
        return await self.request("PATCH", path, body, **extra)

    async def delete(self, path: str, query: dict[str, Any] | None = None, **extra: Any) -> Any:
        return await self.request("DELETE", path, params=query, **extra)


@pytest.fixture(autouse=True)
def forget_keys() -> None:
    """What one test's server remembers of keys is nothing to the next."""
    keys.forget()


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A database that other threads see too, emptied afterwards.

    In place of pytest-django's, which makes all permissions and content types anew each time.
    """
    with django_db_blocker.unblock():
        yield
        database.finish_notes()
        with transaction.atomic():
            for model in apps.get_models():
                if model not in KEPT_MODELS:
                    model._base_manager.all()._raw_delete("default")
        connection.close()


@pytest.fixture
def project(transactional_db: None) -> Project:
    return Project.objects.create(name="ours")


@pytest.fixture
def stranger(transactional_db: None) -> Project:
    return Project.objects.create(name="somebody else's")


@pytest.fixture
def token(project: Project) -> str:
    return create_key(project, "test")[1]


@pytest.fixture
def stranger_token(stranger: Project) -> str:
    return create_key(stranger, "test")[1]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), SUPERVISOR_SECONDS="0.5").start()
    yield server
    server.end_sandboxes()
    server.stop()


@pytest.fixture
def api(token: str) -> Api:
    return Api(token)


@pytest.fixture
def stranger_api(stranger_token: str) -> Api:
    return Api(stranger_token)
