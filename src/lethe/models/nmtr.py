"""NMTR: neural multi-task recommendation: behaviours as a cascade, each predicted on top of the one before.

Gao et al., "Neural Multi-Task Recommendation from Multi-Behavior Data", ICDE 2019.

    ŷ^(k)_uv = ŷ^(k-1)_uv + h_kᵀ(p_u ⊙ q_v) + b_k,      ŷ^(0) = 0,      min Σ_k μ_k Σ_(u,v) logloss(ŷ^(k)_uv, y^(k)_uv)

over every interaction and ``num_negatives`` random lacked items for each, behaviours from the weakest to the target. Of
the paper's three forms of a behaviour's own part this is NMTR-GMF. Deviations: the L2 is on the vectors of the sampled
pairs rather than on whole tables; h starts at 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lethe.core.random import Stream
from lethe.models.parts import towers
from lethe.models.parts.behaviour_pairs import BehaviourPairs, LevelsConfig
from lethe.models.parts.layers import rows_at
from lethe.tables.matrix import InteractionMatrix, Shape


class NMTR(BehaviourPairs):
    """score(u, v) = ŷ of the target behaviour, without the b that are the same for all items."""

    class Config(LevelsConfig):
        pass

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d, behaviours = config.embedding_dim, len(config.names)
        self.users = nn.Parameter(torch.zeros(shape.num_users, d))
        self.items = nn.Parameter(torch.zeros(shape.num_items, d))
        self.h = nn.Parameter(torch.zeros(behaviours, d))
        self.bias = nn.Parameter(torch.zeros(behaviours))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        towers.normal_(self.users, self.config.init_std, stream.torch("users"))
        towers.normal_(self.items, self.config.init_std, stream.torch("items"))
        nn.init.ones_(self.h)

    def pairs(self, place: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        p, q = rows_at(self.users, users), rows_at(self.items, items)
        scores = (p * q) @ self.h[: place + 1].sum(dim=0) + self.bias[: place + 1].sum()
        return scores, p.square().sum() + q.square().sum()

    def factors(self) -> tuple[Tensor, Tensor]:
        return (self.users * self.h.sum(dim=0)).detach(), self.items.detach()
