"""``lethe worker``: a process that serves a named scheduler, and computes as the runs that ask it do."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from distributed import LocalCluster

from lethe.cli import worker as command
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.errors import Unreachable
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


@pytest.mark.parametrize("port", ["1", "99999"])
def test_where_no_scheduler_answers_it_is_one_line(tiny: Workspace, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.chdir(tiny.root)
    monkeypatch.setattr(command, "ANSWERS_IN", 0.01)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("a worker was started"))
    for host in ("127.0.0.1", "[::1]"):
        with pytest.raises(
            Unreachable, match=rf"^address: no scheduler answers at tcp://.*:{port}; start one, or name"
        ):
            command.worker(f"tcp://{host}:{port}")


def test_one_that_comes_up_while_it_is_asked_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        later, connect = [OSError("refused")], socket.create_connection

        def connected(*there: Any, **how: Any) -> socket.socket:
            if later:
                raise later.pop()
            return connect(*there, **how)

        monkeypatch.setattr(socket, "create_connection", connected)
        monkeypatch.setattr(time, "sleep", lambda _: None)
        command._must_answer(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    assert later == []
