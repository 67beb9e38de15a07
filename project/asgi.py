"""The entry for HTTP, WebSockets and the server's own start and stop."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Loads the apps, which what follows imports.
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402

from project.body_limit import BodyLimit  # noqa: E402
from project.handler import Handler  # noqa: E402
from project.lifespan import Lifespan  # noqa: E402

application = Lifespan(BodyLimit(ProtocolTypeRouter({"http": Handler()})))
