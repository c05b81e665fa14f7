"""Two-tower sub-models brought into one space, and how much each of them knows of what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lethe.errors import ConfigError
from lethe.learning.weighted import SubModel
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

PASSES = 3
"""The first pass rotates onto the first sub-model, the others onto the mean of all."""


@dataclass(frozen=True)
class Tower:
    """One side of the sub-models, side by side: row s is what some shard knows of entity ``entities[s]``.

    vectors   [S, d] float64, shard after shard: shard i has rows ``bounds[i]:bounds[i + 1]``
    entities  [S] int64 dense in the whole catalogue, which has ``num_entities``
    rows      [S] float64, above 0: how many training rows of the entity the shard saw
    """

    vectors: np.ndarray
    entities: np.ndarray
    rows: np.ndarray
    bounds: np.ndarray
    num_entities: int

    def mean(self) -> np.ndarray:
        """Each entity's vectors, weighted by rows -> [num_entities, d]; 0 for an entity no shard holds."""
        total = np.zeros((self.num_entities, self.vectors.shape[1]))
        weight = np.bincount(self.entities, self.rows, self.num_entities)
        np.add.at(total, self.entities, self.vectors * self.rows[:, None])
        return total / np.maximum(weight, np.finfo(float).tiny)[:, None]


def stack(sub_models: Sequence[SubModel], train: Interactions, *, unsmoothed: bool = False) -> tuple[Tower, Tower]:
    """Users and items of two-tower sub-models over the catalogue of ``train``, each dimension rebalanced.

    Rebalancing makes a dimension equally long in both towers, which leaves their dot products as they are. A training
    row that several shards could have seen (they hold both its user and its item) counts in equal parts for each.
    Raises ConfigError for a sub-model without two towers, or of another size.
    """
    catalogue = Catalogue.of(train)
    # Ids are looked up once each, not once a row.
    rows = catalogue.encode(train)
    places = [
        (
            s.catalogue.users.encode(catalogue.users.values)[rows.users],
            s.catalogue.items.encode(catalogue.items.values)[rows.items],
        )
        for s in sub_models
    ]
    holds = np.array([(users >= 0) & (items >= 0) for users, items in places])
    share = 1.0 / np.maximum(holds.sum(axis=0), 1)
    users, items = _Stack(catalogue.users), _Stack(catalogue.items)
    for sub_model, place, held in zip(sub_models, places, holds, strict=True):
        factors = sub_model.factors(unsmoothed=unsmoothed)
        if factors is None:
            raise ConfigError(
                f"aggregator: needs sub-models with two towers, {type(sub_model.model).__name__} has none"
            )
        left, right = (tower.astype(np.float64) for tower in factors)
        lengths = [np.linalg.norm(tower, axis=0) for tower in (left, right)]
        # A dimension that is nothing in one tower can't be made equally long, and scores nothing.
        both = np.minimum(*lengths) > 0
        balance = np.sqrt(np.divide(lengths[1], lengths[0], out=np.ones_like(lengths[0]), where=both))
        users.add(left * balance, sub_model.catalogue.users, np.bincount(place[0][held], share[held], len(left)))
        items.add(right / balance, sub_model.catalogue.items, np.bincount(place[1][held], share[held], len(right)))
    return users.tower(), items.tower()


class _Stack:
    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, vectors: np.ndarray, ids: Ids, rows: np.ndarray) -> None:
        entities = self.ids.encode(ids.values)
        known = (entities >= 0) & (rows > 0)
        self.parts.append((vectors[known], entities[known], rows[known]))

    def tower(self) -> Tower:
        vectors, entities, rows = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        bounds = np.cumsum([0, *(len(part[1]) for part in self.parts)])
        return Tower(vectors, entities, rows, bounds, len(self.ids))


def align(users: Tower, items: Tower) -> tuple[Tower, Tower]:
    """Rotate each shard's two towers by one orthogonal matrix, so that shared users and items lie close together.

    Orthogonal Procrustes (Schönemann 1966), weighted by rows: min_O Σ_s rows_s ‖O x_s - m_s‖², m the reference.
    """
    first = [tower.bounds[1] for tower in (users, items)]
    references = []
    for tower, end in zip((users, items), first, strict=True):
        reference = np.zeros((tower.num_entities, tower.vectors.shape[1]))
        reference[tower.entities[:end]] = tower.vectors[:end]
        references.append(reference)
    for _ in range(PASSES):
        for shard in range(len(users.bounds) - 1):
            parts = [slice(*tower.bounds[shard : shard + 2]) for tower in (users, items)]
            cross = np.zeros((users.vectors.shape[1],) * 2)
            for tower, part, reference in zip((users, items), parts, references, strict=True):
                cross += (tower.vectors[part] * tower.rows[part, None]).T @ reference[tower.entities[part]]
            left, _, right = np.linalg.svd(cross)
            for tower, part in zip((users, items), parts, strict=True):
                tower.vectors[part] = tower.vectors[part] @ (left @ right)
        references = [tower.mean() for tower in (users, items)]
    return users, items
