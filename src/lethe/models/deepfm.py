"""DeepFM: a factorisation machine beside a perceptron, both on the same vectors.

Guo, Tang, Ye, Li & He, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI 2017.

    ŷ(x) = FM(x) + gᵀ z_L,      z_0 = [Σ_{a∈G} x_a e_a for each group G of features],      z_(l+1) = ReLU(W_l z_l + b_l)

by log loss (or BPR) on sampled pairs. Deviations: the perceptron sees five groups (user, their features, contexts,
item, its features) where the paper has every field by itself; the L2 is on the vectors of each pair's features. Scoring
a user costs num_items passes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Choice, Search
from lethe.core.random import Stream
from lethe.models.parts.feature_pairs import GROUPS, FeatureConfig, FeaturePairs
from lethe.models.parts.layers import Perceptron, dropped
from lethe.tables.matrix import InteractionMatrix, Shape


class DeepFM(FeaturePairs):
    """score(u, v) from the user and their features alone; ``score_given`` adds the contexts of the request."""

    class Config(FeatureConfig):
        search: ClassVar[Search] = {
            "layers": Choice([32], [64, 32], [128, 64, 32]),
        }

        layers: tuple[Annotated[int, Field(ge=1)], ...] = (64, 32)
        """Sizes of z_1 .. z_L."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.perceptron = Perceptron((GROUPS * config.embedding_dim, *config.layers))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        self.perceptron.start(stream("perceptron"))

    def predict(self, groups: Tensor, generator: torch.Generator | None = None) -> Tensor:
        shallow = self.linear(groups) + self.crossed(groups).sum(dim=1)
        vectors = dropped(groups[..., : self.config.embedding_dim].flatten(1), self.config.dropout, generator)
        return shallow + self.perceptron(vectors, self.config.dropout, generator)
