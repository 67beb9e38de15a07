"""The disks' part of the HTTP API.

Where a disk is another project's or missing, some endpoints answer 404 and some 403, as
upstream's clients know them.
"""

from __future__ import annotations

from ninja import Router

from disks.api import artifacts, disks, transfers

router = Router(tags=["disks"])
for part in (disks, artifacts, transfers):
    router.add_router("", part.router)
