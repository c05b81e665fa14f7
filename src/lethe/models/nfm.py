"""NFM: a neural factorisation machine, a perceptron on top of the pooled products of features.

He & Chua, "Neural Factorization Machines for Sparse Predictive Analytics", SIGIR 2017.

    ŷ(x) = w_0 + Σ_a w_a x_a + gᵀ z_L,      z_0 = Σ_{a<b} x_a e_a ⊙ x_b e_b,      z_(l+1) = ReLU(W_l z_l + b_l)

by log loss (or BPR) on sampled pairs. Deviations from the authors' program: no batch normalisation, so that what a pair
scores depends on no other pair; the L2 is on the vectors of each pair's features; it isn't trained as an FM first.
Scoring a user costs num_items passes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Choice, Search
from lethe.core.random import Stream
from lethe.models.parts.feature_pairs import FeatureConfig, FeaturePairs
from lethe.models.parts.layers import Perceptron, dropped
from lethe.tables.matrix import InteractionMatrix, Shape


class NFM(FeaturePairs):
    """score(u, v) from the user and their features alone; ``score_given`` adds the contexts of the request."""

    pooled = True

    class Config(FeatureConfig):
        search: ClassVar[Search] = {
            "layers": Choice([], [64], [64, 32]),
        }

        layers: tuple[Annotated[int, Field(ge=1)], ...] = (64,)
        """Sizes of z_1 .. z_L; empty: z_0 alone."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.perceptron = Perceptron((config.embedding_dim, *config.layers))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        self.perceptron.start(stream("perceptron"))

    def predict(self, groups: Tensor, generator: torch.Generator | None = None) -> Tensor:
        pooled = dropped(self.crossed(groups), self.config.dropout, generator)
        return self.linear(groups) + self.perceptron(pooled, self.config.dropout, generator)
