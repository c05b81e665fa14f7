"""A real Prefect server: on a free port, with a home of its own, stopped in the end. For benchmarks and tests."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from benchmarks import asking
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prefect_server(workspace: Workspace, **environment: str) -> Iterator[str]:
    """The URL of its API. It keeps its files in the workspace."""
    workspace.prefect_home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    around = workspace.environment() | environment
    process = subprocess.Popen(command, env=around, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 300
        while not _healthy(port):
            if process.poll() is not None or time.monotonic() > end:
                raise DeploymentError("Prefect's server did not start")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.wait(60)


def _healthy(port: int) -> bool:
    try:
        return asking.get(f"http://127.0.0.1:{port}/api/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
