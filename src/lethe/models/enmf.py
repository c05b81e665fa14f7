"""ENMF-U: efficient neural matrix factorisation without sampling, user-based; and what its siblings share with it.

Chen et al., "Efficient Neural Matrix Factorization without Sampling for Recommendation", TOIS 2020, eq. (3.9) of the
thesis:

    min Σ_u Σ_v c_uv (y_uv - ŷ_uv)²,      ŷ_uv = hᵀ(p_u ⊙ q_v),      c_uv = 1 if y_uv = 1, else c⁻_v

Deviations from the authors' program: positives are ragged rather than padded, so no padding row joins the sum over all
items; the last, smaller batch of an epoch is used too; dropout on p_u is integrated out exactly instead of sampled (the
objective is the mask's expectation, without its noise); initial vectors are normal, not truncated
normal. Every entry of h starts at ``init_std``.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.core.random import Stream
from lethe.models.parts import losses, towers
from lethe.models.parts.batches import RowBatch
from lethe.tables.matrix import InteractionMatrix, Shape


class ENMF(towers.NonSampling):
    """score(u, v) = hᵀ(p_u ⊙ q_v), and the two passes in which its loss can be gone through."""

    repeats = True

    class Config(towers.NonSamplingConfig):
        solver: Literal["gradient"] = "gradient"
        epochs: int = Field(150, ge=0)

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.h = nn.Parameter(torch.zeros(config.embedding_dim))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        nn.init.constant_(self.h, self.config.init_std)

    def user_loss(self, batch: RowBatch) -> Tensor:
        """The loss of some users with all items."""
        return self.square_loss(batch.of(self.users), self.items, batch, self.h)

    def item_loss(self, batch: RowBatch) -> Tensor:
        """The loss of some items, the rows of ``batch``, with all users.

        The dropout is the same: its expectation is Σ c_uv Σ_i (h_i p_ui q_vi)², which has no sides.
        """
        return losses.non_sampling(
            batch.of(self.items),
            self.users,
            batch,
            negative_weights=torch.ones_like(self.users[:, 0]),
            row_weights=self.negative_weights[batch.rows],
            h=self.h,
            dropout=self.config.dropout,
        )

    def factors(self) -> tuple[Tensor, Tensor]:
        return (self.users * self.h).detach(), self.items.detach()


class ENMFU(ENMF):
    """ENMF by batches of users."""

    def steady(self) -> bool:
        return True

    def loss(self, batch: Any) -> Tensor:
        return self.user_loss(batch)
