"""Where a server may listen, and how its address is written."""

from __future__ import annotations

import socket

import httpx
import pytest

from lethe.errors import DeploymentError
from lethe.serving.listening import check_may_listen, url_of


@pytest.mark.parametrize("host", ["127.0.0.1", "shop.example", "::1", "fe80::1"])
def test_host_and_port_are_told_apart_in_the_address(host: str) -> None:
    url = httpx.URL(url_of(host, 3000))
    assert (url.host, url.port) == (host, 3000)


def test_a_port_that_is_held_at_an_address_of_ipv6_is_named() -> None:
    try:
        held = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with held:
        port = held.getsockname()[1]
        with pytest.raises(DeploymentError, match=f"port: {port} on ::1 is already in use"):
            check_may_listen("::1", port)


def test_an_address_of_ipv6_that_others_reach_needs_keys() -> None:
    with pytest.raises(DeploymentError, match="host: :: is open to other machines, which needs keys"):
        check_may_listen("::", 3000)
