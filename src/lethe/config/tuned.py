"""params/DATASET/MODEL.yaml: what a search found for a model on a dataset, in place of what params.yaml sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lethe.config.section import read_yaml
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError


def tuned_file(workspace: Workspace, dataset: str, model: str) -> Path:
    return workspace.root / "params" / dataset / f"{model}.yaml"


def tuned_models(workspace: Workspace, dataset: str) -> list[str]:
    """The models for which there is such a file."""
    return sorted(path.stem for path in tuned_file(workspace, dataset, "").parent.glob("*.yaml"))


def read_tuned(workspace: Workspace, dataset: str, model: str) -> dict[str, Any]:
    """The options that were found; none where nothing was searched. Raises ConfigError."""
    path = tuned_file(workspace, dataset, model)
    values = read_yaml(path) if path.is_file() else None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path.relative_to(workspace.root)}: {values!r} must be options and their values, such as embedding_dim:"
            " 64; mend it, or remove the file"
        )
    return values
