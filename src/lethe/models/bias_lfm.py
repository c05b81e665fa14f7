"""BiasLFM: LFM around the mean and the biases of users and items, one rating a step.

Koren, Bell & Volinsky, "Matrix Factorization Techniques for Recommender Systems", IEEE Computer 42(8), 2009; in the
mini-batch LFM paper §3, equations 7 to 13.

    min Σ_(u,i) (r_ui - r̂_ui)² + reg (‖p_u‖² + ‖q_i‖² + b_u² + b_i²)

Deviation: α falls linearly to 0 unless ``decay`` says otherwise (the paper: constant 0.05, 30 epochs).
"""

from __future__ import annotations

from collections.abc import Iterator

from lethe.core.random import Stream
from lethe.models.parts.rating import RatingModel, SGDConfig
from lethe.tables.matrix import InteractionMatrix


class BiasLFM(RatingModel):
    """r̂_ui = μ + b_u + b_i + p_u·q_i, μ the mean of the training ratings."""

    biased = True
    Config = SGDConfig

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        return self.descend(data, stream, batch_size=1)
