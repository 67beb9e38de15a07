"""Refuses to start what would not be safe."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


@register(Tags.security)
def engine_isolates(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The local engine runs commands as this very user: for tests and UI work only."""
    if settings.SANDBOX_ENGINE == "local" and not settings.DEBUG:
        return [
            Error(
                "SANDBOX_ENGINE=local isolates nothing and needs DEBUG=true.",
                hint="Use SANDBOX_ENGINE=docker.",
                id="sandbank.E001",
            )
        ]
    return []
