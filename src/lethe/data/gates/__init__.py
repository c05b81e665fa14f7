"""The gates between data and training; the only place that imports great_expectations."""

from __future__ import annotations

import subprocess
import sys

from lethe.core.workspace import Workspace
from lethe.errors import ValidationError


def validate_dataset(workspace: Workspace, dataset: str) -> None:
    """Judge a dataset's tables, split and shards in a process of its own, which keeps a heavy import out of this one.

    Raises ValidationError with column, rule and count of the first gate that failed; the reports are written anyway.
    """
    done = subprocess.run(
        [sys.executable, "-m", "lethe.data.gates", dataset],
        cwd=workspace.root,
        env=workspace.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return
    said = done.stderr.strip().splitlines() or ["no message"]
    if said[-1].startswith("error: "):
        raise ValidationError(said[-1].removeprefix("error: "))
    raise RuntimeError(f"validation of {dataset} crashed: {said[-1]}")
