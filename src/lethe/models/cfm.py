"""CFM: convolutions over the outer products of every two groups of features.

Xin et al., "CFM: Convolutional Factorization Machines for Context-Aware Recommendation", IJCAI 2019.

    ŷ(x) = w_0 + Σ_a w_a x_a + gᵀ E_L,      E_0 = [e_G ⊗ e_H for G < H],      E_(l+1) = ReLU(K_l * E_l + b_l)

with e_G = Σ_{a∈G} x_a e_a, by BPR (or log loss) on sampled pairs; log₂(d) convolutions leave one cell. Deviations: the
groups are five (user, their features, contexts, item, its features) where the paper has every field by itself; those of
several values are summed, not pooled by attention; the first convolution reaches over all products at once, so that the
later ones have no third dimension; the vectors start at random, not from an FM; the default size is for a CPU. Scoring
a user costs num_items passes.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.search import Choice, Search
from lethe.core.random import Stream
from lethe.models.parts import towers
from lethe.models.parts.feature_pairs import GROUPS, FeatureConfig, FeaturePairs
from lethe.models.parts.layers import Halving, dropped, halved
from lethe.tables.matrix import InteractionMatrix, Shape

_PAIRS = tuple(zip(*combinations(range(GROUPS), 2), strict=True))
"""The first and the second group of each product."""


class CFM(FeaturePairs):
    """score(u, v) from the user and their features alone; ``score_given`` adds the contexts of the request."""

    class Config(FeatureConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Choice(8, 16, 32),
            "channels": Choice(8, 16, 32),
        }

        loss: Literal["log", "bpr"] = "bpr"
        embedding_dim: Halving = Field(16, ge=2)
        """Size d of the vectors, a power of 2."""
        init_std: float = Field(0.1, gt=0)
        """Standard deviation of each coordinate of the start vectors."""
        channels: int = Field(16, ge=1)
        """Channels of each convolution."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.kernels, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer in range(int(math.log2(config.embedding_dim))):
            into = config.channels if layer else len(_PAIRS[0])
            self.kernels.append(torch.zeros(4 * into, config.channels))
            self.biases.append(torch.zeros(config.channels))
        self.g = nn.Parameter(torch.zeros(config.channels))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        for layer, kernel in enumerate(self.kernels):
            # This scale keeps the size of what passes a layer of ReLUs (He et al. 2015).
            towers.normal_(kernel, math.sqrt(2 / len(kernel)), stream.torch("layer", layer))
        towers.normal_(self.g, math.sqrt(1 / len(self.g)), stream.torch("g"))

    def predict(self, groups: Tensor, generator: torch.Generator | None = None) -> Tensor:
        vectors = groups[..., : self.config.embedding_dim]
        first, second = (vectors[:, torch.tensor(side).to(vectors.device)] for side in _PAIRS)
        cells = (first[:, :, :, None] * second[:, :, None, :]).permute(0, 2, 3, 1)  # [B, d, d, products]
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            cells = halved(cells, kernel, bias)
        return self.linear(groups) + dropped(cells[:, 0, 0], self.config.dropout, generator) @ self.g
