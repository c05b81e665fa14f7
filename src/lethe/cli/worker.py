"""``lethe worker``: a worker of a Dask cluster that computes as runs of this project do."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from importlib.util import find_spec
from typing import Annotated

import typer

from lethe.cli.common import workspace
from lethe.errors import ConfigError, Unreachable

ANSWERS_IN = 30.0
"""Seconds that a scheduler has to come up, as long as a worker of Dask's would try."""

CALM = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}
"""A worker's calls last for seconds and are asked for now and then: what Dask measures fifty times a second for the
dashboard, which is off, is most of what one that waits computes. Whoever has set these keeps theirs."""


def worker(
    address: Annotated[
        str | None, typer.Argument(help="The scheduler; default: LETHE_DASK_ADDRESS, or training.dask_address.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Sub-models trained at once here, each by a process.")] = 1,
) -> None:
    """Serve a Dask scheduler as a worker, in this project's folder and environment, until it goes away or Ctrl-C."""
    here = workspace()

    from lethe.config.params import DASK_ADDRESS, Params
    from lethe.learning.runner.by_params import ADDRESS

    named = address or os.environ.get(ADDRESS) or Params.read(here.params).training.dask_address
    if named is None or not re.fullmatch(DASK_ADDRESS, named):
        raise ConfigError(
            f"address: {named or 'none is named'}: must be a scheduler's, tcp://HOST:PORT or tls://HOST:PORT"
        )
    if find_spec("distributed") is None:
        raise ConfigError("worker: the package distributed is not installed; install lethe-recsys[dask]")
    # One numeric thread and one call a process, as everywhere; no limit that would end a training that fits.
    options = {
        "--nworkers": str(processes),
        "--nthreads": "1",
        "--memory-limit": "0",
        "--death-timeout": "60",
        "--local-directory": str(here.temporary),
        "--preload": "lethe.learning.runner.worker",
    }
    command = [sys.executable, "-m", "distributed.cli.dask_worker", named, "--no-dashboard"]
    for option, value in options.items():
        command += [option, value]
    _must_answer(named)
    here.temporary.mkdir(parents=True, exist_ok=True)
    os.execve(sys.executable, command, {**CALM, **here.environment()})


def _must_answer(address: str) -> None:
    """Raises Unreachable where nobody listens: Dask would say so by a traceback."""
    host, _, port = address.partition("://")[2].rpartition(":")
    deadline = time.monotonic() + ANSWERS_IN
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_IN).close()
        except (OSError, OverflowError):
            if time.monotonic() < deadline:
                time.sleep(min(0.5, ANSWERS_IN))
                continue
            raise Unreachable(f"address: no scheduler answers at {address}; start one, or name another") from None
        return
