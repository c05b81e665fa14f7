"""The gates between data and training; the only place that imports great_expectations."""

from __future__ import annotations

from collections.abc import Sequence

from lethe.config.params import Params
from lethe.core import logs
from lethe.core.process import run_module
from lethe.core.workspace import Workspace
from lethe.data.gates.passed import has_passed
from lethe.errors import ValidationError


def validate_datasets(workspace: Workspace, datasets: Sequence[str]) -> list[str]:
    """Judge tables, split and shards of those datasets that are not as they were when they passed; returns which. One
    process of its own for all keeps a heavy import out of this one; there is none where nothing changed.

    Raises ValidationError with column, rule and count of the first gate that failed; the reports are written anyway.
    """
    params = Params.read(workspace.params)
    changed = [name for name in datasets if name not in params.datasets or not has_passed(workspace, params, name)]
    if changed:
        logs.say(f"gates: {', '.join(changed)}")
        run_module(workspace, "lethe.data.gates", *changed, error=ValidationError)
    return changed
