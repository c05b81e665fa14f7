"""Cooccurrence: how many users two items share, counted; what EASE's unlearning keeps of a shard.

    score(u, v) = Σ_{w∈V_u⁺} (YᵀY)_wv

A weak recommender by itself. The counts are whole numbers, so the shards' sums are exact whatever their order: the
aggregator ``ease`` makes of them the EASE of all rows, to the bit.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.solvers.cooccurrence import cooccurrence
from lethe.tables.matrix import InteractionMatrix


class Cooccurrence(item_based.Neighbours):
    """W = YᵀY, an item's own rows on the diagonal."""

    class Config(base.Config):
        per_row: ClassVar[int] = 1000
        """EASE's: the aggregator ``ease`` makes that of the counts."""
        solver: Literal["count"] = "count"

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)
        self.keep(cooccurrence(data))
