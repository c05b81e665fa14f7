"""Weighted cooccurrence: how many users two items share, each by their own n_u; what Turbo-CF's unlearning keeps.

    score(u, v) = Σ_{w∈V_u⁺} S_wv,      S = Σ_t n_t^(-2α) y_t y_tᵀ

with n_t the interactions of user t. S is added up in whole multiples of 2⁻³² (``solvers.cooccurrence``), so the shards'
sums are exact whatever their order: the aggregator ``turbo-cf`` makes of them the Turbo-CF of all rows, to the bit.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.solvers.cooccurrence import UNIT, weighted_cooccurrence
from lethe.tables.matrix import InteractionMatrix, Shape


class WeightedCooccurrence(item_based.Neighbours):
    """W = S; ``sums`` are its values in units of 2⁻³², aligned with ``columns``."""

    ragged: ClassVar[tuple[str, ...]] = (*item_based.Neighbours.ragged, "sums")

    class Config(base.Config):
        solver: Literal["count"] = "count"
        alpha: float = Field(0.5, ge=0, le=1)
        """α of the Turbo-CF that is made of it."""

    sums: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("sums", torch.zeros(0, dtype=torch.int64))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)
        sums = weighted_cooccurrence(data, 2 * self.config.alpha)
        self.sums = torch.from_numpy(sums.data.copy())
        self.keep(sums * UNIT)
