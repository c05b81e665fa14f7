"""Identity: the one sub-model itself, for K = 1."""

from __future__ import annotations

from collections.abc import Sequence

from lethe.config.section import Section
from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.aggregation import mean
from lethe.learning.ensemble import Ensemble, FactorEnsemble
from lethe.learning.training import History
from lethe.learning.weighted import SubModel
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions


class Config(Section):
    """Nothing to set."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream
) -> tuple[Ensemble, History]:
    """The sub-model as an ensemble: its factors alone where they are all it scores by. Raises ConfigError for K > 1."""
    if len(sub_models) != 1:
        raise ConfigError(f"aggregator: identity needs exactly 1 sub-model, got {len(sub_models)}")
    only = sub_models[0]
    factors = None if only.model.accepts else only.factors()
    if factors is None:
        return mean.fit(sub_models, train, mean.Config(), stream)
    ids = only.catalogue
    catalogue = Catalogue(ids.users, ids.items, new_items=ids.new_items)
    return FactorEnsemble(catalogue, *factors, only.model.fold_in()), []
