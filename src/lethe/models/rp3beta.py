"""RP3beta: walks of three steps on the user-item graph, against popularity.

Paudel, Christoffel, Newell & Bernstein, "Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive
Applications", TiiS 2017; the powers of the steps are Cooper et al.'s P3alpha (WWW 2014).

    score(u, v) = Σ_{w∈V_u⁺} W_wv,      W_wv = n_v^(-β) Σ_{t∈U_w∩U_v} n_w^(-α) n_t^(-α)

with n the numbers of interactions: from one of u's items to somebody who has it, and on to one of theirs. The first
step's n_u^(-α) is the same for all items and left out. Of each W_w the ``neighbours`` largest entries are kept; w
itself is none of them.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.solvers.cooccurrence import largest
from lethe.tables.matrix import InteractionMatrix


class RP3beta(item_based.Neighbours):
    """score(u, v) = how likely the walks from u's items are to end at v, over v's popularity."""

    class Config(base.Config):
        solver: Literal["count"] = "count"
        neighbours: int = Field(100, ge=1)
        """Entries kept of each item's row; of equal ones the first by id."""
        alpha: float = Field(1.0, ge=0)
        """α: power of the probability of each step."""
        beta: float = Field(0.6, ge=0)
        """β: power of the popularity that a score is divided by."""

        search: ClassVar[Search] = {
            "neighbours": Log(10, 1000),
            "alpha": Linear(0.0, 2.0),
            "beta": Linear(0.0, 1.0),
        }

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)
        config, incidence = self.config, data.csr().astype(np.float64)
        user_steps, item_steps = (
            np.maximum(counts, 1).astype(np.float64) ** -config.alpha
            for counts in (np.diff(data.indptr), data.item_counts)
        )
        walks = (incidence.T @ (sp.diags_array(user_steps) @ incidence)).tocsr()
        walks.sort_indices()
        rows = np.repeat(np.arange(data.num_items), np.diff(walks.indptr))
        popularity = np.maximum(data.item_counts, 1).astype(np.float64) ** -config.beta
        weights = walks.data * item_steps[rows] * popularity[walks.indices]
        weights[rows == walks.indices] = 0
        kept = largest(walks.indptr, weights, config.neighbours)
        shape = (data.num_items, data.num_items)
        self.keep(sp.csr_array((weights[kept], (rows[kept], walks.indices[kept])), shape=shape))
