"""Files of a running sandbox, as streams. Everything happens as the sandbox's own user.

Who reads or changes a file uses the sandbox, which renews it; who only looks around does not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing

from django.utils import timezone

from project import database
from project.errors import Invalid, Refused
from sandboxes import guests, history
from sandboxes.guest.link import FileStat
from sandboxes.models import Sandbox

MAX_PATH_BYTES = 4096


def checked(path: str) -> str:
    """Return a path that may be handed to the guest. Raises Invalid."""
    if not path.startswith("/"):
        raise Invalid("path: must start with /")
    if "\x00" in path:
        raise Invalid("path: must not hold a NUL character")
    if len(path.encode(errors="surrogateescape")) > MAX_PATH_BYTES:
        raise Invalid(f"path: at most {MAX_PATH_BYTES} bytes")
    return path


async def stat(sandbox: Sandbox, path: str, *, follow: bool = True) -> FileStat:
    async with guests.linked(sandbox) as link:
        return await link.stat(checked(path), follow=follow)


async def listing(
    sandbox: Sandbox, path: str, *, after: str = "", limit: int = 1000
) -> tuple[list[FileStat], str | None]:
    """Return the entries of a folder, sorted by name, and the name to go on after."""
    async with guests.linked(sandbox) as link:
        return await link.list(checked(path), after=after, limit=limit)


async def read(
    sandbox: Sandbox, path: str, start: int = 0, end: int | None = None
) -> tuple[FileStat, AsyncGenerator[bytes]]:
    """Open a file. Return what it is and its bytes from start up to end, as a stream."""
    await _use(sandbox)
    async with guests.linked(sandbox) as link:
        header, chunks = await link.read(checked(path), start=start, end=end)
    return header, _translated(sandbox, chunks)


async def _translated(sandbox: Sandbox, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    with guests.refusals():
        async with aclosing(chunks) as stream:
            async for chunk in stream:
                yield chunk
                await _use(sandbox)


async def _use(sandbox: Sandbox) -> None:
    """Renew a sandbox, unless that was done a moment ago. Does not wait for the database."""
    now = timezone.now()
    if not history.is_renewed(sandbox, now):
        await database.note_soon(history.renew, sandbox, now)


async def write(
    sandbox: Sandbox,
    path: str,
    chunks: AsyncIterable[bytes],
    *,
    size: int | None = None,
    overwrite: bool = True,
    mode: int | None = None,
    modified: float | None = None,
    key: str | None = None,
) -> FileStat:
    """Write a file whole or not at all; folders on the way are made.

    With a key `written` finds it, for one who missed the answer.
    """
    async with guests.linked(sandbox) as link, aclosing(_noted(sandbox, chunks)) as noted:
        return await link.write(
            checked(path),
            noted,
            size=size,
            overwrite=overwrite,
            mode=mode,
            modified=modified,
            key=key,
        )


async def written(sandbox: Sandbox, key: str) -> FileStat | None:
    """Return the file that was written with a key; None: nothing was, as far as is known."""
    try:
        async with guests.linked(sandbox) as link:
            return await link.written(key)
    except Refused as refusal:
        # A guest that was started by an older server does not know the question.
        if refusal.tag not in ("not_found", "unsupported"):
            raise
        return None


async def _noted(sandbox: Sandbox, chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    await _use(sandbox)
    async for chunk in chunks:
        yield chunk
        await _use(sandbox)


async def mkdir(sandbox: Sandbox, path: str, *, exist_ok: bool = True) -> FileStat:
    """Make a folder and those on the way to it."""
    await _use(sandbox)
    async with guests.linked(sandbox) as link:
        if exist_ok:
            await link.mkdir(checked(path), parents=True)
        else:
            await link.mkdir(checked(path).rpartition("/")[0] or "/", parents=True)
            await link.mkdir(path, parents=False)
        return await link.stat(path)


async def move(sandbox: Sandbox, path: str, to: str, *, overwrite: bool = False) -> FileStat:
    await _use(sandbox)
    async with guests.linked(sandbox) as link:
        await link.move(checked(path), checked(to), overwrite=overwrite)
        return await link.stat(to)


async def copy(sandbox: Sandbox, path: str, to: str, *, overwrite: bool = False) -> FileStat:
    await _use(sandbox)
    async with guests.linked(sandbox) as link:
        await link.copy(checked(path), checked(to), overwrite=overwrite)
        return await link.stat(to, follow=False)


async def remove(sandbox: Sandbox, path: str, *, recursive: bool = False) -> None:
    await _use(sandbox)
    async with guests.linked(sandbox) as link:
        await link.remove(checked(path), recursive=recursive)
