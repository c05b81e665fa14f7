"""Warm processes for the workspaces of tests (see lethe.core.warm): DVC is imported once, not with each command.

``python -m tests.warm`` is a process that has imported it and forks off it, as a run does, a warm process for each
workspace that is named to it. Where none can be made the commands run as ever.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from lethe.core import warm
from lethe.core.workspace import Workspace

# What is under test changes with every phase of one; no command reads it.
warm._OF_A_PROCESS.add("PYTEST_CURRENT_TEST")
KEPT = 8
"""Warm processes at once: as many workspaces as a test may have, and some more."""


def keep_warm(workspace: Workspace) -> Workspace:
    """The workspace, whose DVC commands from now on are forks of a process that has imported DVC. To be called when the
    environment of those commands is set."""
    started = _started()
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(json.dumps([str(workspace.root), workspace.environment()]) + "\n")
    started.stdin.flush()
    started.stdout.readline()
    return workspace


@cache
def _started() -> subprocess.Popen[str]:
    environment = Workspace(Path(tempfile.gettempdir())).environment()
    command = [sys.executable, "-m", "tests.warm"]
    started = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(started.communicate)
    return started


def _serve() -> None:
    """A workspace and an environment a line; each is answered with an empty line. It all ends with the last line."""
    for module in ("dvc.cli", "dvc.repo", "dvc.commands.repro", "dvc.commands.gc", "dvc.commands.add"):
        importlib.import_module(module)
    kept: list[warm.Warm] = []

    def forget_the_others() -> None:
        # Each ends when nobody holds its lifeline any more.
        for other in kept:
            os.close(other._lifeline)

    for line in sys.stdin:
        root, environment = json.loads(line)
        os.environ.clear()
        os.environ.update(environment)
        workspace = Workspace(Path(root))
        workspace.state.mkdir(parents=True, exist_ok=True)
        if begun := warm.begin(workspace.settings(), forget_the_others):
            kept.append(begun)
        if len(kept) > KEPT:
            kept.pop(0).end()
            os.waitpid(-1, os.WNOHANG)
        print(flush=True)


if __name__ == "__main__":
    _serve()
