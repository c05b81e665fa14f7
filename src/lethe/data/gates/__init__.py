"""The gates between data and training; the only place that imports great_expectations."""

from __future__ import annotations

from lethe.core.process import run_module
from lethe.core.workspace import Workspace
from lethe.errors import ValidationError


def validate_dataset(workspace: Workspace, dataset: str) -> None:
    """Judge a dataset's tables, split and shards in a process of its own, which keeps a heavy import out of this one.

    Raises ValidationError with column, rule and count of the first gate that failed; the reports are written anyway.
    """
    run_module(workspace, "lethe.data.gates", dataset, error=ValidationError)
