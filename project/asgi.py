"""The entry for HTTP, WebSockets and the server's own start and stop."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Loads the apps, which what follows imports.
http = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402

from project.body_limit import BodyLimit  # noqa: E402
from project.lifespan import Lifespan  # noqa: E402

application = Lifespan(BodyLimit(ProtocolTypeRouter({"http": http})))
