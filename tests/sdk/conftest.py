"""A real server with the real engine, and the public clients on it. The index:

client      the acontext client, sync and async alike: every method is awaited
stranger    the same for another project
sandbox_id  a running sandbox, ended afterwards
disk_id     a disk, deleted afterwards
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from acontext import AcontextAsyncClient, AcontextClient
from acontext.errors import APIError

from tests.server import Server


class Awaited:
    """Makes a sync client look like the async one: one test speaks for both."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return Awaited(found)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if inspect.iscoroutinefunction(found):
                return await found(*args, **kwargs)
            return await asyncio.to_thread(found, *args, **kwargs)

        return call


async def refusal(awaitable: Any) -> APIError:
    with pytest.raises(APIError) as raised:
        await awaitable
    return raised.value


def make_client(kind: str, base_url: str, api_key: str) -> Any:
    maker = AcontextClient if kind == "sync" else AcontextAsyncClient
    return maker(base_url=base_url, api_key=api_key, timeout=120)


async def close_client(client: Any) -> None:
    if isinstance(client, AcontextClient):
        client.close()
    else:
        await client.aclose()


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Any]:
    made = make_client(request.param, server.api_url, server.token)
    yield Awaited(made)
    await close_client(made)


@pytest.fixture(scope="session")
def stranger_token(server: Server) -> str:
    return server.manage("create_key", "--project", "stranger").strip().splitlines()[-1]


@pytest.fixture
async def stranger(server: Server, stranger_token: str) -> AsyncIterator[Any]:
    made = make_client("async", server.api_url, stranger_token)
    yield Awaited(made)
    await close_client(made)


@pytest.fixture
async def sandbox_id(client: Any) -> AsyncIterator[str]:
    sandbox = await client.sandboxes.create()
    yield sandbox.sandbox_id
    await client.sandboxes.kill(sandbox.sandbox_id)


@pytest.fixture
async def disk_id(client: Any) -> AsyncIterator[str]:
    disk = await client.disks.create()
    yield disk.id
    await client.disks.delete(disk.id)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.sdk)
            item.add_marker(pytest.mark.docker)
