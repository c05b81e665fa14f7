"""GMF: generalised matrix factorisation by log loss on sampled pairs.

He et al., "Neural Collaborative Filtering", WWW 2017, section 3.2.

    min Σ_(u,v) [softplus(ŷ_uv) - y_uv ŷ_uv],      ŷ_uv = hᵀ(p_u ⊙ q_v)

over every interaction and ``num_negatives`` random lacked items for each. Deviations from the authors' program: L2 on
the vectors of the sampled pairs rather than on whole tables; h starts at 1, so that the start is a dot product. The
thesis (Fig. 3.8) tunes a dropout, which they have not; it is 0 here unless ``dropout``, of p, says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lethe.config.search import Linear, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import Labelled, labelled_batches
from lethe.models.parts.layers import dropped, rows_at
from lethe.models.parts.sampled import SampledConfig
from lethe.tables.matrix import InteractionMatrix, Shape


class GMF(towers.TwoTower):
    """score(u, v) = hᵀ(p_u ⊙ q_v)."""

    class Config(SampledConfig):
        search: ClassVar[Search] = {"dropout": Linear(0.0, 0.8, 9)}

        dropout: base.Probability = 0.0
        """Share dropped of the entries of p."""

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.h = nn.Parameter(torch.zeros(config.embedding_dim))
        self.masks: torch.Generator | None = None

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        nn.init.ones_(self.h)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Labelled]:
        self.masks = stream.torch("dropout")
        return labelled_batches(data, self.config.batch_size, self.config.num_negatives, stream.numpy("batches"))

    def pairs(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ of aligned users and items [B] -> [B], and Σ (‖p‖² + ‖q‖²) over them."""
        p, q = rows_at(self.users, users), rows_at(self.items, items)
        kept = dropped(p, self.config.dropout, self.masks)
        return (kept * q) @ self.h, p.square().sum() + q.square().sum()

    def steady(self) -> bool:
        return not self.config.dropout

    def loss(self, batch: Labelled) -> Tensor:
        scores, norm = self.pairs(batch.users, batch.items)
        return losses.log_loss(scores, batch.labels) + self.config.reg * norm

    def factors(self) -> tuple[Tensor, Tensor]:
        return (self.users * self.h).detach(), self.items.detach()
