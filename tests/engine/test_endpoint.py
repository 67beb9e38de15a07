"""DOCKER_HOST and its companions mean what they mean to Docker's own tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandboxes.engine.base import EngineError
from sandboxes.engine.endpoint import Certificates, Endpoint

TLS = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "unix:///var/run/docker.sock"),
        ({"DOCKER_HOST": ""}, "unix:///var/run/docker.sock"),
        ({"DOCKER_HOST": "unix:///x/d.sock"}, "unix:///x/d.sock"),
        ({"DOCKER_HOST": "tcp://10.0.0.1"}, "http://10.0.0.1:2375"),
        ({"DOCKER_HOST": "tcp://10.0.0.1:99"}, "http://10.0.0.1:99"),
        ({"DOCKER_HOST": "tcp://[::1]:99"}, "http://[::1]:99"),
        ({"DOCKER_HOST": "tcp://engine", **TLS}, "https://engine:2376"),
    ],
)
def test_address(environment, url):
    assert Endpoint.from_environment(environment).url == url


@pytest.mark.parametrize("host", ["ssh://root@x", "fd://", "tcp://", "nonsense"])
def test_other_addresses_are_refused(host):
    with pytest.raises(EngineError, match="DOCKER_HOST must be"):
        Endpoint.from_environment({"DOCKER_HOST": host})


def test_server_is_checked_when_asked_for():
    checked = Endpoint.from_environment({"DOCKER_HOST": "tcp://e", **TLS}).certificates

    assert checked == Certificates(Path("/c/cert.pem"), Path("/c/key.pem"), Path("/c/ca.pem"))


def test_server_is_not_checked_when_only_certificates_are_named():
    certificates = Endpoint.from_environment(
        {"DOCKER_HOST": "tcp://e", "DOCKER_CERT_PATH": "/c"}
    ).certificates

    assert certificates is not None
    assert certificates.authority is None
