"""Mean of the scores (SISA): Bourtoule et al., "Machine Unlearning", S&P 2021. For any kind of sub-model.

For a user, an item's score is the mean over the shards that hold both; a shard that lacks one of them takes no weight.
Items that none of the user's shards holds rank below all the others, by their training counts. A new item is held by
each shard that knows one of its features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lethe.config.section import Section
from lethe.core.random import Stream
from lethe.learning.training import History
from lethe.learning.weighted import SubModel, WeightedEnsemble
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions


class Config(Section):
    """Nothing to set."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream
) -> tuple[WeightedEnsemble, History]:
    """Nothing is learned: the history is empty."""
    whole = Catalogue.of(train)
    # Side tables may have brought a shard items that no training row names.
    items = Ids.of(np.concatenate([whole.items.values, *(member.catalogue.items.values for member in sub_models)]))
    own = Ids.of(np.concatenate([whole.items.values, *(member.catalogue.own_items.values for member in sub_models)]))
    new = items.values[own.encode(items.values) < 0]
    catalogue = Catalogue(whole.users, items, new_items=Ids(new) if len(new) else None)
    weights = np.ones(len(sub_models), np.float32)
    return WeightedEnsemble(catalogue, tuple(sub_models), catalogue.encode(train).item_counts, weights), []
