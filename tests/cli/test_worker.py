"""``lethe worker``: a process that serves a named scheduler, and computes as the runs that ask it do."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from distributed import LocalCluster

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.learning.runner import cluster
from lethe.learning.runner.by_params import ADDRESS, runner
from tests.conftest import ROOT


def start(workspace: Workspace, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lethe.cli", "worker", *arguments]
    unset = {"OMP_NUM_THREADS", "MKL_CBWR", "NUMBA_NUM_THREADS"}
    around = {name: value for name, value in os.environ.items() if name not in unset}
    around["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT}"
    return subprocess.Popen(command, cwd=workspace.root, env=around, text=True, stdout=-1, stderr=subprocess.STDOUT)


def test_a_worker_that_it_starts_is_one_that_a_run_takes(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.params.write_text(tiny.params.read_text() + "training: {runner: dask}\n")
    options = {"dashboard_address": "127.0.0.1:0", "processes": False, "protocol": "tcp", "host": "127.0.0.1"}
    monkeypatch.setattr(cluster, "ANSWERS_IN", 120.0)
    with LocalCluster(n_workers=0, silence_logs=logging.CRITICAL, **options) as empty:
        monkeypatch.setenv(ADDRESS, empty.scheduler_address)
        worker = start(tiny, "--processes", "1")
        try:
            with runner(tiny, Params.read(tiny.params)) as place:
                assert place.call(os.getpid) not in (os.getpid(), worker.pid)
        finally:
            worker.terminate()
            said, _ = worker.communicate(timeout=60)
    assert "user-0" not in said


@pytest.mark.parametrize("address", [[], ["here:8786"]])
def test_without_a_scheduler_s_address_it_is_one_line(tiny: Workspace, address: list[str]) -> None:
    worker = start(tiny, *address)
    said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 1
    named = address[0] if address else "none is named"
    assert said == f"error: address: {named}: must be a scheduler's, tcp://HOST:PORT or tls://HOST:PORT\n"
