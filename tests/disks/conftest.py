"""Fixtures of the disks' tests. The index:

disk            a disk of `project`
put             puts a file on `disk`, as the upload does
store_location  where the bytes lie, in a folder of the test's own
s3              the same bytes in an S3 of the test's own, instead
local_engine    sandboxes of this process are made without isolation, and gone afterwards
place           each kind of place in turn: a disk, and a sandbox on each engine
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from disks import artifacts
from disks.models import Artifact, Disk
from disks.places.base import Place
from disks.places.disk import DiskPlace
from disks.places.sandbox import SandboxPlace
from disks.spool import gather
from project import database
from project.models import Project
from sandboxes import fitness, guests, lifecycle
from sandboxes.engine import close_engine, get_engine
from sandboxes.models import Sandbox
from sandboxes.options import NewSandbox

type Put = Callable[..., Awaitable[Artifact]]


@pytest.fixture(autouse=True)
def store_location(tmp_path: Path, settings: Any) -> Path:
    location = tmp_path / "blobs"
    options = {**settings.STORAGES["blobs"]["OPTIONS"], "location": str(location)}
    settings.STORAGES = {
        **settings.STORAGES,
        "blobs": {**settings.STORAGES["blobs"], "OPTIONS": options},
    }
    settings.SPOOL_DIR = tmp_path / "spool"
    settings.SPOOL_DIR.mkdir()
    return location


@pytest.fixture
def disk(project: Project) -> Disk:
    return Disk.objects.create(project=project)


@pytest.fixture
def put(disk: Disk) -> Put:
    async def put_file(
        path: str, data: bytes = b"text\n", meta: dict[str, Any] | None = None, on: Disk = disk
    ) -> Artifact:
        folder, _, filename = path.rpartition("/")

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 100_000):
                yield data[start : start + 100_000]

        spool = await gather(chunks(), 2**30)
        return await artifacts.upsert(on, f"{folder}/", filename, spool, meta or {})

    return put_file


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def s3(s3_address: str, settings: Any, store_location: Path) -> Any:
    bucket = uuid.uuid4().hex
    settings.STORAGES = {
        **settings.STORAGES,
        "blobs": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "bucket_name": bucket,
                "endpoint_url": s3_address,
                "region_name": "us-east-1",
                "access_key": "test",
                "secret_key": "test",
                "default_acl": None,
                "file_overwrite": True,
            },
        },
    }
    storage: Any = storages["blobs"]
    storage.connection.create_bucket(Bucket=bucket)
    return storage


@asynccontextmanager
async def sandboxes_on(engine: str, settings: Any) -> AsyncIterator[None]:
    """Have this process make its sandboxes on an engine; they are gone afterwards."""
    settings.SANDBOX_ENGINE = engine
    get_engine.cache_clear()
    fitness.forget()
    yield
    for sandbox in await database.read(lambda: list(Sandbox.objects.all())):
        await lifecycle.kill(sandbox)
    await guests.close_all()
    await close_engine()
    get_engine.cache_clear()


@pytest.fixture
async def local_engine(settings: Any, transactional_db: None) -> AsyncIterator[None]:
    async with sandboxes_on("local", settings):
        yield


KINDS = ["disk", "local", pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(params=KINDS)
async def place(
    request: pytest.FixtureRequest, settings: Any, project: Project
) -> AsyncIterator[Place]:
    if request.param == "disk":
        yield DiskPlace(await database.write(lambda: Disk.objects.create(project=project)))
        return
    async with sandboxes_on(request.param, settings):
        yield SandboxPlace(await lifecycle.create(project, NewSandbox()))
