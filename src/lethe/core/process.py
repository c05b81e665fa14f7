"""Our own Python modules as subprocesses, with the workspace's environment and one-line errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from lethe.core.workspace import Workspace
from lethe.errors import DataError


@contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """While no other process of ours changes or judges the workspace; within one process it may be entered again.

    A forget run beside a training would purge what the training is building. Who finds a stranger at work says so on
    standard error and waits.
    """
    workspace.state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.state / "flow.lock", thread_local=False, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("waiting: another flow is running in this workspace", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_module(workspace: Workspace, module: str, *arguments: str) -> str:
    """Run ``python -m module arguments`` in the workspace and return its output. Raises DataError with its fault."""
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=workspace.root,
        env=workspace.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode != 0:
        raise DataError(_fault(result.stdout) or f"{module} {' '.join(arguments)}: exit code {result.returncode}")
    return result.stdout


def run_flow(workspace: Workspace, name: str, *arguments: str) -> int:
    """Run the flow module ``flows.<name>``, its output to ours; returns its exit code (it has said its one line)."""
    # Prefect's temporary server doesn't make the folder of its own database.
    workspace.prefect_home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"flows.{name}", *arguments]
    return subprocess.run(command, cwd=workspace.root, env=workspace.environment()).returncode


def _fault(output: str) -> str:
    # What we print ourselves is one line "error: ..."; DVC's own errors begin with ERROR.
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for prefix in ("error: ", "ERROR: "):
        for line in lines:
            if line.startswith(prefix):
                return line.removeprefix(prefix)
    return lines[-1] if lines else ""
