"""Disks and artifacts through the real acontext client, sync and async."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from typing import Any

import httpx
import pytest
from acontext import FileUpload

from tests.sdk.conftest import refusal

ALL_BYTES = bytes(range(256)) * 5000


async def put(client: Any, disk_id: str, filename: str, content: bytes, **fields: Any) -> Any:
    file = FileUpload(filename=filename, content=content)
    return await client.disks.artifacts.upsert(disk_id, file=file, **fields)


async def test_a_disk_of_a_user_is_found_by_the_user(client: Any) -> None:
    user = f"{uuid.uuid4()}@example.org"
    disk = await client.disks.create(user=user)
    found = await client.disks.list(user=user)
    assert [item.id for item in found.items] == [disk.id]
    assert not found.has_more
    await client.users.delete(user)
    assert (await refusal(client.disks.delete(disk.id))).status_code == 404


async def test_disks_are_listed_in_pages(client: Any) -> None:
    user = str(uuid.uuid4())
    made = [(await client.disks.create(user=user)).id for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await client.disks.list(user=user, limit=2, cursor=cursor)
        seen += [disk.id for disk in page.items]
        if not page.has_more:
            break
        cursor = page.next_cursor
    assert seen == made
    newest = await client.disks.list(user=user, limit=1, time_desc=True)
    assert newest.items[0].id == made[-1]


async def test_binary_files_make_the_round_trip(client: Any, disk_id: str) -> None:
    await put(client, disk_id, "all.bin", ALL_BYTES, file_path="/deep/er/")
    found = await client.disks.artifacts.get(disk_id, file_path="/deep/er/", filename="all.bin")
    assert found.content is None
    async with httpx.AsyncClient() as anyone:
        got = (await anyone.get(found.public_url)).content
    assert hashlib.sha256(got).digest() == hashlib.sha256(ALL_BYTES).digest()


async def test_a_file_is_read_changed_and_deleted(client: Any, disk_id: str) -> None:
    artifacts = client.disks.artifacts
    await put(client, disk_id, "notes.md", b"# Hello\n", file_path="/docs/", meta={"by": "me"})
    where = {"file_path": "/docs/", "filename": "notes.md"}
    found = await artifacts.get(disk_id, **where)
    assert (found.content.type, found.content.raw) == ("text", "# Hello\n")
    assert found.artifact.meta["by"] == "me"
    changed = await artifacts.update(disk_id, **where, meta={"reviewed": True})
    assert changed.artifact.meta["reviewed"] is True
    assert "by" not in changed.artifact.meta
    listed = await artifacts.list(disk_id, path="/")
    assert (listed.artifacts, listed.directories) == ([], ["docs"])
    await artifacts.delete(disk_id, **where)
    assert (await refusal(artifacts.get(disk_id, **where))).status_code == 404


async def test_files_are_found_by_name_and_content(client: Any, disk_id: str) -> None:
    await put(client, disk_id, "main.py", b"# TODO: a bug\n")
    await put(client, disk_id, "util.py", b"pass\n", file_path="/src/")
    found = await client.disks.artifacts.glob_artifacts(disk_id, query="*.py")
    assert [artifact.path + artifact.filename for artifact in found] == ["/main.py", "/src/util.py"]
    found = await client.disks.artifacts.grep_artifacts(disk_id, query="todo.*bug")
    assert [artifact.filename for artifact in found] == ["main.py"]
    error = await refusal(client.disks.artifacts.grep_artifacts(disk_id, query="("))
    assert error.status_code == 400


async def test_twenty_at_once_under_one_name_leave_one_whole_file(
    client: Any, disk_id: str
) -> None:
    contents = [os.urandom(50_000) for _ in range(20)]
    await asyncio.gather(*(put(client, disk_id, "same.bin", content) for content in contents))
    listed = await client.disks.artifacts.list(disk_id, path="/")
    assert [artifact.filename for artifact in listed.artifacts] == ["same.bin"]
    found = await client.disks.artifacts.get(disk_id, file_path="/", filename="same.bin")
    async with httpx.AsyncClient() as anyone:
        assert (await anyone.get(found.public_url)).content in contents


async def test_a_file_over_the_limit_is_413(client: Any, disk_id: str) -> None:
    await put(client, disk_id, "fits.bin", b"x" * (16 * 2**20))
    error = await refusal(put(client, disk_id, "over.bin", b"x" * (16 * 2**20 + 1)))
    assert error.status_code == 413
    assert "16 MiB" in str(error.message)


async def test_a_body_far_over_the_limit_is_413_as_well(client: Any, disk_id: str) -> None:
    error = await refusal(put(client, disk_id, "over.bin", b"x" * (40 * 2**20)))
    assert error.status_code == 413


async def test_a_strangers_disk_cannot_be_used(client: Any, stranger: Any, disk_id: str) -> None:
    await put(client, disk_id, "secret.txt", b"secret")
    artifacts = stranger.disks.artifacts
    where = {"file_path": "/", "filename": "secret.txt"}
    for attempt in (
        artifacts.get(disk_id, **where),
        artifacts.update(disk_id, **where, meta={}),
        artifacts.delete(disk_id, **where),
        artifacts.list(disk_id),
        artifacts.grep_artifacts(disk_id, query="secret"),
        artifacts.glob_artifacts(disk_id, query="*"),
    ):
        assert (await refusal(attempt)).status_code == 403
    assert (await refusal(put(stranger, disk_id, "a", b""))).status_code == 404
    assert (await refusal(stranger.disks.delete(disk_id))).status_code == 404
    assert (await client.disks.artifacts.get(disk_id, **where)).content.raw == "secret"


# To and from sandboxes


async def to_sandbox(client: Any, disk_id: str, sandbox_id: str, name: str, **other: str) -> Any:
    wish = {"file_path": "/", "filename": name, "sandbox_path": "/workspace/in", **other}
    return await client.disks.artifacts.download_to_sandbox(disk_id, sandbox_id=sandbox_id, **wish)


async def from_sandbox(client: Any, disk_id: str, sandbox_id: str, name: str) -> Any:
    return await client.disks.artifacts.upload_from_sandbox(
        disk_id,
        sandbox_id=sandbox_id,
        sandbox_path="/workspace/in/",
        sandbox_filename=name,
        file_path="/out",
    )


async def run(client: Any, sandbox_id: str, command: str) -> str:
    result = await client.sandboxes.exec_command(sandbox_id=sandbox_id, command=command)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary\r\n", ALL_BYTES])
@pytest.mark.parametrize("name", ["plain.bin", "odd 'name' \"&amp;\" \\ Grüße.bin"])
async def test_a_file_goes_into_a_sandbox_and_back(
    client: Any, disk_id: str, sandbox_id: str, name: str, content: bytes
) -> None:
    # The client writes a quote in a form as %22.
    stored = (await put(client, disk_id, name, content)).filename
    assert await to_sandbox(client, disk_id, sandbox_id, stored) is True
    digest = hashlib.sha256(content).hexdigest()
    assert digest in await run(client, sandbox_id, "cat in/* | sha256sum")
    artifact = await from_sandbox(client, disk_id, sandbox_id, stored)
    assert (artifact.path, artifact.filename) == ("/out/", stored)
    found = await client.disks.artifacts.get(disk_id, file_path="/out", filename=stored)
    async with httpx.AsyncClient() as anyone:
        assert (await anyone.get(found.public_url)).content == content
    logs = await client.sandboxes.get_logs(limit=1, time_desc=True)
    assert logs.items[0].generated_files[-1].sandbox_path == f"/workspace/in/{stored}"


async def test_what_is_missing_is_404(client: Any, disk_id: str, sandbox_id: str) -> None:
    error = await refusal(to_sandbox(client, disk_id, sandbox_id, "nothing"))
    assert (error.status_code, error.message) == (404, "artifact not found")
    error = await refusal(from_sandbox(client, disk_id, sandbox_id, "nothing"))
    assert error.status_code == 404
    assert "/workspace/in/nothing" in str(error.message)
    await put(client, disk_id, "a.txt", b"a")
    error = await refusal(to_sandbox(client, disk_id, str(uuid.uuid4()), "a.txt"))
    assert (error.status_code, error.message) == (404, "sandbox not found")
    error = await refusal(to_sandbox(client, disk_id, "nonsense", "a.txt"))
    assert error.status_code == 400


async def test_a_dead_sandbox_is_404_with_its_reason(client: Any, disk_id: str) -> None:
    sandbox_id = (await client.sandboxes.create()).sandbox_id
    await client.sandboxes.kill(sandbox_id)
    await put(client, disk_id, "a.txt", b"a")
    for attempt in (
        to_sandbox(client, disk_id, sandbox_id, "a.txt"),
        from_sandbox(client, disk_id, sandbox_id, "a.txt"),
    ):
        error = await refusal(attempt)
        assert error.status_code == 404
        assert "killed" in str(error.message)


async def test_a_strangers_sandbox_takes_nothing(
    client: Any, stranger: Any, sandbox_id: str
) -> None:
    theirs = (await stranger.disks.create()).id
    await put(stranger, theirs, "a.txt", b"a")
    error = await refusal(to_sandbox(stranger, theirs, sandbox_id, "a.txt"))
    assert (error.status_code, error.message) == (404, "sandbox not found")
    error = await refusal(from_sandbox(stranger, theirs, sandbox_id, "a.txt"))
    assert (error.status_code, error.message) == (404, "sandbox not found")


async def test_a_full_workspace_is_said_and_leaves_no_half_file(
    client: Any, disk_id: str, sandbox_id: str
) -> None:
    await put(client, disk_id, "big.bin", b"x" * (8 * 2**20))
    free = "df --output=avail -B1 /workspace | tail -1"
    await run(client, sandbox_id, f"head -c $(( $({free}) - 4000000 )) /dev/zero > filler")
    error = await refusal(to_sandbox(client, disk_id, sandbox_id, "big.bin"))
    assert error.status_code == 507
    assert await run(client, sandbox_id, "find in -type f") == ""
    await run(client, sandbox_id, "rm filler")
    assert await to_sandbox(client, disk_id, sandbox_id, "big.bin") is True


async def test_a_place_where_nothing_can_be_written_is_a_clear_error(
    client: Any, disk_id: str, sandbox_id: str
) -> None:
    await put(client, disk_id, "a.txt", b"a")
    for place in ("/etc", "/proc", "/workspace/a-file/below"):
        await run(client, sandbox_id, "touch a-file")
        error = await refusal(to_sandbox(client, disk_id, sandbox_id, "a.txt", sandbox_path=place))
        assert error.status_code in (400, 403, 404, 422), place
    error = await refusal(
        to_sandbox(client, disk_id, sandbox_id, "a.txt", sandbox_path="not/absolute")
    )
    assert error.status_code == 400


async def test_a_folder_or_a_device_is_no_file_to_copy(
    client: Any, disk_id: str, sandbox_id: str
) -> None:
    await run(client, sandbox_id, "mkdir -p in/folder && mkfifo in/pipe && ln -s pipe in/link")
    for name in ("folder", "pipe", "link"):
        error = await refusal(from_sandbox(client, disk_id, sandbox_id, name))
        assert error.status_code in (400, 409, 422), name
