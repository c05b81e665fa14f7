"""UserKNN: what the people most like the user have, by cosine.

Herlocker, Konstan, Borchers & Riedl, "An Algorithmic Framework for Performing Collaborative Filtering", SIGIR 1999, in
its form for interactions without ratings (Aiolli, RecSys 2013).

    score(u, v) = Σ_{t∈N_u} s_ut [v∈V_t⁺],      s_ut = n_ut / (√(n_u n_t) + shrinkage)

with n_ut the items of both, n_u those of u, and N_u the ``neighbours`` users most like u. The sums are not divided by
Σ s, which is the same for all items of a user.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.parts.ragged import entries_of
from lethe.models.solvers.cooccurrence import cooccurrence, largest
from lethe.models.solvers.votes import sparse_rows
from lethe.tables.matrix import InteractionMatrix, Shape


class UserKNN(item_based.ItemBased):
    """score(u, v) = the similarities of u's neighbours who have v. Row u of s is ``row_indptr[u]:row_indptr[u + 1]``
    of ``columns``, the neighbours, and of ``values``."""

    class Config(base.Config):
        solver: Literal["count"] = "count"
        neighbours: int = Field(100, ge=1)
        """Most similar users kept for each user; of equal ones the first by id."""
        shrinkage: float = Field(10.0, ge=0)
        """Number of items added to each denominator, so that users of few items are less similar."""

        search: ClassVar[Search] = {"neighbours": Log(10, 1000), "shrinkage": Linear(0.0, 100.0)}

    row_indptr: Tensor
    columns: Tensor
    values: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("row_indptr", torch.zeros(shape.num_users + 1, dtype=torch.int64))
        self.register_buffer("columns", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("values", torch.zeros(0))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)
        counts = cooccurrence(data.transposed)
        sizes = np.sqrt(counts.diagonal())
        rows = np.repeat(np.arange(data.num_users), np.diff(counts.indptr))
        similarity = counts.data / (sizes[rows] * sizes[counts.indices] + self.config.shrinkage)
        similarity[rows == counts.indices] = 0
        kept = largest(counts.indptr, similarity, self.config.neighbours)
        lengths = np.bincount(rows[kept], minlength=data.num_users)
        self.row_indptr = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        self.columns = torch.from_numpy(counts.indices[kept].astype(np.int64))
        self.values = torch.from_numpy(similarity[kept].astype(np.float32))

    def score(self, users: Tensor) -> Tensor:
        indptr, places = entries_of(self.row_indptr, users)
        return self._votes(indptr, self.columns[places], self.values[places])

    def votes(self, indptr: Tensor, items: Tensor) -> Tensor:
        rows = [self._near(items[start:end])[:2] for start, end in pairwise(indptr.tolist())]
        ends = torch.tensor([0, *accumulate(len(near) for near, _ in rows)])
        columns, values = (torch.cat([row[part] for row in rows] or [self.columns[:0]]) for part in (0, 1))
        return self._votes(ends, columns, values)

    def weights_to(self, items: Tensor, item: int) -> Tensor:
        """Each neighbour's vote for the item, shared out among what they have in common."""
        near, values, shared = self._near(items)
        has = [bool((self._items(user) == item).any()) for user in near.tolist()]
        parts = values[has] / shared[has]
        common = [torch.isin(items, self._items(user)) for user in near[has].tolist()]
        return sum((part * own for part, own in zip(parts, common, strict=True)), torch.zeros(len(items)))

    def _items(self, user: int) -> Tensor:
        return self.history[self.indptr[user] : self.indptr[user + 1]]

    def _near(self, items: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of somebody with such items, distinct: the neighbours, how similar each is, how many items are shared."""
        owned = torch.zeros(self.shape.num_items, dtype=torch.bool)
        owned[items] = True
        users = torch.repeat_interleave(self.indptr.diff())
        shared = torch.bincount(users[owned[self.history]], minlength=self.shape.num_users).double()
        lengths = (len(items) * self.indptr.diff().double()).sqrt()
        similarity = shared / (lengths + self.config.shrinkage).clamp_min(1e-9)
        kept = largest(np.array([0, len(similarity)]), similarity.numpy(), self.config.neighbours)
        near = torch.from_numpy(np.flatnonzero(kept))
        return near, similarity[near].float(), shared[near]

    def _votes(self, indptr: Tensor, neighbours: Tensor, values: Tensor) -> Tensor:
        return sparse_rows(indptr, neighbours, values, (self.indptr, self.history, None), self.shape.num_items)
