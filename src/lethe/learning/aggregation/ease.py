"""EASE from the shards' counts: exact unlearning without retraining, for sub-models of ``cooccurrence``. Ours.

Where each user lies in one shard, YᵀY = Σ_i Y_iᵀY_i, in whole numbers, which float32 adds without rounding below 2²⁴.
So a deletion recounts the shard it touches, and one Cholesky decomposition then gives the EASE of all remaining rows
(``lethe.models.ease``), bit for bit what training it whole gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning import training
from lethe.learning.aggregation import identity
from lethe.learning.device import CPU, exactly
from lethe.learning.ensemble import Ensemble
from lethe.learning.memory import must_fit_memory
from lethe.learning.training import History
from lethe.learning.weighted import SubModel
from lethe.models.cooccurrence import Cooccurrence
from lethe.models.ease import EASE
from lethe.models.parts.item_based import Neighbours
from lethe.models.solvers.vectors import laid
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

Config = EASE.Config


def fit(
    sub_models: Sequence[SubModel],
    train: Interactions,
    config: EASE.Config,
    stream: Stream,
    device: torch.device = CPU,
) -> tuple[Ensemble, History]:
    """Add the counts and solve once.

    Raises ConfigError for sub-models of another kind, or if a user lies in several of them.
    """
    catalogue = Catalogue.of(train)
    must_fit_memory("aggregator: ease", EASE, config, catalogue.shape)
    model = EASE(config, catalogue.shape)
    model.remember(catalogue.encode(train))
    with training.one_thread(), exactly(device, "the aggregator ease"):
        model.solve_gram(laid(gram(sub_models, catalogue).astype(config.precision), device))
    model.to(CPU)
    return identity.fit([SubModel(sub_models[0].name, model, catalogue)], train, identity.Config(), stream)


def gram(sub_models: Sequence[SubModel], catalogue: Catalogue) -> np.ndarray:
    """YᵀY [num_items, num_items] float32 of all the sub-models' rows."""
    return added("ease", sub_models, catalogue, Cooccurrence, "values", np.float32)


def added(
    aggregator: str,
    sub_models: Sequence[SubModel],
    catalogue: Catalogue,
    counts: type[Neighbours],
    values: str,
    kind: type,
) -> np.ndarray:
    """The sum [num_items, num_items] of ``values`` of the sub-models, which are ``counts``."""
    if sum(len(sub_model.catalogue.users) for sub_model in sub_models) != len(catalogue.users):
        raise ConfigError(f"aggregator: {aggregator} needs each user in exactly one shard; choose a partition of users")
    total: np.ndarray = np.zeros((len(catalogue.items),) * 2, kind)
    for sub_model in sub_models:
        model = sub_model.model
        if not isinstance(model, counts):
            needed = "cooccurrence" if counts is Cooccurrence else "weighted-cooccurrence"
            raise ConfigError(f"aggregator: {aggregator} needs sub-models of {needed}, got {type(model).__name__}")
        places = catalogue.items.encode(sub_model.catalogue.items.values)
        rows = np.repeat(places, np.diff(model.row_indptr.numpy()))
        # A pair of items occurs once among a shard's counts, so that nothing is lost in adding by index.
        total[rows, places[model.columns.numpy()]] += getattr(model, values).numpy()
    return total
