"""The address a server takes."""

from __future__ import annotations

import pytest

from project.server import address_of, bind


def test_free_port_has_an_address() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert address_of(listener) == f"http://127.0.0.1:{port}"


def test_address_of_ipv6_stands_in_brackets() -> None:
    with bind("::1", 0) as listener:
        assert address_of(listener).startswith("http://[::1]:")


def test_port_that_is_taken_is_an_error() -> None:
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", listener.getsockname()[1])
