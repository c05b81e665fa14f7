"""What deploy/Procfile names, started by honcho for real, and stopped: nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import yaml

from lethe.core.format import mark
from lethe.core.workspace import Workspace
from lethe.forgetting.standing import ledger
from tests.conftest import ROOT
from tests.prefect_server import free_port
from tests.serving.conftest import make_workspace
from tests.serving.test_server import released

LONG = 150


def project(folder: Path) -> Workspace:
    """A workspace with a deployment of one popular model, and the files that every project has."""
    workspace = make_workspace(folder)
    mark(workspace)
    for name in ("flows", "prefect.yaml", "dvc.yaml"):
        path = workspace.root / name
        path.unlink(missing_ok=True)
        path.symlink_to(ROOT / name)
    params = yaml.safe_load(workspace.params.read_text())
    params["serving"] = {"workers": 1}
    workspace.params.write_text(yaml.safe_dump(params))
    released(workspace, {"a": 0})
    ledger(workspace)
    return workspace


def up(workspace: Workspace, ports: dict[str, int], log: Path) -> subprocess.Popen[bytes]:
    around = {
        **workspace.environment(),
        **{name: str(port) for name, port in ports.items()},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "PREFECT_API_URL": f"http://127.0.0.1:{ports['PREFECT_PORT']}/api",
        "LETHE_DEPLOY": str(ROOT / "deploy"),
    }
    command = [
        sys.executable,
        "-m",
        "honcho",
        "--app-root",
        ".",
        "--procfile",
        str(ROOT / "deploy" / "Procfile"),
        "start",
    ]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=workspace.root, env=around, stdout=output, stderr=output)


def wait_for(what: str, holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if holds():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{what}: never; {log.read_text()}")


def test_everything_starts_on_this_machine_and_nothing_is_left(tmp_path: Path) -> None:
    workspace, log = project(tmp_path / "workspace"), tmp_path / "up.log"
    ports = {name: free_port() for name in ("PREFECT_PORT", "LETHE_PORT_1", "LETHE_PORT_2")}
    process = up(workspace, ports, log)

    def ready(name: str) -> bool:
        return httpx.get(f"http://127.0.0.1:{ports[name]}/readyz", trust_env=False).json()["ready"] is True

    def scheduled() -> bool:
        api = f"http://127.0.0.1:{ports['PREFECT_PORT']}/api"
        workers = httpx.post(f"{api}/work_pools/lethe/workers/filter", json={}, trust_env=False).raise_for_status()
        return [one["status"] for one in workers.json()] == ["ONLINE"]

    try:
        for name in ("LETHE_PORT_1", "LETHE_PORT_2"):
            wait_for(name, lambda name=name: ready(name), process, log)  # type: ignore[misc]
        wait_for("a worker", scheduled, process, log)
    finally:
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.wait(LONG)
    _, left = psutil.wait_procs(started, timeout=20)
    assert [" ".join(one.cmdline()) for one in left] == []
