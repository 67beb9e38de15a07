"""The entry for HTTP, WebSockets and the server's own start and stop."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Loads the apps, which what follows imports.
django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from project.body_limit import BodyLimit  # noqa: E402
from project.handler import Handler  # noqa: E402
from project.lifespan import Lifespan  # noqa: E402
from project.signing_out import EndWithSession  # noqa: E402
from project.sockets import websocket_urlpatterns  # noqa: E402

# Another site's page cannot open a socket with a visitor's cookie.
sockets = AllowedHostsOriginValidator(
    AuthMiddlewareStack(EndWithSession(URLRouter(websocket_urlpatterns)))
)

application = Lifespan(BodyLimit(ProtocolTypeRouter({"http": Handler(), "websocket": sockets})))
