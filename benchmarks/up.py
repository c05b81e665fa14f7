"""Everything that deploy/Procfile names, started on this machine by honcho and stopped again: does it come up, from
Prefect's server to a worker that is there for its runs and two replicas that answer, and is anything left?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import httpx
import psutil

from benchmarks import asking
from benchmarks.page import grid, page
from benchmarks.prefect_server import free_port
from benchmarks.serving import Size, made
from lethe.core.format import mark
from lethe.core.shipped import shipped_root
from lethe.core.workspace import Workspace
from lethe.errors import LetheError
from lethe.forgetting.standing import ledger

SIZE = Size(400, 200)
LONG = 300
"""Seconds that anything may take."""
REPLICAS = ("LETHE_PORT_1", "LETHE_PORT_2")


class Came(TypedDict):
    """Seconds from the start until it was there, and what is left after the end."""

    replica_1: float
    replica_2: float
    worker: float
    stopped: float
    deployments: int
    left: int


def measure(folder: Path) -> Came:
    """Start, wait for all, stop."""
    workspace, log = project(folder / "project"), folder / "up.log"
    ports = {name: free_port() for name in ("PREFECT_PORT", "LETHE_CONSOLE_PORT", *REPLICAS)}
    api, began = f"http://127.0.0.1:{ports['PREFECT_PORT']}/api", time.perf_counter()
    process = _start(workspace, ports, api, log)
    try:
        ready = [_seconds(partial(_is_ready, ports[name]), process, began, log) for name in REPLICAS]
        worker = _seconds(partial(_has_worker, api), process, began, log)
        deployments = len(_asked(f"{api}/deployments/filter", {}))
    finally:
        children, ends = psutil.Process(process.pid).children(recursive=True), time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.wait(LONG)
    _, left = psutil.wait_procs(children, timeout=20)
    stopped = round(time.perf_counter() - ends, 1)
    return Came(
        replica_1=ready[0], replica_2=ready[1], worker=worker, stopped=stopped, deployments=deployments, left=len(left)
    )


def project(folder: Path) -> Workspace:
    """A workspace that serves a model, with the files that every project has."""
    workspace = made(folder, SIZE, workers=1)
    mark(workspace)
    for name in ("flows", "prefect.yaml"):
        (folder / name).symlink_to(shipped_root() / name)
    ledger(workspace)
    return workspace


def _start(workspace: Workspace, ports: dict[str, int], api: str, log: Path) -> subprocess.Popen[bytes]:
    deploy = shipped_root() / "deploy"
    environment = {
        **workspace.environment(),
        **{name: str(port) for name, port in ports.items()},
        "PREFECT_API_URL": api,
        "LETHE_DEPLOY": str(deploy),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "honcho", "--app-root", ".", "--procfile", str(deploy / "Procfile"), "start"]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=workspace.root, env=environment, stdout=output, stderr=output)


def _seconds(holds: Callable[[], bool], process: subprocess.Popen[bytes], began: float, log: Path) -> float:
    """Since the start, when it holds. Raises LetheError where the processes end, or it takes too long."""
    while time.perf_counter() - began < LONG and process.poll() is None:
        try:
            if holds():
                return round(time.perf_counter() - began, 1)
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise LetheError(f"up: it didn't come; {' '.join(log.read_text().splitlines()[-3:])}")


def _is_ready(port: int) -> bool:
    ready = asking.get(f"http://127.0.0.1:{port}/readyz").json()
    return bool(ready == {"ready": True, "answers": "models"})


def _has_worker(api: str) -> bool:
    return [one["status"] for one in _asked(f"{api}/work_pools/lethe/workers/filter", {})] == ["ONLINE"]


def _asked(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = asking.post(url, json=body).raise_for_status().json()
    return rows


def report(came: Came, command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    said = (
        "deploy/Procfile by honcho on this machine: Prefect's server, what is scheduled, two replicas of the service."
    )
    rows = [
        ("replicas answer from models", f"{came['replica_1']}, {came['replica_2']}"),
        (f"a worker waits for the runs of {came['deployments']} deployments", came["worker"]),
        (f"all ended after SIGTERM ({came['left']} processes left)", f"{came['stopped']} from then"),
    ]
    text = page("up", f"`{command}`", said, grid(("what", "seconds from the start"), rows))
    return {"table": "up", "command": command, **came}, text
