"""The sandboxes' part of the HTTP API."""

from __future__ import annotations

from ninja import Router

from sandboxes.api import commands, files, life, processes

router = Router(tags=["sandboxes"])
for part in (life, commands, processes, files):
    router.add_router("", part.router)
