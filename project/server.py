"""The HTTP and WebSocket server: uvicorn, set up for Sandbank."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

# The largest message a browser's terminal may send.
WEBSOCKET_MAX_BYTES = 64 * 1024
# How long requests under way may go on after the server was told to stop.
STOP_SECONDS = 3


def bind(host: str, port: int) -> socket.socket:
    """Take the address. Raises OSError if it is taken, or none of ours."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Serves an application until SIGINT or SIGTERM; says when it has begun to."""

    def __init__(self, application: Any, announce: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http="httptools",
                lifespan="on",
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
                ws_max_size=WEBSOCKET_MAX_BYTES,
                ws_per_message_deflate=False,
            )
        )
        self.announce = announce
        # What is left of it are errors: its start and stop are told by those who asked for them.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.announce()
