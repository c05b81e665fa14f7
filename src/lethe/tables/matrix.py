"""Interactions in dense indices, what a model learns from; and beside them (``Side``) what else is known.

Every part of a ``Side`` is None (or empty) where the dataset has no such table. All indices are local to the catalogue
that made them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp


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
    friend_users   [num_friends] int64: which user a friend is, -1 where none of this table's; it comes with the links
    behaviours     by name (view, cart, ...), users x items: all but the target behaviour, which the interactions are
    user_features, item_features   one row for each user, item
    triples        (item, relation, entity)
    """

    links: InteractionMatrix | None = None
    friend_users: np.ndarray | None = None
    behaviours: dict[str, InteractionMatrix] = field(default_factory=dict)
    user_features: FeatureMatrix | None = None
    item_features: FeatureMatrix | None = None
    triples: TripleMatrix | None = None


NO_SIDE = Side()


@dataclass(frozen=True)
class Shape:
    """How many of each kind of thing a model has rows for; what a dataset has no table of is 0."""

    num_users: int
    num_items: int
    num_friends: int = 0
    """Users as targets of links, in a vocabulary of their own."""
    num_user_features: int = 0
    num_item_features: int = 0
    """Distinct (field, value) pairs of each side; a numeric field is one."""
    num_contexts: int = 0
    """Distinct (field, value) pairs of the context fields."""
    num_relations: int = 0
    num_entities: int = 0


@dataclass(frozen=True)
class InteractionMatrix:
    """Interactions in dense indices, sorted by (user, item): what a model learns from.

    users, items  [n] int64      ratings  [n] float32 or None      timestamps  [n] int64 or None
    contexts      [n, number of context fields] int64 or None: the dense context of each field of a row
    weights       [n] float32 or None: how much each row counts

    Pairs are distinct, except under contexts: there a pair may occur once in each context.
    """

    shape: Shape
    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    contexts: np.ndarray | None = None
    side: Side = NO_SIDE
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.users)

    @property
    def num_users(self) -> int:
        return self.shape.num_users

    @property
    def num_items(self) -> int:
        return self.shape.num_items

    @cached_property
    def indptr(self) -> np.ndarray:
        """[num_users + 1] int64: user u's items are ``items[indptr[u]:indptr[u + 1]]``, increasing."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.users, minlength=self.num_users))]).astype(np.int64)

    @cached_property
    def item_counts(self) -> np.ndarray:
        """[num_items] int64: rows of each item."""
        return np.bincount(self.items, minlength=self.num_items).astype(np.int64)

    @cached_property
    def lacked_before(self) -> np.ndarray:
        """[n] int64, increasing where pairs are distinct: user · (num_items + 1) + how many items that the user lacks
        come before the row's own. Searched to draw what a user lacks (see ``models.parts.batches.negatives``)."""
        own_before = np.arange(len(self)) - self.indptr[self.users]
        return self.users * (self.num_items + 1) + self.items - own_before

    @cached_property
    def transposed(self) -> InteractionMatrix:
        """The same rows with the roles of users and items swapped (item-major order)."""
        import scipy.sparse as sp  # Not at the top, here and below: a worker of the service needs none.

        # Rows are sorted by user: a counting sort by item, which is stable, leaves them sorted by (item, user). Places
        # are taken along only where there is something to put in the same order.
        alone = self.ratings is None and self.timestamps is None and self.weights is None
        places = np.ones(len(self), dtype=np.int8) if alone else np.arange(len(self))
        by_user = sp.csr_array((places, self.items, self.indptr), shape=(self.num_users, self.num_items))
        by_item = by_user.tocsc()
        return InteractionMatrix(
            Shape(self.num_items, self.num_users),
            np.repeat(np.arange(self.num_items), np.diff(by_item.indptr)),
            by_item.indices.astype(np.int64),
            None if self.ratings is None else self.ratings[by_item.data],
            None if self.timestamps is None else self.timestamps[by_item.data],
            weights=None if self.weights is None else self.weights[by_item.data],
        )

    def distinct(self) -> InteractionMatrix:
        """Each (user, item) once, whatever the context; of ratings and timestamps the first row's, of weights the
        sum."""
        new = np.ones(len(self), dtype=bool)
        new[1:] = (self.users[1:] != self.users[:-1]) | (self.items[1:] != self.items[:-1])
        return InteractionMatrix(
            self.shape,
            self.users[new],
            self.items[new],
            None if self.ratings is None else self.ratings[new],
            None if self.timestamps is None else self.timestamps[new],
            side=self.side,
            weights=None if self.weights is None else sums_of_runs(self.weights, new),
        )

    def only(self, names: Collection[str]) -> InteractionMatrix:
        """Without the contexts, the timestamps, the weights and the parts of ``side`` that are not named."""
        kept = {*names, "friend_users"} if "links" in names else {*names}
        unread = {part.name: getattr(NO_SIDE, part.name) for part in fields(Side) if part.name not in kept}
        return replace(
            self,
            timestamps=self.timestamps if "timestamps" in names else None,
            contexts=self.contexts if "contexts" in names else None,
            weights=self.weights if "weights" in names else None,
            side=replace(self.side, **unread),
        )

    def csr(self) -> sp.csr_array:
        """[num_users, num_items] of ones (float32); a pair that occurs twice is one."""
        import scipy.sparse as sp

        matrix = sp.csr_array(
            (np.ones(len(self), np.float32), (self.users, self.items)), shape=(self.num_users, self.num_items)
        )
        matrix.data[:] = 1.0
        return matrix


def sums_of_runs(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The sum of each run of values [n] -> [runs] float32, added in float64; ``first`` [n] bool: where one begins."""
    starts = np.flatnonzero(first)
    if not len(starts):
        return values[:0].astype(np.float32)
    return np.add.reduceat(values.astype(np.float64), starts).astype(np.float32)
