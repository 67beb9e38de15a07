"""What a running sandbox uses now, as its guest reads it from the kernel."""

from __future__ import annotations

from sandboxes import guests
from sandboxes.guest.link import Usage
from sandboxes.models import Sandbox


async def now(sandbox: Sandbox) -> Usage:
    async with guests.linked(sandbox) as link:
        return await link.usage()
