"""What an interrupted run left: temporary files whose writer is gone, half-built artifacts, archives already read."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lethe.core.elsewhere import is_any_at_work
from lethe.core.workspace import Workspace

_OF_WRITER = re.compile(r"\..*[.-](\d+)-\w+(\.tmp)?")
"""See ``temporary_beside`` and ``ArtifactStore.make``: the name says whose it is."""
_ARCHIVE = "ml-*.zip"
"""See ``lethe.data.sources.movielens``: gone once its copy is made."""


def remove_leftovers(workspace: Workspace) -> int:
    """Remove them and tell how many there were. Only while no stage of this workspace runs."""
    left = list(_leftovers(workspace))
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(left)


def hidden_outputs(data: Path) -> list[Path]:
    """What is hidden in folders of datasets, but for DVC's own .gitignore files; not what users hide beside them."""
    folders = [path for path in data.glob("*") if not path.name.startswith(".")]
    hidden = {path for folder in folders for path in folder.rglob(".*") if path.name != ".gitignore"}
    return sorted(path for path in hidden if not hidden & set(path.parents))


def _leftovers(workspace: Workspace) -> Iterator[Path]:
    data = workspace.root / "data"
    # No stage runs, so all that is hidden among the outputs is left over.
    yield from hidden_outputs(data)
    for archive in sorted(data.glob(f"*/{_ARCHIVE}")):
        if archive.with_name("source.parquet.origin").is_file():
            yield archive
    for folder in (workspace.root, workspace.state, workspace.suppression.parent, workspace.certificates):
        yield from _abandoned(folder.glob(".*"))
    for folder in (workspace.reports, workspace.root / "params"):
        yield from _abandoned(folder.rglob(".*"))
    # Whether a writer on another machine is still there its number doesn't tell.
    if not is_any_at_work(workspace):
        yield from _abandoned(workspace.artifacts.rglob(".*"))


def _abandoned(paths: Iterator[Path]) -> Iterator[Path]:
    """Those whose name is a writer's who isn't there any more."""
    for path in sorted(paths):
        writer = _OF_WRITER.fullmatch(path.name)
        if writer and not _alive(int(writer[1])):
            yield path


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
