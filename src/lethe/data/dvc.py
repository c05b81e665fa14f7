"""DVC, always as a subprocess and never twice at once: its own lock doesn't keep ``gc`` away from a running stage."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import yaml
from filelock import FileLock

from lethe.config.params import Params
from lethe.config.section import read_yaml
from lethe.core import logs
from lethe.core.process import run_module
from lethe.core.workspace import Workspace
from lethe.core.yaml_text import values_of
from lethe.data.dvc_objects import remember
from lethe.data.leftovers import remove_leftovers


def dvc(workspace: Workspace, *arguments: str) -> str:
    """Run ``dvc`` with these arguments in the workspace; returns its output. Raises DataError with its fault."""
    workspace.state.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.state / "dvc.lock"):
        _mend(workspace)
        return run_module(workspace, "dvc", *arguments)


def repro(workspace: Workspace, datasets: Sequence[str] | None = None) -> str:
    """Bring every data stage up to date, or those of some datasets and what hangs together with them; what an
    interrupted run left goes first.

    DVC writes all of dvc.lock again after each stage, so a stage that need not run is worth more than it takes itself.
    """
    workspace.state.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.state / "dvc.lock"):
        _mend(workspace)
        left = remove_leftovers(workspace)
    if left:
        logs.say(f"removed {left} files and folders that an interrupted run had left")
    # Before and after: what is replaced now has to be known when it is to go.
    remember(workspace)
    said = dvc(workspace, "repro", *_pipelines(workspace, datasets or ()))
    remember(workspace)
    return said


def _pipelines(workspace: Workspace, datasets: Sequence[str]) -> list[str]:
    """What tells ``dvc repro`` of these datasets alone; nothing where one of them, or dvc.yaml, isn't as we know it."""
    stages = read_yaml(workspace.root / "dvc.yaml").get("stages", {})
    if not datasets or "matrix" not in stages.get("source", {}):
        return []
    known = Params.read(workspace.params).pipeline.datasets
    # A whole pipeline, because a project may have stages of its own that hang on ours.
    return ["--pipeline", *(f"source@{name}" for name in datasets)] if {*datasets} <= {*known} else []


def _mend(workspace: Workspace) -> None:
    """DVC writes two of its files in place, so an interrupt can leave them empty or cut, and every later command fails.
    While no other DVC is at work such a file says nothing of worth: it is removed."""
    folder = workspace.root / ".dvc" / "tmp"
    if not all(_free(folder / name) for name in ("lock", "rwlock.lock")):
        return
    if not _says_who_works(folder / "rwlock"):
        (folder / "rwlock").unlink(missing_ok=True)
    if not _is_lock_of_stages(workspace.root / "dvc.lock"):
        # The stages run again, and write the same bytes again.
        (workspace.root / "dvc.lock").unlink(missing_ok=True)


def _free(lock: Path) -> bool:
    """Whether no DVC process holds this lock file."""
    with suppress(FileNotFoundError), lock.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _says_who_works(rwlock: Path) -> bool:
    """Whether a list of those who read or write outputs is whole and names one that is there."""
    try:
        told = json.loads(rwlock.read_bytes())
        entries = [*told.get("write", {}).values(), *(one for some in told.get("read", {}).values() for one in some)]
        return any(_is_dvc(int(entry["pid"])) for entry in entries)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def _is_dvc(process: int) -> bool:
    with suppress(psutil.Error):
        return any("dvc" in part for part in psutil.Process(process).cmdline())
    return False


def _is_lock_of_stages(path: Path) -> bool:
    if not path.is_file():
        return True
    try:
        return all(stage["cmd"] for stage in values_of(path.read_bytes())["stages"].values())
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        return False
