"""ENMF with a quadratic head, learnt without sampling: the score is a product and the square of another.

Chapter 7 of Chen's thesis leaves such a head open; this is ours, by Theorem 3.1 of the same thesis:

    ŷ_uv = p_u·q_v + s (a_u·b_v)²,      (a·b)² = φ(a)·φ(b),      φ(a) = (a_i², √2 a_i a_j for i < j)

The square is a product of longer vectors, so the whole-matrix square loss (ENMF, eq. 3.9) holds exactly at the cost of
d + k(k + 1)/2 dimensions, for a and b of size k: no cell is sampled. What is alike and what is opposite in a and b both
move a score one way, which no product of d + k dimensions can say.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.search import Choice, Search
from lethe.core.random import Stream
from lethe.models.parts import towers
from lethe.tables.matrix import InteractionMatrix, Shape


class ENMFQuadratic(towers.NonSampling):
    """score(u, v) = p_u·q_v + s (a_u·b_v)²; a and b are ``bent_users`` [M, k] and ``bent_items`` [N, k]."""

    class Config(towers.NonSamplingConfig):
        solver: Literal["gradient"] = "gradient"
        squared_dim: int = Field(8, ge=1)
        """Size k of the vectors whose product is squared; they cost k(k + 1)/2 dimensions."""
        init_std: float = Field(0.1, gt=0)
        learning_rate: float = Field(0.02, gt=0)
        epochs: int = Field(150, ge=0)

        search: ClassVar[Search] = {"squared_dim": Choice(4, 8, 16)}

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.bent_users = nn.Parameter(torch.zeros(shape.num_users, config.squared_dim))
        self.bent_items = nn.Parameter(torch.zeros(shape.num_items, config.squared_dim))
        self.strength = nn.Parameter(torch.zeros(1))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        towers.normal_(self.bent_users, self.config.init_std, stream.torch("bent users"))
        towers.normal_(self.bent_items, self.config.init_std, stream.torch("bent items"))
        nn.init.ones_(self.strength)

    def steady(self) -> bool:
        return True

    def loss(self, batch: Any) -> Tensor:
        users = torch.cat([batch.of(self.users), self.strength * squares(batch.of(self.bent_users))], dim=1)
        return self.square_loss(users, self.right(), batch)

    def right(self) -> Tensor:
        """[N, d + k(k + 1)/2]."""
        return torch.cat([self.items, squares(self.bent_items)], dim=1)

    def factors(self) -> tuple[Tensor, Tensor]:
        users = torch.cat([self.users, self.strength * squares(self.bent_users)], dim=1)
        return users.detach(), self.right().detach()


def squares(x: Tensor) -> Tensor:
    """φ of each row of [n, k] -> [n, k(k + 1)/2]: φ(a)·φ(b) = (a·b)²."""
    left, right = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
    scale = torch.where(left == right, 1.0, 2**0.5).to(x)
    # Not x[:, left]: the gradient of a product of all pairs needs nothing to be added up at equal places.
    return (x[:, :, None] * x[:, None, :]).flatten(1)[:, left * x.shape[1] + right] * scale
