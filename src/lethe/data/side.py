"""What is known beside the interactions, in dense indices: what a model reads from ``InteractionMatrix.side``.

Every part is None (or empty) where the dataset has no such table. All indices are local to the catalogue that made
them, as those of the interactions are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lethe.data.catalogue import InteractionMatrix


@dataclass(frozen=True)
class FeatureMatrix:
    """The features of each row (user or item), ragged and weighted: x in factorisation machines.

    Row r has ``columns[indptr[r]:indptr[r + 1]]``, increasing.

    indptr  [n + 1] int64      columns  [nnz] int64, a (field, value) pair      weights  [nnz] float32: 1 for a
    category, the number itself for a numeric field
    """

    indptr: np.ndarray
    columns: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class TripleMatrix:
    """Facts about items, ragged: item v has (relations[k], entities[k]) for k in indptr[v] .. indptr[v + 1].

    indptr  [num_items + 1] int64      relations, entities  [nnz] int64, sorted by (relation, entity) within an item
    """

    indptr: np.ndarray
    relations: np.ndarray
    entities: np.ndarray


@dataclass(frozen=True)
class Side:
    """The side tables of one table of interactions.

    links          users x friends: an ``InteractionMatrix`` whose "items" are friends (users as targets of links, in a
                   vocabulary of their own, because a friend may be in another shard)
    behaviours     by name (view, cart, ...), users x items: all but the target behaviour, which the interactions are
    user_features, item_features   one row for each user, item
    triples        (item, relation, entity)
    """

    links: InteractionMatrix | None = None
    behaviours: dict[str, InteractionMatrix] = field(default_factory=dict)
    user_features: FeatureMatrix | None = None
    item_features: FeatureMatrix | None = None
    triples: TripleMatrix | None = None


NO_SIDE = Side()
