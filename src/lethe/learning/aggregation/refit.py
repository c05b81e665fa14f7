"""Refit, for two-tower sub-models: bring the shards into one space, then a few exact sweeps over all rows. Ours.

The start is the sub-models' vectors after rebalancing and orthogonal Procrustes (``align``), each entity's mean
weighted by how many of its rows a shard saw. Alternating least squares (``models.solvers.als``) then starts there,
on all remaining rows: a few sweeps do what takes many from a random start.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from lethe.core.random import Stream
from lethe.learning import training
from lethe.learning.aggregation.align import align, stack
from lethe.learning.aggregation.ensemble import Ensemble, FactorEnsemble, SubModel
from lethe.learning.aggregation.stacked import SquareLoss
from lethe.learning.training import History
from lethe.models.solvers.als import als
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions


class Config(SquareLoss):
    sweeps: int = Field(2, ge=0)
    """Passes over item rows, then user rows."""
    steps: int = Field(3, ge=1)
    """Conjugate-gradient steps for a row."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream
) -> tuple[Ensemble, History]:
    """Align the sub-models and sweep. Raises ConfigError for sub-models without two towers."""
    catalogue = Catalogue.of(train)
    with training.one_thread():
        users, items = (tower.mean().astype(np.float32) for tower in align(*stack(sub_models, train)))
        losses = als(
            catalogue.encode(train),
            users,
            items,
            negative_weights=np.full(len(items), config.negative_weight),
            dropout=config.dropout,
            reg=config.reg,
            sweeps=config.sweeps,
            steps=config.steps,
        )
        history = [{"epoch": epoch, "loss": loss} for epoch, loss in enumerate(losses)]
    return FactorEnsemble(catalogue, users, items, config.fold_in(items)), history
