"""Sub-models as files, put together into an ensemble as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from lethe.config.section import Section
from lethe.core.random import Stream
from lethe.learning.ensemble import Ensemble
from lethe.learning.training import History
from lethe.learning.weighted import SubModel
from lethe.models.parts.base import Config, Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

Fit = Callable[..., tuple[Ensemble, History]]
"""(sub_models, train, config, stream) and, where an aggregator is ``on_device``, the device."""


def read_sub_model(name: str, folder: Path, model: type[Model], config: Config) -> SubModel:
    """A sub-model that ``learning.sub_model`` wrote, ready to score."""
    catalogue = Catalogue.read(folder)
    built = model(config, catalogue.shape)
    built.load_state_dict(load_file(folder / "weights.safetensors"))
    return SubModel(name, built.eval(), catalogue)


def write_ensemble(
    folder: Path,
    sub_models: Sequence[SubModel],
    rows: Interactions,
    fit: Fit,
    config: Section,
    stream: Stream,
    *on: torch.device,
) -> None:
    """Fit an aggregator on all remaining training rows, ``on`` a device where it takes one, and write the ensemble with
    its history."""
    ensemble, history = fit(sub_models, rows, config, stream, *on)
    ensemble.save(folder)
    (folder / "history.json").write_text(json.dumps(history))
