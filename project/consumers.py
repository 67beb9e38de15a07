"""The WebSocket that tells a page what has changed."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from project import database, events, policy
from project.errors import Forbidden, NotFound

logger = logging.getLogger(__name__)

FORBIDDEN = 4003
# A person who was put out of a project hears nothing of it after this.
LOOK_AGAIN_SECONDS = 60.0


class EventsConsumer(AsyncWebsocketConsumer):
    """Sends {"what": "sandbox", "id": "..."} for each change in one project."""

    project_id: uuid.UUID
    _watch: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self.project_id = self.scope["url_route"]["kwargs"]["project_id"]
        if not await self._may_look():
            # Only from a socket that is open does a page hear why it is closed.
            await self.accept()
            await self.close(FORBIDDEN)
            return
        # Nothing is missed from the moment on in which the page says that it is live.
        await self._join()
        await self.accept()
        self._watch = asyncio.create_task(self._watch_membership())

    async def _join(self) -> None:
        for group in self._groups():
            await self.channel_layer.group_add(group, self.channel_name)

    async def _may_look(self) -> bool:
        def look() -> bool:
            try:
                user = policy.signed_in(self.scope["user"], self.scope["session"])
                policy.member_of(user, self.project_id)
            except (Forbidden, NotFound):
                return False
            return True

        return await database.read(look)

    async def _watch_membership(self) -> None:
        while await self._may_still_look():
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            # The layer puts out who has taken nothing for a minute.
            await self._join()
        await self.close(FORBIDDEN)

    async def _may_still_look(self) -> bool:
        """Ask again. A database that is away for a moment ends neither the socket nor the watch."""
        try:
            return await self._may_look()
        except Exception:
            logger.exception("it was not seen whether somebody may still look")
            return True

    async def disconnect(self, code: int) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for group in self._groups():
            await self.channel_layer.group_discard(group, self.channel_name)

    def _groups(self) -> tuple[str, str]:
        return events.group_of(self.project_id), events.EVERYBODY

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A page has nothing to say here."""

    async def changed(self, message: dict[str, Any]) -> None:
        await self.send(json.dumps({"what": message["what"], "id": message["id"]}))
