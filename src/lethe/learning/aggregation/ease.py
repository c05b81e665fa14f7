"""EASE from the shards' counts: exact unlearning without retraining, for sub-models of ``cooccurrence``. Ours.

Where each user lies in one shard, YᵀY = Σ_i Y_iᵀY_i, in whole numbers, which float32 adds without rounding below 2²⁴.
So a deletion recounts the shard it touches, and one Cholesky decomposition then gives the EASE of all remaining rows
(``lethe.models.ease``), bit for bit what training it whole gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning import training
from lethe.learning.aggregation import identity
from lethe.learning.aggregation.ensemble import Ensemble, SubModel
from lethe.learning.memory import must_fit_memory
from lethe.learning.training import History
from lethe.models.cooccurrence import Cooccurrence
from lethe.models.ease import EASE
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

Config = EASE.Config


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: EASE.Config, stream: Stream
) -> tuple[Ensemble, History]:
    """Add the counts and solve once.

    Raises ConfigError for sub-models of another kind, or if a user lies in several of them.
    """
    catalogue = Catalogue.of(train)
    must_fit_memory("aggregator: ease", EASE, config, catalogue.shape)
    model = EASE(config, catalogue.shape)
    model.remember(catalogue.encode(train))
    with training.one_thread():
        model.solve_gram(gram(sub_models, catalogue).astype(config.precision))
    return identity.fit([SubModel(sub_models[0].name, model, catalogue)], train, identity.Config(), stream)


def gram(sub_models: Sequence[SubModel], catalogue: Catalogue) -> np.ndarray:
    """YᵀY [num_items, num_items] float32 of all the sub-models' rows."""
    if sum(len(sub_model.catalogue.users) for sub_model in sub_models) != len(catalogue.users):
        raise ConfigError("aggregator: ease needs each user in exactly one shard; choose a partition of users")
    total = np.zeros((len(catalogue.items),) * 2, np.float32)
    for sub_model in sub_models:
        counts = sub_model.model
        if not isinstance(counts, Cooccurrence):
            raise ConfigError(f"aggregator: ease needs sub-models of cooccurrence, got {type(counts).__name__}")
        places = catalogue.items.encode(sub_model.catalogue.items.values)
        rows = np.repeat(places, np.diff(counts.row_indptr.numpy()))
        # A pair of items occurs once among a shard's counts, so that nothing is lost in adding by index.
        total[rows, places[counts.columns.numpy()]] += counts.values.numpy()
    return total
