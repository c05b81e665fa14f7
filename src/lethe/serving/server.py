"""The running service: one BentoML server of our own in the background, found again by its state file."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
from filelock import FileLock

from lethe.config.params import Params
from lethe.config.serving import Serving
from lethe.core.canonical import Json, canonical_json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError, NotReady
from lethe.serving import access
from lethe.serving.bentos import built
from lethe.serving.deployment import Deployment
from lethe.serving.hidden import HiddenUsers
from lethe.serving.listening import check_may_listen, url_of

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Our own URLs are plain HTTP. Without it httpx reads the certificates of the whole world for each request, which takes
longer than the answer."""
_BETWEEN = 0.05
"""Seconds between questions, where an answer is waited for."""


@dataclass(frozen=True)
class Server:
    """A server's main process, which starts the workers and holds the socket.

    ``created`` is when it started (seconds since 1970): a process id alone may by now be somebody else's.
    """

    pid: int
    created: float
    host: str
    port: int
    workers: int
    root: str = ""
    """The workspace's folder as it was then; empty where an older Lethe started it."""

    @property
    def url(self) -> str:
        return url_of(self.host, self.port)

    def process(self) -> psutil.Process | None:
        """The main process, or None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            alive = process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None

    def worker_pids(self) -> set[int]:
        """Process ids of the workers that live now."""
        process = self.process()
        return {child.pid for child in process.children()} if process else set()

    def ask(self, method: str, path: str, body: Json | None = None, timeout: float = 30) -> Any:
        """One request over a fresh connection, so that any worker may take it; raises DeploymentError if refused."""
        try:
            own = access.own_key()
            headers = {"Authorization": f"Bearer {own}"} if own else {}
            url = self.url + path
            answer = httpx.request(
                method, url, json=body, headers=headers, timeout=timeout, trust_env=False, verify=NO_TLS
            )
        except httpx.HTTPError as error:
            raise DeploymentError(f"{method} {path}: no answer ({type(error).__name__})") from None
        if answer.status_code != 200:
            raise DeploymentError(f"{method} {path}: status {answer.status_code}, must be 200")
        return answer.json()

    def ask_each(self, path: str, patience: float = 30) -> dict[int, Any]:
        """What every worker that lives answers to GET, by its process id; of one that is silent for ``patience``
        seconds nothing. Several are asked at once: of single questions, one after the other, an idle worker may take
        all."""
        answers, end = dict[int, Any](), time.monotonic() + patience
        with ThreadPoolExecutor(2 * self.workers) as pool:
            while True:
                for answer in pool.map(lambda _: self.ask("GET", path), range(2 * self.workers)):
                    answers[answer["pid"]] = answer
                if self.worker_pids() <= answers.keys() or time.monotonic() > end:
                    return answers
                time.sleep(_BETWEEN)


def status(workspace: Workspace) -> Server | None:
    """The running server, or None."""
    try:
        server = Server(**json.loads(workspace.server.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return server if server.process() else None


def must_serve_from_here(workspace: Workspace) -> None:
    """Raises DeploymentError if the running service was started before its workspace was moved: it would neither see
    who is hidden nor what is deployed, so it answers everybody from popularity."""
    server = status(workspace)
    if server is not None and server.root not in ("", str(workspace.root)):
        raise DeploymentError(
            f"service: it was started in {server.root}, and the workspace is in {workspace.root} now; stop it with "
            "lethe stop, then start it with lethe serve"
        )


def start(workspace: Workspace, port: int | None = None, timeout: float = 120) -> Server:
    """Serve the deployment in the background and return when every worker answers; a running server is kept.

    ``port``: default that of params.yaml; ``timeout`` in seconds. Raises DeploymentError if nothing is deployed, if
    the port is in use (before anything starts), or if the server ends or isn't ready in time.
    """
    settings = Params.read(workspace.params).serving
    port = settings.port if port is None else port
    workspace.state.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.state / "server.lock"):
        return _start(workspace, settings, port, timeout)


def _start(workspace: Workspace, settings: Serving, port: int, timeout: float) -> Server:
    must_serve_from_here(workspace)
    running = status(workspace)
    if running is not None:
        if running.port != port:
            raise DeploymentError(f"port: the service already runs on {running.port}; stop it before using {port}")
        return running
    deployment = Deployment.read(workspace.deployment)
    HiddenUsers.at_start(workspace.hidden_users)
    check_may_listen(settings.host, port)
    activate(workspace, deployment)
    log = workspace.state / "logs" / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *serve_command(workspace, settings.host, port)],
            cwd=workspace.root,
            env=environment(workspace, settings.workers),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    created = psutil.Process(process.pid).create_time()
    server = Server(process.pid, created, settings.host, port, settings.workers, str(workspace.root))
    write_whole(workspace.server, canonical_json(asdict(server)))
    try:
        wait_until_served(server, deployment, timeout=timeout)
    except DeploymentError as error:
        stop(workspace)
        raise DeploymentError(f"{error}; see {log.relative_to(workspace.root)}") from None
    return server


def stop(workspace: Workspace, timeout: float = 30) -> bool:
    """Stop the running server, if there is one: requests in progress are answered first. Returns whether one ran."""
    server = status(workspace)
    process = server.process() if server else None
    if process is not None:
        children = process.children(recursive=True)
        process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs([process, *children], timeout=timeout)
        for straggler in left:
            straggler.kill()
        psutil.wait_procs(left, timeout=5)
    workspace.server.unlink(missing_ok=True)
    return process is not None


def activate(workspace: Workspace, deployment: Deployment) -> None:
    """Make workers that start from now on serve ``deployment``; raises DeploymentError if its bento isn't built."""
    folder = built(workspace, deployment.bento)
    # The server is started on this link, so its new workers run the code of the new bento and the old one can go.
    link = _current(workspace)
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.relative_to(link.parent))
    os.replace(temporary, link)
    deployment.write(workspace.deployment)


