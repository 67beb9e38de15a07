"""Database work for async code, in the database's own threads.

Django's async queries would open a thread and a connection for each request and hop to it for
each query. Here a whole step (a transaction, say) is one plain function and one hop, and the
threads keep their connections. SQLite has one writer at a time anyway, so its writes queue in
one thread instead of waking each other up on a locked file.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache, partial

from django.conf import settings
from django.db import close_old_connections, connection

logger = logging.getLogger(__name__)

READERS = 4
# So many notes may wait to be written; who comes then waits with them.
MOST_NOTES = 1000
CLOSE_SECONDS = 5.0

_notes: set[Future[object]] = set()

# `soft_on`: the connection of this thread whose commits do not wait for the disk.
_thread = threading.local()

_SOFTNESS = {
    "sqlite": ("PRAGMA synchronous=NORMAL", "PRAGMA synchronous=FULL"),
    "postgresql": ("SET synchronous_commit=off", "SET synchronous_commit=on"),
}


@cache
def _readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(READERS, thread_name_prefix="database-read")


@cache
def _writers() -> ThreadPoolExecutor:
    sqlite = settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
    return ThreadPoolExecutor(1 if sqlite else READERS, thread_name_prefix="database-write")


def _work[T](function: Callable[[], T]) -> T:
    close_old_connections()
    _wait_for_disk(True)
    return function()


def _work_softly[T](function: Callable[[], T]) -> T:
    """Run a function whose commits are not waited for on their way to the disk."""
    close_old_connections()
    _wait_for_disk(False)
    return function()


def _wait_for_disk(wanted: bool) -> None:
    """Say whether commits on this thread's connection wait for the disk; a new one's do."""
    soft_on = getattr(_thread, "soft_on", None)
    is_hard = soft_on is None or soft_on is not connection.connection
    if is_hard == wanted:
        return
    soft, hard = _SOFTNESS[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(hard if wanted else soft)
    _thread.soft_on = None if wanted else connection.connection


async def _run[T](
    executor: ThreadPoolExecutor,
    function: Callable[[], T],
    work: Callable[[Callable[[], T]], T] = _work,
) -> T:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, context.run, work, function)


async def read[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that only reads the database."""
    return await _run(_readers(), partial(function, *args, **kwargs))


async def write[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that writes the database.

    Once begun it runs to its end, also when the caller is cancelled.
    """
    return await _run(_writers(), partial(function, *args, **kwargs))


async def note[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that writes what a power cut may take back, such as a line of history.

    A crash of this process takes nothing back. It spares each command two waits for the disk.
    """
    return await _run(_writers(), partial(function, *args, **kwargs), _work_softly)


async def note_soon[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
    """Have a note written without waiting for it. One that cannot be written is logged."""
    if len(_notes) >= MOST_NOTES:
        await note(function, *args, **kwargs)
        return
    work = partial(_work_softly, partial(function, *args, **kwargs))
    future: Future[object] = _writers().submit(contextvars.copy_context().run, work)
    _notes.add(future)
    future.add_done_callback(_noted)


def _noted(future: Future[object]) -> None:
    _notes.discard(future)
    error = None if future.cancelled() else future.exception()
    if error is not None:
        logger.error("a note was not written", exc_info=error)


def finish_notes() -> None:
    """Wait until what was left to `note_soon` is written: for tests, which look at it at once."""
    wait(set(_notes))


async def close() -> None:
    """Close the connections of these threads and let the threads go."""
    loop = asyncio.get_running_loop()
    for pool in (_readers, _writers):
        executor = pool()
        threads = executor._max_workers
        # A job for each thread. None ends before all have begun, so no thread takes two of them.
        begun = threading.Barrier(threads)
        closing = [loop.run_in_executor(executor, _close_own, begun) for _ in range(threads)]
        await asyncio.gather(*closing)
        executor.shutdown()
        pool.cache_clear()


def _close_own(begun: threading.Barrier) -> None:
    """Close the connection of the thread this runs in."""
    # A thread that is held up by its last job keeps the others for so long and no longer.
    with suppress(threading.BrokenBarrierError):
        begun.wait(CLOSE_SECONDS)
    connection.close()
