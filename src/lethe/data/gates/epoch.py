"""What was counted when an epoch of a dataset began: later data are held against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lethe.core.canonical import readable_json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace


def read_epoch(workspace: Workspace, dataset: str) -> dict[str, Any]:
    """``epoch``: its number; ``interactions``: rows of the dataset; ``train``: training rows for each digest of a
    sharding."""
    path = _path(workspace, dataset)
    return {"epoch": 1, **(json.loads(path.read_bytes()) if path.is_file() else {"train": {}})}


def current_epoch(workspace: Workspace, dataset: str, number: int) -> dict[str, Any]:
    """What was counted when epoch ``number`` began; nothing, where it begins now."""
    epoch = read_epoch(workspace, dataset)
    return epoch if epoch["epoch"] == number else {"epoch": number, "train": {}}


def write_epoch(workspace: Workspace, dataset: str, epoch: dict[str, Any]) -> None:
    write_whole(_path(workspace, dataset), readable_json(epoch))


def _path(workspace: Workspace, dataset: str) -> Path:
    return workspace.state / "epochs" / f"{dataset}.json"
