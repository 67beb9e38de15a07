"""Bytes into the store, out of it, and away."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from disks import artifacts, blobs
from disks.models import Artifact, Blob, Disk
from disks.spool import gather
from disks.store import refusals
from disks.sweep import sweep
from project.errors import Failed, Invalid, NoSpace, TooLarge, Unavailable
from tests.disks.conftest import Put

RANDOM = random.Random(7).randbytes(3_000_000)  # noqa: S311


async def collect(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def stored_files(location: Path) -> list[Path]:
    return [path for path in location.rglob("*") if path.is_file()]


def spooled(settings: Any) -> list[Path]:
    return list(Path(settings.SPOOL_DIR).iterdir())


async def age(*, blobs_by: timedelta) -> None:
    await Blob.objects.aupdate(used_at=timezone.now() - blobs_by)


async def test_bytes_come_back_as_they_went(put: Put, settings: Any) -> None:
    artifact = await put("/a.bin", RANDOM)
    assert await collect(blobs.read(artifact.blob)) == RANDOM
    assert artifact.blob.sha256 == hashlib.sha256(RANDOM).hexdigest()
    assert spooled(settings) == []


@pytest.mark.parametrize(("start", "end"), [(0, 1), (10, 700_000), (2_999_999, 3_000_000), (5, 5)])
async def test_a_part_can_be_read(put: Put, start: int, end: int) -> None:
    artifact = await put("/a.bin", RANDOM)
    assert await collect(blobs.read(artifact.blob, start, end)) == RANDOM[start:end]


async def test_an_empty_file_is_a_file(put: Put) -> None:
    artifact = await put("/empty", b"")
    assert artifact.blob.size == 0
    assert await collect(blobs.read(artifact.blob)) == b""


async def test_one_content_is_stored_once_in_a_project(put: Put, store_location: Path) -> None:
    first, second = await put("/a", b"same"), await put("/b", b"same")
    assert first.blob_id == second.blob_id
    assert len(stored_files(store_location)) == 1


async def test_projects_share_no_bytes(put: Put, stranger: Any) -> None:
    theirs = await Disk.objects.acreate(project=stranger)
    assert (await put("/a", b"same")).blob_id != (await put("/a", b"same", on=theirs)).blob_id


async def test_a_stream_over_the_limit_leaves_nothing(
    settings: Any, transactional_db: None
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(TooLarge):
        await gather(endless(), 10_000)
    assert spooled(settings) == []


async def test_a_stream_that_breaks_off_leaves_nothing(settings: Any) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await gather(broken(), 10_000)
    assert spooled(settings) == []


async def test_the_sweep_takes_what_nobody_points_to_after_its_grace(
    put: Put, disk: Disk, store_location: Path
) -> None:
    await put("/kept", b"kept")
    await put("/gone", b"gone")
    artifact = await Artifact.objects.aget(filename="gone")
    await artifact.adelete()
    assert await sweep() == 0
    await age(blobs_by=timedelta(days=2))
    assert await sweep() == 1
    assert len(stored_files(store_location)) == 1
    kept = await Artifact.objects.select_related("blob").aget(filename="kept")
    assert await collect(blobs.read(kept.blob)) == b"kept"


async def test_a_content_that_comes_again_is_not_swept(
    put: Put, disk: Disk, store_location: Path
) -> None:
    await put("/a", b"again")
    await Artifact.objects.all().adelete()
    await age(blobs_by=timedelta(days=2))
    again = await put("/b", b"again")
    await sweep()
    assert await collect(blobs.read(again.blob)) == b"again"


async def test_a_doomed_blob_is_never_pointed_to(put: Put, disk: Disk) -> None:
    """The sweep died between the row and the bytes: the content comes again, beside it."""
    first = await put("/a", b"content")
    await Artifact.objects.all().adelete()
    await Blob.objects.aupdate(status=Blob.Status.DOOMED)
    second = await put("/b", b"content")
    assert second.blob_id != first.blob_id
    assert await sweep() == 1
    assert await collect(blobs.read(second.blob)) == b"content"


async def test_a_crash_after_the_bytes_leaves_what_the_sweep_takes(
    put: Put, disk: Disk, store_location: Path, settings: Any
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"lost"

    spool = await gather(chunks(), 100)
    await blobs.store(disk.project_id, spool)
    assert len(stored_files(store_location)) == 1
    await age(blobs_by=timedelta(days=2))
    assert await sweep() == 1
    assert stored_files(store_location) == []
    assert not await Blob.objects.aexists()


async def test_old_spools_of_a_crash_are_swept(settings: Any, transactional_db: None) -> None:
    settings.BLOB_GRACE_SECONDS = 0
    left = Path(settings.SPOOL_DIR) / "blob-left"
    left.write_bytes(b"x")
    import os

    os.utime(left, (1, 1))
    await sweep()
    assert spooled(settings) == []


async def test_bytes_that_are_lost_are_told_apart_from_a_missing_file(
    put: Put, store_location: Path
) -> None:
    artifact = await put("/a", b"content")
    for path in stored_files(store_location):
        path.unlink()
    with pytest.raises(Failed, match="lost the bytes"):
        await collect(blobs.read(artifact.blob))


async def test_the_old_file_stays_when_the_store_fails(
    put: Put, store_location: Path, settings: Any, disk: Disk
) -> None:
    await put("/a", b"old")
    original = store_location.rename(store_location.with_name("away"))
    store_location.write_text("no folder")
    with pytest.raises(Unavailable):
        await put("/a", b"new")
    store_location.unlink()
    original.rename(store_location)
    artifact = await Artifact.objects.select_related("blob").aget(filename="a")
    assert await collect(blobs.read(artifact.blob)) == b"old"
    assert spooled(settings) == []


def test_a_full_disk_is_said_to_be_full() -> None:
    with pytest.raises(NoSpace, match="full"), refusals():
        raise OSError(28, "No space left on device")


async def test_verify_finds_bytes_that_changed(
    put: Put, store_location: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from asgiref.sync import sync_to_async

    await put("/a", b"right")
    await put("/b", b"fine")
    await sync_to_async(call_command)("verify_blobs")
    blob = await Blob.objects.aget(sha256=hashlib.sha256(b"right").hexdigest())
    (store_location / blob.key).write_bytes(b"wrong")
    with pytest.raises(CommandError):
        await sync_to_async(call_command)("verify_blobs")
    assert "changed" in capsys.readouterr().err


@pytest.mark.slow
async def test_s3_holds_the_bytes_as_well(put: Put, s3: Any) -> None:
    artifact = await put("/a.bin", RANDOM)
    assert await collect(blobs.read(artifact.blob)) == RANDOM
    assert await collect(blobs.read(artifact.blob, 10, 700_000)) == RANDOM[10:700_000]
    assert blobs.read_whole(artifact.blob) == RANDOM
    assert [entry.key for entry in s3.bucket.objects.all()] == [artifact.blob.key]
    await Artifact.objects.all().adelete()
    await age(blobs_by=timedelta(days=2))
    assert await sweep() == 1
    assert list(s3.bucket.objects.all()) == []


@pytest.mark.slow
async def test_an_s3_that_is_away_is_a_clear_refusal(put: Put, s3: Any, settings: Any) -> None:
    await put("/a", b"old")
    options = {**settings.STORAGES["blobs"]["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}
    settings.STORAGES = {
        **settings.STORAGES,
        "blobs": {**settings.STORAGES["blobs"], "OPTIONS": options},
    }

    with pytest.raises(Unavailable, match="file store"):
        await put("/a", b"new")
    assert await Artifact.objects.acount() == 1


async def test_twenty_at_once_under_one_name_leave_one(put: Put, disk: Disk) -> None:
    import asyncio

    await asyncio.gather(*(put("/same", f"version {i % 7}".encode()) for i in range(20)))
    artifact = await Artifact.objects.select_related("blob").aget()
    assert (await collect(blobs.read(artifact.blob))).startswith(b"version ")
    assert await Blob.objects.filter(status="ready").acount() <= 7


def test_meta_that_cannot_be_stored_is_refused() -> None:
    for text in (
        "[]",
        "{",
        '{"a": NaN}',
        '{"a": "\\u0000"}',
        '{"\\u0000": "a"}',
        '{"a": "\\ud800"}',
        '{"a": 1e999}',
        f'{{"a": {"[" * 260}{"]" * 260}}}',
        f'{{"a": "{"é" * 33_000}"}}',
        '{"a": "\ud800"}',
        "[" * 60_000,
        "1",
    ):
        with pytest.raises(Exception, match="meta"):
            artifacts.parse_meta(text)
    assert artifacts.parse_meta("null") == {}


def test_meta_may_speak_of_a_nul() -> None:
    for text in (r"\\u0000", r"\\\\u0000", r"\n\\u0000"):
        assert artifacts.parse_meta(f'{{"a": "{text}"}}')
    for text in (r"\u0000", r"\\\u0000", r"\"\u0000"):
        with pytest.raises(Invalid, match="NUL"):
            artifacts.parse_meta(f'{{"a": "{text}"}}')
