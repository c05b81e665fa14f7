"""How a flow runs: alone in its workspace, and as a command whose errors are one line."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from filelock import FileLock, Timeout

from lethe.errors import LetheError
from lethe.workspace import Workspace

P = ParamSpec("P")
R = TypeVar("R")


def alone(run: Callable[P, R]) -> Callable[P, R]:
    """Run while no other flow does: a forget run beside a training would purge what the training is building.

    A flow that another one calls shares its lock. One that finds a stranger at work says so and waits.
    """

    @functools.wraps(run)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
        workspace = Workspace.find()
        workspace.state.mkdir(parents=True, exist_ok=True)
        lock = FileLock(workspace.state / "flow.lock", thread_local=False, is_singleton=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print("waiting: another flow is running in this workspace", file=sys.stderr)
            lock.acquire()
        try:
            return run(*args, **kwargs)
        finally:
            lock.release()

    return waiting


def command(run: Callable[[], object]) -> None:
    """Run a flow; an error a user can mend is one line on standard error and exit code 1."""
    # Prefect's queue of events says at exit what it still holds: noise after our one line.
    logging.getLogger("EventsWorker").setLevel(logging.CRITICAL)
    try:
        run()
    except LetheError as error:
        sys.exit(f"error: {error}")
