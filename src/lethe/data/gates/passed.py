"""What has passed the gates before, and is as it was then, isn't judged again.

A dataset is known by the digest of all that its gates look at: its tables, what the suppression list and params.yaml
say of it, the counts of its epoch, the gates' own code. Content decides, not times of files. Only that digest is kept,
behind the tables' own, which tell nothing of the rows; they go with the next data that pass.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from lethe.config.params import Params
from lethe.config.sharding import ROWS, laid_in
from lethe.core.canonical import digest_file, digest_json
from lethe.core.environment import code_digest
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.data.gates.epoch import current_epoch
from lethe.data.gates.table import GATES
from lethe.data.suppression import SuppressionList

_ENGINES = ("great-expectations", "pandas", "pyarrow")


def has_passed(workspace: Workspace, params: Params, dataset: str) -> bool:
    """Whether the gates let exactly this through before, and their reports are still there."""
    path = _path(workspace, dataset)
    if not path.is_file() or not all(page.exists() for page in pages(workspace, dataset)):
        return False
    tables, passed = tables_digest(workspace, params, dataset), path.read_text()
    # Of other tables nothing else need be asked: to read all code of the gates takes longest.
    return passed.startswith(tables) and passed == _known_by(workspace, params, dataset, tables)


def forget_passed(workspace: Workspace, dataset: str) -> None:
    """To be called before a dataset is judged: its reports are no longer those of what had passed."""
    _path(workspace, dataset).unlink(missing_ok=True)


def remember_passed(workspace: Workspace, params: Params, dataset: str, tables: str) -> None:
    """To be called once all gates have passed and the epoch's counts are written. ``tables``: ``tables_digest`` from
    before any of them was read."""
    write_whole(_path(workspace, dataset), _known_by(workspace, params, dataset, tables))
    for path in _path(workspace, dataset).parent.glob("*.sha256"):
        if path.stem not in params.datasets:
            path.unlink(missing_ok=True)


def tables_digest(workspace: Workspace, params: Params, dataset: str) -> str:
    """SHA-256 of every file that the data stages left for the gates to judge."""
    root, state = workspace.root / "data" / dataset, hashlib.sha256()
    shards = [workspace.shards(dataset, laid_in(name, of)) for name in params.pipeline.shardings for of in ROWS]
    folders = [workspace.ingested(dataset), workspace.split(dataset), *shards]
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        state.update(f"{path.relative_to(root)}:{digest_file(path)}\n".encode())
    return state.hexdigest()


def pages(workspace: Workspace, dataset: str) -> tuple[Path, Path, Path]:
    """The summary of a dataset, for people and for programs, and the folder of its Data Docs."""
    folder = workspace.reports / "validation"
    return folder / f"{dataset}.txt", folder / f"{dataset}.json", folder / "data_docs" / dataset


def _known_by(workspace: Workspace, params: Params, dataset: str, tables: str) -> str:
    return f"{tables} {_looked_at(workspace, params, dataset, tables)}\n"


def _looked_at(workspace: Workspace, params: Params, dataset: str, tables: str) -> str:
    listed = SuppressionList.read(workspace.suppression).entries
    return digest_json(
        {
            "tables": tables,
            "suppressed": [entry.line for entry in listed if entry.dataset == dataset],
            "params": [params.datasets[dataset].digest(), params.validation.digest()],
            "shardings": {name: params.shardings[name].digest() for name in params.pipeline.shardings},
            "epoch": current_epoch(workspace, dataset, params.datasets[dataset].epoch).plain(),
            "code": code_digest(*GATES.values()),
            "engines": {name: version(name) for name in _ENGINES},
        }
    )


def _path(workspace: Workspace, dataset: str) -> Path:
    return workspace.state / "gates" / f"{dataset}.sha256"
