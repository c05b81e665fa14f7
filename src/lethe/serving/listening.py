"""Where a server of ours may listen, and how its address is written."""

from __future__ import annotations

import errno
import socket

from lethe.core.workspace import LOCAL
from lethe.errors import DeploymentError
from lethe.serving.access import Keys


def url_of(host: str, port: int) -> str:
    """The address to ask; one of IPv6 stands in brackets there, so that its colons are not the port's."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_may_listen(host: str, port: int) -> None:
    """Raises DeploymentError where nothing may listen: other machines may ask only with keys, a port is used once."""
    if not Keys.from_environment() and host not in LOCAL:
        raise DeploymentError(
            f"host: {host} is open to other machines, which needs keys; make one with lethe keys api, or serve on "
            "127.0.0.1"
        )
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "is already in use" if error.errno == errno.EADDRINUSE else f"can't be used ({error.strerror})"
            raise DeploymentError(f"port: {port} on {host} {reason}; stop what holds it or choose another") from None
