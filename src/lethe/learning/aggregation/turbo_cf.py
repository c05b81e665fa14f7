"""Turbo-CF from the shards' sums: exact unlearning without retraining. Ours.

For sub-models of ``weighted-cooccurrence``. Where each user lies in one shard, Σ_u n_u^(-2α) y_u y_uᵀ is the sum of the
shards', in whole numbers. So a deletion recounts the shard it touches, and the filter then gives the Turbo-CF of all
remaining rows (``lethe.models.turbo_cf``), bit for bit what making it whole gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning import training
from lethe.learning.aggregation import ease, identity
from lethe.learning.ensemble import Ensemble
from lethe.learning.memory import must_fit_memory
from lethe.learning.training import History
from lethe.learning.weighted import SubModel
from lethe.models.solvers.cooccurrence import UNIT, scaled
from lethe.models.turbo_cf import TurboCF
from lethe.models.weighted_cooccurrence import WeightedCooccurrence
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

Config = TurboCF.Config


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: TurboCF.Config, stream: Stream
) -> tuple[Ensemble, History]:
    """Add the sums and filter once.

    Raises ConfigError for sub-models of another kind or another α, or if a user lies in several of them.
    """
    catalogue = Catalogue.of(train)
    must_fit_memory("aggregator: turbo-cf", TurboCF, config, catalogue.shape)
    for sub_model in sub_models:
        alpha = getattr(sub_model.model.config, "alpha", None)
        if isinstance(sub_model.model, WeightedCooccurrence) and alpha != config.alpha:
            values = f"turbo-cf has alpha {config.alpha}, its sub-models {alpha}"
            raise ConfigError(f"aggregator: {values}; must be the same")
    model, data = TurboCF(config, catalogue.shape), catalogue.encode(train)
    model.remember(data)
    sums = ease.added("turbo-cf", sub_models, catalogue, WeightedCooccurrence, "sums", np.int64)
    with training.one_thread():
        scale = scaled(data.item_counts, 1 - config.alpha)
        model.solve_gram(sums * UNIT * (scale[:, None] * scale))
    return identity.fit([SubModel(sub_models[0].name, model, catalogue)], train, identity.Config(), stream)
