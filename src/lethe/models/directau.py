"""DirectAU: vectors on the unit sphere that are aligned where there is an interaction, and spread out evenly.

Wang et al., "Towards Representation Alignment and Uniformity in Collaborative Filtering", KDD 2022.

    min Σ_B { Σ_(u,v)∈B ‖p̂_u - q̂_v‖² + γ |B| [l(p̂_B) + l(q̂_B)] / 2 },
    l(x̂) = ln mean_{a<b} exp(-2 ‖x̂_a - x̂_b‖²),      x̂ = x / ‖x‖

over batches B of interactions: there are no negatives. Of the paper's two encoders this is the factorisation. Losses
are sums, |B| times the paper's means; a user who occurs twice in a batch counts twice, as theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import towers
from lethe.models.parts.batches import Pairs, pair_batches
from lethe.models.parts.layers import rows_at
from lethe.models.parts.vectors import VectorsConfig
from lethe.tables.matrix import InteractionMatrix


class DirectAU(towers.TwoTower):
    """score(u, v) = p_u·q_v."""

    class Config(VectorsConfig):
        uniformity: float = Field(1.0, ge=0)
        """γ: weight of the spread against the alignment."""
        reg: float = Field(0.0, ge=0)
        """Factor of half the L2 on the vectors of each interaction."""
        epochs: int = Field(40, ge=0)
        batch_size: int = Field(256, ge=0)
        """Interactions a step; every two of its users, and of its items, are compared."""

        search: ClassVar[Search] = {
            "embedding_dim": Log(16, 256, 5),
            "uniformity": Log(0.1, 10.0, 9),
            "reg": Log(1e-6, 0.1, 6, zero=True),
            "learning_rate": Log(5e-4, 0.05, 5),
            "epochs": Log(10, 160, 5),
            "batch_size": Log(128, 2048, 5),
        }

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Pairs]:
        return pair_batches(data, self.config.batch_size, stream.numpy("batches"))

    def loss(self, batch: Pairs) -> Tensor:
        p, q = rows_at(self.users, batch.users), rows_at(self.items, batch.items)
        left, right = functional.normalize(p), functional.normalize(q)
        value = (left - right).square().sum()
        if len(p) > 1 and self.config.uniformity:
            spread = 0.5 * (uniformity(left) + uniformity(right))
            value = value + self.config.uniformity * len(p) * spread
        return value + 0.5 * self.config.reg * (p.square().sum() + q.square().sum())


def uniformity(x: Tensor) -> Tensor:
    """ln of the mean of exp(-2 ‖x_a - x_b‖²) over the pairs a < b of unit vectors [B, d], B > 1 -> scalar."""
    closeness = torch.exp(4 * (x @ x.T) - 4)  # ‖a - b‖² = 2 - 2 a·b
    pairs = len(x) * (len(x) - 1)
    return torch.log(2 * closeness.triu(1).sum() / pairs)
