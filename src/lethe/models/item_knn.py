"""ItemKNN: the items most like the user's own, by cosine.

Sarwar et al., "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001; Deshpande & Karypis,
"Item-based Top-N Recommendation Algorithms", TOIS 2004.

    score(u, v) = Σ_{w∈V_u⁺} s_wv [w among the ``neighbours`` most like v],      s_wv = n_wv / (√(n_w n_v) + shrinkage)

with n_wv the users of both and n_v those of v. The sums are not divided by Σ s: for ranking that lets a single
neighbour outvote many.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.solvers.cooccurrence import cooccurrence, largest
from lethe.tables.matrix import InteractionMatrix


class ItemKNN(item_based.Neighbours):
    """score(u, v) = the similarities of v's neighbours that are u's own items."""

    class Config(base.Config):
        search: ClassVar[Search] = {
            "neighbours": Log(5, 1000),
            "shrinkage": Log(0.1, 1000.0, zero=True),
        }

        solver: str = "count"
        neighbours: int = Field(50, ge=1)
        """Most similar items kept for each item; of equal ones the first by id."""
        shrinkage: float = Field(10.0, ge=0)
        """Number of users added to each denominator, so that rare items are less similar."""

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)
        counts = cooccurrence(data)
        sizes = np.sqrt(counts.diagonal())
        rows = np.repeat(np.arange(data.num_items), np.diff(counts.indptr))
        # An item is no neighbour of itself: below every similarity, and dropped after the selection.
        similarity = counts.data / (sizes[rows] * sizes[counts.indices] + self.config.shrinkage)
        similarity[rows == counts.indices] = 0
        kept = largest(counts.indptr, similarity, self.config.neighbours)
        shape = (data.num_items, data.num_items)
        # The neighbours of an item are a row here; voting goes from neighbour to item.
        self.keep(sp.csr_array((similarity[kept], (counts.indices[kept], rows[kept])), shape=shape))
