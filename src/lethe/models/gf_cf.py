"""GF-CF: a graph filter in closed form, a linear part and an ideal low-pass part.

Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021.

    score(u, v) = Σ_{w∈V_u⁺} W_wv,      W = R̃ᵀR̃ + low_pass · D^(-1/2) V Vᵀ D^(1/2),      R̃ = D_u^(-1/2) Y D^(-1/2)

with D_u and D the numbers of interactions of users and items and V [num_items, d] the leading right singular vectors of
R̃. V comes from an exact decomposition of R̃ᵀR̃ where the authors' program uses a randomised one, so memory is that of
EASE: 8 bytes a pair of items, three times over.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import scipy.linalg
from pydantic import Field

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, dense
from lethe.models.solvers.cooccurrence import filtered_gram
from lethe.tables.matrix import InteractionMatrix


class GFCF(dense.DenseItems):
    """score(u, v) = Σ_{w∈V_u⁺} W_wv."""

    class Config(base.Config):
        solver: Literal["closed-form"] = "closed-form"
        embedding_dim: int = Field(64, ge=1)
        """Size d: singular vectors that pass the ideal low-pass filter."""
        low_pass: float = Field(0.3, ge=0)
        """Weight of the ideal low-pass filter beside the linear one."""

        search: ClassVar[Search] = {"embedding_dim": Log(8, 512), "low_pass": Linear(0.0, 1.0)}

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)
        if not len(data):
            return
        gram = filtered_gram(data, user_power=1.0, item_power=0.5).toarray()
        first = max(data.num_items - self.config.embedding_dim, 0)
        _, vectors = scipy.linalg.eigh(gram, subset_by_index=(first, data.num_items - 1))
        lengths = np.sqrt(np.maximum(data.item_counts, 1))
        ideal = (vectors / lengths[:, None]) @ (vectors * lengths[:, None]).T
        self.keep(gram + self.config.low_pass * ideal)
