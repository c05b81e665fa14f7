"""A server in the foreground that follows the workspace: for containers, systemd, honcho. Several may, as replicas.

Whoever deploys writes deployment.json, and a follower starts new workers on it within a second, without a failed
request. ``lethe deploy`` doesn't wait for followers, so they take the hidden users from the ledger's database, where a
person stays hidden after the request is completed: no follower that is late answers from what it should have forgotten.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import NoReturn

from lethe.config.params import Params
from lethe.core import logs
from lethe.core.interrupted import by_ctrl_c
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError, LetheError
from lethe.serving.deployment import Deployment
from lethe.serving.listening import check_may_listen, url_of
from lethe.serving.server import environment, serve_command

EVERY = 0.5
"""Seconds between two looks at deployment.json."""


def follow(workspace: Workspace, host: str | None, port: int | None, say: Callable[[str], object]) -> int:
    """Serve what is deployed, from the first deployment on, until SIGTERM or Ctrl-C; returns the exit code.

    Raises DeploymentError if the server may not listen there, or ends by itself.
    """
    settings = Params.read(workspace.params).serving
    host, port = host or settings.host, settings.port if port is None else port
    check_may_listen(host, port)
    signal.signal(signal.SIGTERM, by_ctrl_c)
    server: subprocess.Popen[str] | None = None
    home = TemporaryDirectory(prefix="lethe-follow-")
    try:
        say(f"follows {workspace.deployment.relative_to(workspace.root)}")
        seen = _wait_for_first(workspace.deployment)
        server = _serve(
            workspace, host, port, _environment(workspace, settings.workers, _home_in(workspace, home.name))
        )
        say(f"serves on {url_of(host, port)}")
        _watch(server, workspace.deployment, seen, say)
    except KeyboardInterrupt:
        return 0
    finally:
        if server is not None:
            _end(server)
        home.cleanup()


def _serve(workspace: Workspace, host: str, port: int, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, *serve_command(workspace, host, port)]
    if not logs.as_json():
        return subprocess.Popen(command, cwd=workspace.root, env=environment, stdin=subprocess.DEVNULL, text=True)
    # The workers say objects, and BentoML's main process lines of text.
    server = subprocess.Popen(
        command,
        cwd=workspace.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    Thread(target=logs.hand_on, args=(server.stdout,), daemon=True).start()
    return server


def _watch(server: subprocess.Popen[str], deployment: Path, seen: bytes, say: Callable[[str], object]) -> NoReturn:
    while server.poll() is None:
        time.sleep(EVERY)
        now = _content(deployment)
        if now not in (seen, b""):
            seen = now
            try:
                Deployment.read(deployment)
            except LetheError as error:
                # No worker could begin on it, and those that serve would be ended for it.
                say(f"{error}; what is served stays")
                continue
            # The main process keeps the socket: it starts new workers, then ends the old ones.
            server.send_signal(signal.SIGHUP)
            say("a new deployment: new workers begin")
    raise DeploymentError(f"the server ended by itself, with code {server.returncode}; what it said before says why")


def _wait_for_first(deployment: Path) -> bytes:
    while not (content := _content(deployment)):
        time.sleep(EVERY)
    return content


def _content(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def _home_in(workspace: Workspace, home: str) -> Path:
    """BentoML's home as this server sees it: the workspace's stores, and figures of its own. In the workspace's home a
    replica that starts would empty the figures of those that run."""
    folder = Path(home)
    for name in ("bentos", "models"):
        (folder / name).symlink_to(workspace.bentoml_home / name)
    return folder


def _environment(workspace: Workspace, workers: int, home: Path) -> dict[str, str]:
    hidden = os.environ.get("LETHE_HIDDEN_USERS") or workspace.ledger_url
    return environment(workspace, workers) | {"LETHE_HIDDEN_USERS": hidden, "BENTOML_HOME": str(home)}


def _end(server: subprocess.Popen[str], timeout: float = 30) -> None:
    """Let it answer what it holds; in its process group, as from a terminal, it may have been told already."""
    server.terminate()
    try:
        server.wait(timeout)
    except subprocess.TimeoutExpired:
        server.kill()
