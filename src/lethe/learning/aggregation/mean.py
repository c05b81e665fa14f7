"""Mean of the scores (SISA): Bourtoule et al., "Machine Unlearning", S&P 2021. For any kind of sub-model.

For a user, an item's score is the mean over the shards that hold both; a shard that lacks one of them takes no weight.
Items that none of the user's shards holds rank below all the others, by their training counts.
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
    catalogue = Catalogue(whole.users, items)
    weights = np.ones(len(sub_models), np.float32)
    return WeightedEnsemble(catalogue, tuple(sub_models), catalogue.encode(train).item_counts, weights), []
