"""How a flow runs: alone in its workspace, and as a command whose errors are one line."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from lethe.core import process
from lethe.core.format import must_fit
from lethe.core.workspace import Workspace
from lethe.errors import LetheError

P = ParamSpec("P")
R = TypeVar("R")


def alone(run: Callable[P, R]) -> Callable[P, R]:
    """Run while no other flow does; a flow that another one calls shares its lock (see lethe.core.process)."""

    @functools.wraps(run)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
        workspace = Workspace.find()
        must_fit(workspace)
        with process.alone(workspace):
            return run(*args, **kwargs)

    return waiting


def command(run: Callable[[], object]) -> None:
    """Run a flow; an error a user can mend, a full or read-only disk among them, is one line on standard error and exit
    code 1."""
    # Prefect's queue of events says at exit what it still holds: noise after our one line.
    logging.getLogger("EventsWorker").setLevel(logging.CRITICAL)
    try:
        run()
    except LetheError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror or str(error).splitlines()[0]}")
