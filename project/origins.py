"""Which pages may open our WebSockets: our own, told by their origin as Django tells it of forms."""

from __future__ import annotations

from io import BytesIO
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.utils.http import is_same_domain

from project.body_limit import App, Receive, Scope, Send

# A socket is opened by a request like any other.
SCHEMES = {"ws": "http", "wss": "https"}
PORTS = {"http": 80, "https": 443}

type Origin = tuple[str, str, int]


class OwnPages:
    """Lets in what a page of ours opens.

    A browser sends its cookies to every port of a host, so the host alone says too little: what
    else serves pages on this machine is another site.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: App = self.app if is_own(scope) else WebsocketDenier()
        await app(scope, receive, send)


def is_own(scope: Scope) -> bool:
    """Was this socket opened by a page of ours, or of an origin that the operator trusts?"""
    request = ASGIRequest(
        {
            "method": "GET",
            "path": "/",
            "scheme": SCHEMES.get(scope.get("scheme", ""), "http"),
            "headers": scope["headers"],
            "server": scope.get("server"),
        },
        BytesIO(),
    )
    try:
        own = f"{request.scheme}://{request.get_host()}"
    except DisallowedHost:
        return False
    origin = _origin(request.headers.get("Origin", ""))
    if origin is None:
        return False
    return origin in (_origin(own), _origin(settings.PUBLIC_URL)) or _is_trusted(origin)


def _origin(address: str) -> Origin | None:
    """Return scheme, host and port of an address; None if it has none of them."""
    try:
        parts = urlsplit(address.lower())
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and port else None


def _is_trusted(origin: Origin) -> bool:
    """Is an origin in CSRF_TRUSTED_ORIGINS, or under a `https://*.` of it?"""
    scheme, host, port = origin
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        pattern = _origin(trusted.replace("://*.", "://."))
        if pattern and pattern[::2] == (scheme, port) and is_same_domain(host, pattern[1]):
            return True
    return False
