"""Sparse EASE: each item is regressed on its most similar items alone, for catalogues that EASE's memory can't hold.

In the manner of SANSA (Spišák et al., "Scalable Approximate NonSymmetric Autoencoder for Collaborative Filtering",
RecSys 2023), which approximates the inverse in EASE (``ease``) by a sparse one:

    min ‖Y_v - Y W_v‖² + reg ‖W_v‖²   with  W_wv = 0 for w ∉ S_v,      S_v the ``neighbours`` items most like v, less v

Where SANSA thins out a sparse Cholesky factor, here the pattern is fixed beforehand, by cosine, and every column is
exact within it: where every two items share users and all are neighbours, it is EASE's. Memory is that of the pairs of
items that share users and of num_items · neighbours weights.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numba
import numpy as np
import scipy.sparse as sp
from pydantic import Field

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.solvers.cooccurrence import cooccurrence, largest
from lethe.tables.matrix import InteractionMatrix


class SparseEASE(item_based.Neighbours):
    """score(u, v) = Σ_{w∈V_u⁺∩S_v} W_wv."""

    class Config(base.Config):
        solver: Literal["closed-form"] = "closed-form"
        neighbours: int = Field(100, ge=1)
        """|S_v|: items that an item may be explained by; of equally similar ones the first by id."""
        reg: float = Field(200.0, gt=0)
        """λ of the L2 of W, in interactions."""

        search: ClassVar[Search] = {"neighbours": Log(20, 500), "reg": Log(1.0, 10_000.0)}

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)
        counts = cooccurrence(data)
        sizes = np.sqrt(counts.diagonal())
        items = np.repeat(np.arange(data.num_items), np.diff(counts.indptr))
        similarity = counts.data / (sizes[items] * sizes[counts.indices])
        similarity[items == counts.indices] = 0
        kept = largest(counts.indptr, similarity, self.config.neighbours)
        items, others = items[kept], counts.indices[kept].astype(np.int64)
        first = np.concatenate([[0], np.cumsum(np.bincount(items, minlength=data.num_items))]).astype(np.int64)
        gram = counts.indptr.astype(np.int64), counts.indices.astype(np.int64), counts.data.astype(np.float64)
        weights = _regress(*gram, first, others, self.config.reg)
        shape = (data.num_items, data.num_items)
        self.keep(sp.csr_array((weights, (others, items)), shape=shape))


@numba.njit(nogil=True, cache=True)
def _regress(
    indptr: np.ndarray, columns: np.ndarray, counts: np.ndarray, first: np.ndarray, others: np.ndarray, reg: float
) -> np.ndarray:
    """The weights of each item's ``others[first[v]:first[v + 1]]``, increasing, given YᵀY with sorted columns."""
    weights = np.zeros(len(others), np.float64)
    for item in range(len(first) - 1):
        own = others[first[item] : first[item + 1]]
        system, right = np.zeros((len(own), len(own))), np.zeros(len(own))
        for a in range(len(own)):
            # Two increasing lists: the row of YᵀY is walked once for all the others.
            place, last = indptr[own[a]], indptr[own[a] + 1]
            for b in range(len(own)):
                while place < last and columns[place] < own[b]:
                    place += 1
                if place < last and columns[place] == own[b]:
                    system[a, b] = counts[place]
            system[a, a] += reg
            where = indptr[own[a]] + np.searchsorted(columns[indptr[own[a]] : last], item)
            right[a] = counts[where]
        if len(own):
            weights[first[item] : first[item + 1]] = np.linalg.solve(system, right)
    return weights
