"""All that a team runs, for real and on this machine: PostgreSQL, a Prefect server, what is scheduled with its worker,
a Dask scheduler and two workers, S3 (moto's server), two replicas of the service, the console, and somebody who is told
of alerts.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks import asking
from benchmarks.postgres import PostgresServer, new_database
from benchmarks.prefect_server import free_port
from benchmarks.project import Wrong
from benchmarks.receiver import Receiver
from lethe.cli.worker import CALM
from lethe.core.shipped import shipped_root
from lethe.core.workspace import Workspace

LONG = 900
"""Seconds that anything may take."""
OFFICER_KEY = "a-key-of-the-privacy-officer"
"""With which people log in to the console."""


@dataclass
class Part:
    """A process of the place with all that it starts, which may be ended and started again."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    is_there: Callable[[], bool]
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / ".lethe" / "logs" / f"{self.name}.log"

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, env=dict(self.environment), stdout=output, stderr=output
            )

    def wait(self) -> None:
        """Until it is there. Raises Wrong where it ends, or takes too long."""
        wait_for(self._holds, self.name, lambda: " ".join(self.log.read_text().splitlines()[-3:]))

    def kill(self) -> None:
        """End it with all its children, as a machine that goes away would."""
        if self._process is None:
            return
        tree = [self._process, *_children(self._process.pid)]
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(LONG)
        self._process = None

    def _holds(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise Wrong(f"{self.name}: it has ended; {' '.join(self.log.read_text().splitlines()[-3:])}")
        return self.is_there()


def _children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        children: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        return children
    return []


def wait_for(holds: Callable[[], bool], what: str, said: Callable[[], str] = str) -> float:
    """Seconds until it holds; what isn't answered yet doesn't. Raises Wrong where it takes too long."""
    began = time.perf_counter()
    while time.perf_counter() - began < LONG:
        with suppress(httpx.HTTPError, OSError):
            if holds():
                return round(time.perf_counter() - began, 1)
        time.sleep(0.5)
    raise Wrong(f"{what}: not within {LONG} s; {said()}")


@dataclass
class Place:
    """What stands around one project."""

    workspace: Workspace
    postgres: PostgresServer
    receiver: Receiver
    ports: dict[str, int]
    environment: dict[str, str]
    replicas: list[str]
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def api(self) -> str:
        """Of the Prefect server."""
        return self.environment["PREFECT_API_URL"]

    def asked(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What Prefect's server answers."""
        method = "GET" if body is None else "POST"
        return asking.request(method, f"{self.api}/{path}", json=body).raise_for_status().json()

    def address(self, name: str) -> str:
        """Of a part that is asked over HTTP."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def lethe(self, *arguments: str) -> str:
        """Output of a command in the project's folder. Raises Wrong with its line where it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "lethe.cli", *arguments],
            cwd=self.workspace.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LONG,
        )
        if done.returncode:
            raise Wrong(f"lethe {' '.join(arguments[:2])}: {done.stderr.strip()[-300:]}")
        return done.stdout

    def start(self, *names: str) -> None:
        """These parts together, or all, until each is there."""
        chosen = [self.parts[name] for name in names or self.parts]
        for part in chosen:
            part.start()
        for part in chosen:
            part.wait()

    def kill(self, *names: str) -> None:
        for name in names or self.parts:
            self.parts[name].kill()

    def restart_all(self) -> None:
        """Every process of it goes away at once, with no word to any, and comes back. Not S3's, which holds all it has
        in memory: it stands for somebody else's."""
        names = [name for name in self.parts if name != "s3"]
        self.kill(*names)
        self.postgres.kill()
        self.postgres.begin()
        self.start(*names)


@contextmanager
def place(workspace: Workspace, of_each: int = 2) -> Iterator[Place]:
    """Everything around a project, started; ``of_each``: replicas, which wait for the first deployment, and Dask's
    workers. Raises NoPostgres where there is no PostgreSQL."""
    with ExitStack() as stack:
        postgres = PostgresServer.start()
        stack.callback(postgres.stop)
        receiver = stack.enter_context(Receiver())
        stack.callback(receiver.shutdown)
        replicas = [f"service-{number}" for number in range(1, of_each + 1)]
        ports = {name: free_port() for name in ("prefect", "dask", "s3", "console", *replicas)}
        around = _environment(workspace, postgres, receiver, ports)
        made = Place(workspace, postgres, receiver, ports, around, replicas)
        made.parts = {part.name: part for part in _parts(made)}
        stack.callback(made.kill)
        made.start()
        yield made


def _environment(
    workspace: Workspace, postgres: PostgresServer, receiver: Receiver, ports: Mapping[str, int]
) -> dict[str, str]:
    prefect = new_database(postgres.url).replace("postgresql://", "postgresql+asyncpg://")
    return {
        **workspace.environment(),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LETHE_LEDGER_URL": new_database(postgres.url),
        "LETHE_LOG": "json",
        "LETHE_DASK_ADDRESS": f"tcp://127.0.0.1:{ports['dask']}",
        "LETHE_WEBHOOK_URL": f"{receiver.url}/hook",
        "PREFECT_API_URL": f"http://127.0.0.1:{ports['prefect']}/api",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect,
        # What is due begins a second later, not ten.
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _parts(place: Place) -> Iterator[Part]:
    python, root, ports = sys.executable, place.workspace.root, place.ports

    def part(name: str, is_there: Callable[[], bool], *command: str, **more: str) -> Part:
        return Part(name, command, root, {**place.environment, **more}, is_there)

    def listens(name: str) -> Callable[[], bool]:
        return lambda: _listens(ports[name])

    yield part("s3", listens("s3"), python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(ports["s3"]))
    yield part(
        *("prefect", lambda: place.asked("health") is True),
        *(python, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(ports["prefect"])),
    )
    yield part(
        *("dask", listens("dask"), python, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"),
        *("--host", "127.0.0.1", "--port", str(ports["dask"])),
        **CALM,
    )
    of_each = len(place.replicas)
    for number in range(1, of_each + 1):
        all_are_there = lambda: _dask_workers(place) == of_each  # noqa: E731
        yield part(f"dask-worker-{number}", all_are_there, python, "-m", "lethe.cli", "worker")
    yield part("scheduled", lambda: _has_worker(place), "sh", str(shipped_root() / "deploy" / "scheduled.sh"))
    yield part(
        *("console", listens("console"), python, "-m", "lethe.cli", "console", "--port", str(ports["console"])),
        LETHE_API_KEYS=f"privacy-officer:{OFFICER_KEY}",
    )
    for name in place.replicas:
        command = (python, "-m", "lethe.cli", "follow", "--port", str(ports[name]))
        yield part(name, lambda name=name: _serves(place, name), *command)


def _serves(place: Place, name: str) -> bool:
    """From models, or nothing is deployed yet."""
    if not place.workspace.deployment.is_file():
        return True
    ready = asking.get(f"{place.address(name)}/readyz").json()
    return bool(ready == {"ready": True, "answers": "models"})


def _has_worker(place: Place) -> bool:
    """Whether one has been heard of since this part was started."""
    workers = place.asked("work_pools/lethe/workers/filter", {})
    return any(one["status"] == "ONLINE" for one in workers)


def _dask_workers(place: Place) -> int:
    from distributed import Client

    with Client(place.environment["LETHE_DASK_ADDRESS"], timeout=2, set_as_default=False) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