def wait_until_served(
    server: Server, deployment: Deployment, *, leaving: frozenset[int] = frozenset(), timeout: float = 120
) -> None:
    """Return when every worker reports ``deployment`` and those in ``leaving`` have ended.

    Raises DeploymentError if the server ends or ``timeout`` seconds pass.
    """
    ready: set[int] = set()

    def done() -> bool:
        if server.process() is None:
            raise DeploymentError("the server ended before it was ready")
        try:
            answer = server.ask("GET", "/model", timeout=3)
        except DeploymentError:
            return False
        versions = {family: about["version"] for family, about in answer["families"].items()}
        if answer["pid"] not in leaving and (answer["bento"], versions) == (deployment.bento, deployment.families):
            ready.add(answer["pid"])
        alive = server.worker_pids()
        return len(ready & alive) >= server.workers and not leaving & alive

    _poll(done, timeout, f"the server was not ready on {deployment.bento} within {timeout:g} s")


def _poll(done: Callable[[], bool], timeout: float, failure: str) -> None:
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() > end:
            raise NotReady(failure)
        time.sleep(_BETWEEN)


def _current(workspace: Workspace) -> Path:
    return workspace.bentoml_home / "current"


def serve_command(workspace: Workspace, host: str, port: int) -> list[str]:
    """What Python is given to serve the deployment that is in force."""
    return ["-m", "bentoml", "serve", str(_current(workspace)), "--host", host, "--port", str(port)]


_SETTINGS = "services.Recommender"
"""Of BentoML. What is set here comes after the user's own: its spans, which hold paths, stay off."""


def environment(workspace: Workspace, workers: int) -> dict[str, str]:
    """Of a server's processes."""
    return {
        **workspace.environment(),
        "LETHE_DEPLOYMENT": str(workspace.deployment),
        "LETHE_HIDDEN_USERS": str(workspace.hidden_users),
        "LETHE_EVENTS": str(workspace.events),
        "LETHE_ITEM_FEATURES": os.environ.get("LETHE_ITEM_FEATURES") or str(workspace.root / "features"),
        "LETHE_LEDGER_URL": workspace.ledger_url,
        "LETHE_REPORTS": str(workspace.reports),
        "BENTOML_CONFIG_OPTIONS": f"{_SETTINGS}.workers={workers} {_SETTINGS}.tracing.excluded_urls='.*'",
    }
