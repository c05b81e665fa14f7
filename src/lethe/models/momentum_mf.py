"""MomentumMF: matrix factorisation of ratings by full-batch gradient descent with momentum.

The PyTorch matrix-factorisation article (Aakanksha NS, 2020):

    min mean (r_ui - p_u·q_i)² + reg (‖P‖² + ‖Q‖²);     v ← 0.9 v + 0.1 g,  θ ← θ - α v

from uniform(0, R_max + 1) / K, R_max the highest rating and K the embedding size.

Deviation: α is ``learning_rate`` over the loss's steepness, which grows with the largest share of the ratings that
one row has and with the size of a rating, so that one value suits data of any size, with up to ten stars.
The article's plain 0.01 leaves the vectors where they started: the train MSE it reports, 6.03, is above the variance
of its ratings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field

from lethe.config.search import Choice, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base
from lethe.models.parts.rating import RatingModel
from lethe.models.solvers.rating_momentum import rating_momentum
from lethe.tables.matrix import InteractionMatrix


class MomentumMF(RatingModel):
    """r̂_ui = p_u·q_i."""

    class Config(base.Config):
        search: ClassVar[Search] = {
            "embedding_dim": Log(4, 64, 5),
            "learning_rate": Log(0.1, 10.0, 7),
            "momentum": Choice(0.8, 0.9, 0.95),
            "reg": Log(1e-7, 1e-3, 9),
            "iterations": Log(250, 4000, 5),
        }

        solver: Literal["momentum"] = "momentum"
        embedding_dim: int = Field(16, ge=1)
        """Size K of the vectors."""
        learning_rate: float = Field(1.0, gt=0)
        """Length of a step, in units of 1 / (largest share of the ratings in one row · largest rating)."""
        momentum: float = Field(0.9, ge=0, lt=1)
        """Share of the last step that goes into the next."""
        reg: float = Field(1e-5, ge=0)
        """λ of the L2, beside the *mean* square error."""
        iterations: int = Field(1000, ge=0)
        """Steps, each over all ratings."""

    reg_of_a_stranger = 0.07  # its own λ is beside a mean over all ratings, whose number it doesn't keep

    def start(self, stream: Stream) -> None:
        width = float(self.bounds[1] + 1) / self.config.embedding_dim
        with torch.no_grad():
            self.users.copy_(torch.rand(self.users.shape, generator=stream.torch("users")) * width)
            self.items.copy_(torch.rand(self.items.shape, generator=stream.torch("items")) * width)

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        if len(data) == 0:
            return iter(())
        config, counts = self.config, data.indptr[1:] - data.indptr[:-1]
        steepness = max(counts.max(), data.item_counts.max()) / len(data) * float(self.bounds.abs().max())
        return rating_momentum(
            data,
            self.users.detach().numpy(),
            self.items.detach().numpy(),
            iterations=config.iterations,
            learning_rate=config.learning_rate / steepness,
            reg=config.reg,
            momentum=config.momentum,
        )
