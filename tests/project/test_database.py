"""The database's own threads: what they hold, and what they let go of."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import connection, connections

from project import database

pytestmark = pytest.mark.usefixtures("transactional_db")


async def test_closing_closes_the_connection_of_every_thread() -> None:
    for _ in range(10):
        together = threading.Barrier(database.READERS)

        def connect(together: threading.Barrier = together) -> Any:
            together.wait()
            connection.ensure_connection()
            return connections["default"]

        opened = await asyncio.gather(*(database.read(connect) for _ in range(database.READERS)))
        assert len({id(one.connection) for one in opened}) == database.READERS
        await database.close()
        assert [one.connection for one in opened] == [None] * database.READERS
