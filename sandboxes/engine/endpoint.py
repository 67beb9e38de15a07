"""Where the engine listens: DOCKER_HOST and its companions, read the way Docker's own tools do."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .base import EngineError

DEFAULT_SOCKET = "/var/run/docker.sock"
PLAIN_PORT = 2375
TLS_PORT = 2376


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a TLS connection to an engine needs. Without `authority` the server is not checked."""

    certificate: Path
    key: Path
    authority: Path | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One engine's address: a Unix socket's path, or a host and a port."""

    socket_path: str = ""
    host: str = ""
    port: int = 0
    certificates: Certificates | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Endpoint:
        """Read DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."""
        url = urlsplit(environment.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}")
        if url.scheme == "unix":
            return cls(socket_path=url.path or DEFAULT_SOCKET)
        if url.scheme not in ("tcp", "http", "https") or not url.hostname:
            raise EngineError("DOCKER_HOST must be unix:///path or tcp://host:port.")
        certificates = _certificates(environment)
        port = url.port or (TLS_PORT if certificates else PLAIN_PORT)
        return cls(host=url.hostname, port=port, certificates=certificates)

    @property
    def url(self) -> str:
        """Return the address as docker-py wants it."""
        if self.socket_path:
            return f"unix://{self.socket_path}"
        scheme = "https" if self.certificates else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


@functools.cache
def tls_context(certificates: Certificates) -> ssl.SSLContext:
    """Return the context for connections made without docker-py."""
    context = ssl.create_default_context(cafile=certificates.authority)
    if certificates.authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


def _certificates(environment: Mapping[str, str]) -> Certificates | None:
    folder = environment.get("DOCKER_CERT_PATH")
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not folder and not verify:
        return None
    path = Path(folder) if folder else Path.home() / ".docker"
    return Certificates(
        certificate=path / "cert.pem",
        key=path / "key.pem",
        authority=path / "ca.pem" if verify else None,
    )
