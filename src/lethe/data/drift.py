"""reports/drift/DATASET.json: how far the data of this run are from those that their epoch began with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress

from lethe.config.params import Params
from lethe.core.reports import report_path, write_report
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from lethe.tables.drift import Drift, Shape, moved

FOLDER = "drift"


def write_drift(workspace: Workspace, params: Params, dataset: str, epoch: int, then: Shape, now: Shape) -> Drift:
    """Compare a dataset's shapes of its epoch's beginning and of now, and report it."""
    limits = params.drift
    drift = Drift(dataset=dataset, epoch=epoch, moved=moved(then, now, psi=limits.psi, ks=limits.ks))
    write_report(workspace, f"{FOLDER}/{dataset}", drift.plain())
    for path in (workspace.reports / FOLDER).glob("*.json"):
        if path.stem not in params.datasets:
            path.unlink(missing_ok=True)
    return drift


def read_drift(workspace: Workspace, datasets: Iterable[str]) -> list[Drift]:
    """The last report of each of these datasets; one that is missing or can't be read is left out."""
    there = []
    for path in (report_path(workspace, f"{FOLDER}/{dataset}") for dataset in datasets):
        with suppress(ConfigError, ValueError, FileNotFoundError):
            there.append(Drift.parse(json.loads(path.read_bytes()), path.name))
    return there
