"""CMF: collective matrix factorisation of all behaviours, with one vector a user and items of each behaviour their own.

Singh & Gordon, "Relational Learning via Collective Matrix Factorization", KDD 2008, for behaviours as in the tables of
EHCF and GHCF.

    min Σ_k μ_k Σ_(u,v) [softplus(ŷ^k_uv) - y^k_uv ŷ^k_uv] + reg (‖p_u‖² + ‖q^k_v‖²),      ŷ^k_uv = p_u·q^k_v

over every interaction and ``num_negatives`` random lacked items for each: the paper's logistic form, sampled, as the
multi-behaviour papers train it. ``collective-behaviours`` is the square loss over all cells, solved exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lethe.core.random import Stream
from lethe.models.parts import towers
from lethe.models.parts.behaviour_pairs import BehaviourPairs, LevelsConfig
from lethe.models.parts.layers import rows_at
from lethe.tables.matrix import InteractionMatrix, Shape


class CMF(BehaviourPairs):
    """score(u, v) = ŷ of the target behaviour."""

    class Config(LevelsConfig):
        pass

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d = config.embedding_dim
        self.users = nn.Parameter(torch.zeros(shape.num_users, d))
        self.items = nn.ParameterList(torch.zeros(shape.num_items, d) for _ in config.names)

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        towers.normal_(self.users, self.config.init_std, stream.torch("users"))
        for name, items in zip(self.config.names, self.items, strict=True):
            towers.normal_(items, self.config.init_std, stream.torch("items", name))

    def pairs(self, place: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        p, q = rows_at(self.users, users), rows_at(self.items[place], items)
        return (p * q).sum(dim=1), p.square().sum() + q.square().sum()

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.users.detach(), self.items[-1].detach()
