"""Every WebSocket Sandbank answers, on one screen."""

from __future__ import annotations

from typing import Any

from django.urls import path

from project.consumers import EventsConsumer
from sandboxes.consumers.output import OutputConsumer
from sandboxes.consumers.terminal import TerminalConsumer

# Channels' routes are Django's, with ASGI applications for views.
_events: Any = EventsConsumer.as_asgi()
_terminal: Any = TerminalConsumer.as_asgi()
_output: Any = OutputConsumer.as_asgi()

websocket_urlpatterns: list[Any] = [
    path("ws/projects/<uuid:project_id>/events/", _events),
    path("ws/sandboxes/<uuid:sandbox_id>/terminals/<uuid:terminal_id>/", _terminal),
    path("ws/sandboxes/<uuid:sandbox_id>/commands/<uuid:command_id>/", _output),
]
