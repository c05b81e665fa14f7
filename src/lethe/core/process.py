"""Our own Python modules as subprocesses, with the workspace's environment and one-line errors."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lethe.core.workspace import Workspace
from lethe.errors import DataError, LetheError


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


def run_module(workspace: Workspace, module: str, *arguments: str, error: type[LetheError] = DataError) -> str:
    """Run ``python -m module arguments`` in the workspace and return its output. Raises ``error`` with its fault."""
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=workspace.root,
        env=workspace.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode != 0:
        raise error(_fault(result.stdout) or _crash(" ".join([module, *arguments]), result.returncode, result.stdout))
    return result.stdout


def run_flow(workspace: Workspace, name: str, *arguments: str) -> int:
    """Run the flow module ``flows.<name>``, its output to ours; returns its exit code (it has said its one line)."""
    # Prefect's temporary server doesn't make the folder of its own database.
    workspace.prefect_home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"flows.{name}", *arguments]
    return subprocess.run(command, cwd=workspace.root, env=workspace.environment()).returncode


def _fault(output: str) -> str:
    """The one line that a process ended with on purpose; empty if it didn't."""
    # What we print ourselves is "error: ..."; DVC's own errors begin with ERROR.
    lines = [line.strip() for line in output.splitlines()]
    for prefix in ("error: ", "ERROR: "):
        for line in lines:
            if line.startswith(prefix):
                return line.removeprefix(prefix)
    return ""


def _crash(command: str, code: int, output: str) -> str:
    """What is known of a process that broke down: how it ended, and of a traceback the exception's kind and place.

    Never its text, which may hold a value of a row.
    """
    if code < 0:
        return f"{command}: killed by signal {-code}"
    trace = output.rpartition("Traceback (most recent call last):")[2]
    places = re.findall(r'^  File "([^"]+)", line (\d+)', trace, re.MULTILINE)
    kinds = re.findall(r"^([A-Za-z_][\w.]*)(?::|$)", trace, re.MULTILINE)
    if places and kinds:
        file, line = places[-1]
        return f"{command}: broke down with {kinds[0]} at line {line} of {Path(file).name}; run it to see all of it"
    return f"{command}: exit code {code}; run it to see why"
