"""UserKNN: what the people most like the user have, by cosine.

Herlocker, Konstan, Borchers & Riedl, "An Algorithmic Framework for Performing Collaborative Filtering", SIGIR 1999, in
its form for interactions without ratings (Aiolli, RecSys 2013).

    score(u, v) = Σ_{t∈N_u} s_ut [v∈V_t⁺],      s_ut = n_ut / (√(n_u n_t) + shrinkage)

with n_ut the items of both, n_u those of u, and N_u the ``neighbours`` users most like u. The sums are not divided by
Σ s, which is the same for all items of a user.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numba
import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.solvers.cooccurrence import cooccurrence, largest
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
        scores = torch.zeros(len(users), self.shape.num_items)
        arrays = users, self.row_indptr, self.columns, self.values, self.indptr, self.history, scores
        _vote(*(part.numpy() for part in arrays))
        return scores


@numba.njit(nogil=True, cache=True)
def _vote(
    users: np.ndarray,
    row_indptr: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    indptr: np.ndarray,
    history: np.ndarray,
    scores: np.ndarray,
) -> None:
    for b in range(len(users)):
        for k in range(row_indptr[users[b]], row_indptr[users[b] + 1]):
            for item in history[indptr[columns[k]] : indptr[columns[k] + 1]]:
                scores[b, item] += values[k]
