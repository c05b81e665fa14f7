"""Refit, for two-tower sub-models: bring the shards into one space, then a few exact sweeps over all rows. Ours.

The start is the sub-models' vectors after rebalancing and orthogonal Procrustes (``align``), each entity's mean
weighted by how many of its rows a shard saw. Alternating least squares (``models.solvers.als``) then starts there,
on all remaining rows: a few sweeps do what takes many from a random start.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field

from lethe.core.random import Stream
from lethe.learning import training
from lethe.learning.aggregation.align import align, stack
from lethe.learning.aggregation.stacked import SquareLoss
from lethe.learning.device import CPU, exactly
from lethe.learning.ensemble import Ensemble, FactorEnsemble
from lethe.learning.training import History
from lethe.learning.weighted import SubModel
from lethe.models.solvers.als import als
from lethe.models.solvers.vectors import array, laid
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions


class Config(SquareLoss):
    sweeps: int = Field(2, ge=0)
    """Passes over item rows, then user rows."""
    steps: int = Field(3, ge=1)
    """Conjugate-gradient steps for a row."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream, device: torch.device = CPU
) -> tuple[Ensemble, History]:
    """Align the sub-models and sweep. Raises ConfigError for sub-models without two towers."""
    catalogue = Catalogue.of(train)
    with training.one_thread(), exactly(device, "the aggregator refit"):
        aligned = align(*stack(sub_models, train))
        towers = [laid(tower.mean().astype(np.float32), device) for tower in aligned]
        losses = als(
            catalogue.encode(train),
            *towers,
            negative_weights=np.full(len(towers[1]), config.negative_weight),
            dropout=config.dropout,
            reg=config.reg,
            sweeps=config.sweeps,
            steps=config.steps,
        )
        history = [{"epoch": epoch, "loss": loss} for epoch, loss in enumerate(losses)]
        users, items = map(array, towers)
    return FactorEnsemble(catalogue, users, items, config.fold_in(items)), history
