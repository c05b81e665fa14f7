"""Turbo-CF: a polynomial graph filter in closed form, without decomposition or training.

Park et al., "Turbo-CF: Matrix Decomposition-Free Graph Filtering for Fast Recommendation", SIGIR 2024.

    score(u, v) = Σ_{w∈V_u⁺} F(P)_wv,      P = (R̃ᵀR̃)^∘s,      R̃ = D_u^(-α) Y D^(α-1)

with D_u and D the numbers of interactions of users and items, ∘s the power of each entry, and F(P) = P, 2P - P² or
P + 0.01 (-P³ + 10 P² - 29 P). R̃ᵀR̃ is a sum over users; they are added as whole multiples of 2⁻³²
(``solvers.cooccurrence.filtered_gram``), so the sums of shards add up exactly, in any order. Memory is that of EASE.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from lethe.config.search import Choice, Linear, Search
from lethe.core.random import Stream
from lethe.models.parts import base, dense
from lethe.models.solvers.cooccurrence import filtered_gram
from lethe.tables.matrix import InteractionMatrix


class TurboCF(dense.DenseItems):
    """score(u, v) = Σ_{w∈V_u⁺} F(P)_wv."""

    class Config(base.Config):
        solver: Literal["closed-form"] = "closed-form"
        alpha: float = Field(0.5, ge=0, le=1)
        """α: how much of the normalisation falls on the user's side."""
        power: float = Field(1.0, gt=0)
        """s: power of each entry of the item-item graph."""
        order: Literal[1, 2, 3] = 1
        """Degree of the filter: linear, or a polynomial nearer to an ideal low-pass filter."""

        search: ClassVar[Search] = {
            "alpha": Linear(0.0, 1.0),
            "power": Linear(0.5, 2.0),
            "order": Choice(1, 2, 3),
        }

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)
        alpha = self.config.alpha
        self.solve_gram(filtered_gram(data, user_power=2 * alpha, item_power=1 - alpha).toarray())

    def solve_gram(self, gram: np.ndarray) -> None:
        """Set W from R̃ᵀR̃ [num_items, num_items] float64."""
        graph = gram**self.config.power
        if self.config.order == 2:
            graph = 2 * graph - graph @ graph
        elif self.config.order == 3:
            square = graph @ graph
            graph = graph + 0.01 * (10 * square - square @ graph - 29 * graph)
        self.keep(graph)
