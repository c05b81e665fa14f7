"""Run a flow as a command: alone in its workspace, an error a user can mend is one line and exit code 1."""

from __future__ import annotations

import sys
from collections.abc import Callable

from filelock import FileLock, Timeout

from lethe.errors import LetheError
from lethe.workspace import Workspace


def command(run: Callable[[], object]) -> None:
    """Run a flow while no other runs: a forget run beside a training could purge what the training is building."""
    try:
        workspace = Workspace.find()
        workspace.state.mkdir(parents=True, exist_ok=True)
        with FileLock(workspace.state / "flow.lock", timeout=0):
            run()
    except Timeout:
        sys.exit("error: flow.lock: another flow is running in this workspace; wait for it to end")
    except LetheError as error:
        sys.exit(f"error: {error}")
