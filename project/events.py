"""Tells open pages that something changed. Pages then fetch it anew: an event holds no data.

An event that is lost costs nothing: pages also look for themselves now and then.
"""

from __future__ import annotations

import logging
import uuid

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)


EVERYBODY = "everybody"


def group_of(project_id: uuid.UUID) -> str:
    """Return the channel group of the pages that show a project."""
    return f"project.{project_id}"


async def changed(project_id: uuid.UUID, what: str, object_id: object = "") -> None:
    """Tell the pages of a project that a `what` (sandbox, command, disk, transfer...) changed."""
    await _send(group_of(project_id), what, str(object_id))


async def changed_everywhere(what: str) -> None:
    """Tell all pages of all projects."""
    await _send(EVERYBODY, what, "")


async def _send(group: str, what: str, object_id: str) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(group, {"type": "changed", "what": what, "id": object_id})
    except Exception:
        # What happened has happened, whether or not a page hears of it.
        logger.exception("an event was lost")
