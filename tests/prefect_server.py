"""A real Prefect server for tests: free port, a home of its own, stopped in the end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from lethe.core.workspace import Workspace


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prefect_server(workspace: Workspace, **environment: str) -> Iterator[str]:
    """The URL of its API. It keeps its files in the workspace."""
    workspace.prefect_home.mkdir(parents=True)
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    around = workspace.environment() | environment
    process = subprocess.Popen(command, env=around, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while not _healthy(port):
            assert process.poll() is None, "the Prefect server ended"
            assert time.monotonic() < end, "the Prefect server was not ready within 120 s"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.wait(30)


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health", trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
