"""An engine on another host: over TCP and TLS, streams too."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess

import pytest

from sandboxes.engine.base import EngineUnavailable
from sandboxes.engine.docker import DockerEngine
from sandboxes.engine.endpoint import Certificates, Endpoint
from tests.engine.boxes import MIB, shell

pytestmark = pytest.mark.docker

SOCKET = Endpoint.from_environment({}).socket_path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """The folder of an authority, and of one certificate that both ends use."""
    folder = tmp_path_factory.mktemp("certificates")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=both -keyout key.pem -out request.pem",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2"
        " -extfile names -out cert.pem",
    ):
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder


def endpoint(folder, port, authority="ca.pem"):
    files = Certificates(folder / "cert.pem", folder / "key.pem", folder / authority)
    return Endpoint(host="127.0.0.1", port=port, certificates=files)


class Forwarder:
    """Forwards a port to the shared engine, as that would listen there itself."""

    def __init__(self, context=None):
        self.context = context
        self.open = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.context)
        return self.server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_):
        self.server.close()
        for task in self.open:
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)
        await asyncio.sleep(0.1)  # until the transports are gone

    async def serve(self, reader, writer):
        self.open.add(asyncio.current_task())
        upstream_reader, upstream = await asyncio.open_unix_connection(SOCKET)
        try:
            await asyncio.gather(copy(reader, upstream), copy(upstream_reader, writer))
        finally:
            writer.transport.abort()
            upstream.transport.abort()


async def copy(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(MIB):
            writer.write(data)
            await writer.drain()
        writer.close()


def server_context(folder):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(params=["tcp", "tls"])
async def remote_engine(request, certificates):
    """A DockerEngine on the other side of a TCP port."""
    secure = request.param == "tls"
    async with Forwarder(server_context(certificates) if secure else None) as port:
        plain = Endpoint(host="127.0.0.1", port=port)
        engine = DockerEngine(endpoint(certificates, port) if secure else plain)
        yield engine
        await engine.close()


async def test_calls_go_over_the_network(remote_engine, victim):
    assert (await remote_engine.get(victim)).name == victim


async def test_streams_go_over_the_network(remote_engine, victim):
    assert await shell(remote_engine, victim, "echo hello") == "hello\n"


async def test_megabytes_go_both_ways_over_the_network(remote_engine, victim):
    stream = await remote_engine.open_stream(victim, ["cat"])
    sent, received = bytes(range(256)) * 20_000, bytearray()

    async def receive():
        while len(received) < len(sent):
            received.extend(await stream.read(MIB))

    await asyncio.wait_for(asyncio.gather(stream.write(sent), receive()), 20)

    assert received == sent
    await stream.close()


async def test_flood_can_be_closed_over_the_network(remote_engine, victim):
    stream = await remote_engine.open_stream(victim, ["cat", "/dev/zero"])
    await stream.read(1)

    await asyncio.wait_for(stream.close(), 2)


async def test_environment_does_not_replace_the_engine_s_authority(
    certificates, monkeypatch, victim, tmp_path
):
    (tmp_path / "other.pem").write_text((certificates / "cert.pem").read_text())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "other.pem"))

    async with Forwarder(server_context(certificates)) as port:
        engine = DockerEngine(endpoint(certificates, port))
        assert (await engine.get(victim)).name == victim
        await engine.close()


async def test_engine_that_cannot_prove_itself_is_not_used(certificates, victim):
    async with Forwarder(server_context(certificates)) as port:
        engine = DockerEngine(endpoint(certificates, port, authority="cert.pem"))
        with pytest.raises(EngineUnavailable):
            await engine.get(victim)
        await engine.close()
