"""The entry for HTTP, WebSockets and the server's own start and stop."""

from __future__ import annotations

import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Loads the apps, which what follows imports.
django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from project.body_limit import BodyLimit  # noqa: E402
from project.handler import Handler  # noqa: E402
from project.lifespan import Lifespan  # noqa: E402
from project.origins import OwnPages  # noqa: E402
from project.signing_out import EndWithSession  # noqa: E402
from project.sockets import websocket_urlpatterns  # noqa: E402

# Django, channels and the server each have stricter types of their own for the same things.
signed_in: Any = AuthMiddlewareStack(EndWithSession(URLRouter(websocket_urlpatterns)))
# Another site's page cannot open a socket with a visitor's cookie.
sockets = OwnPages(signed_in)

application = Lifespan(BodyLimit(ProtocolTypeRouter({"http": Handler(), "websocket": sockets})))
