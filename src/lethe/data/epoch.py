"""Beginning a new epoch of a dataset: shards are laid anew, winners chosen anew, and rows counted anew.

Within an epoch a partition that looked at the data is frozen, and what was chosen on the data stays, so that forgetting
is local. What forgotten rows may still have decided (the residues of certificates) ends when the next one begins.
"""

from __future__ import annotations

from typing import Any

from lethe.config.edit import edit_params
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError


def begin_epoch(workspace: Workspace, dataset: str | None) -> tuple[str, int]:
    """Count the dataset's epoch up in params.yaml; returns its name and the number of the epoch that begins.

    The data stages, the gates and promotion compare that number with the one they began with, so that nothing is half
    done: the next train does all of it. Raises ConfigError.
    """
    params = Params.read(workspace.params)
    names = params.pipeline.datasets
    if dataset is None and len(names) > 1:
        raise ConfigError(f"dataset: must be named where there are several: {', '.join(names)}")
    name = dataset or names[0]
    if name not in params.datasets:
        raise ConfigError(f"dataset: unknown {name!r}; known: {', '.join(params.datasets)}")
    number = params.datasets[name].epoch + 1

    def begin(document: Any) -> None:
        document["datasets"][name]["epoch"] = number

    edit_params(workspace.params, begin)
    return name, number
