"""DVC, always as a subprocess and never twice at once: its own lock doesn't keep ``gc`` away from a running stage."""

from __future__ import annotations

from filelock import FileLock

from lethe.core.process import run_module
from lethe.core.workspace import Workspace


def dvc(workspace: Workspace, *arguments: str) -> str:
    """Run ``dvc`` with these arguments in the workspace; returns its output. Raises DataError with its fault."""
    workspace.state.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.state / "dvc.lock"):
        return run_module(workspace, "dvc", *arguments)


def repro(workspace: Workspace) -> str:
    """Bring every data stage up to date."""
    return dvc(workspace, "repro")
