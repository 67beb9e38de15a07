"""Where the bytes are: the storage behind them, the threads that wait for it, its refusals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from django.core.files.storage import Storage, storages

from project.errors import Failed, NoSpace, Refused, Unavailable

logger = logging.getLogger(__name__)

THREADS = 8


def storage() -> Storage:
    return storages["blobs"]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")


def in_thread[T](function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """Run a function that waits for the disk or the store where it holds nobody up."""
    return asyncio.get_running_loop().run_in_executor(_threads(), function, *arguments)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Tell a caller what is the matter with the store."""
    try:
        yield
    except Refused:
        raise
    except FileNotFoundError as error:
        logger.exception("a blob has no bytes")
        raise Failed("the file store has lost the bytes of this file") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("the disk of the server is full; nothing was stored") from error
        logger.exception("the file store failed")
        raise Unavailable("the file store does not answer; nothing was stored") from error
