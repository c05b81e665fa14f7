"""LFM: matrix factorisation of ratings by gradient descent, one rating a step (FunkSVD).

Funk, "Netflix Update: Try This at Home", 2006; in the mini-batch LFM paper (§2, equations 1 to 6) the baseline.

    min Σ_(u,i) (r_ui - p_u·q_i)² + reg (‖p_u‖² + ‖q_i‖²);     p_u ← p_u + α (e q_i - reg p_u), q_i likewise

Deviations: all features at once, as the paper, where Funk trained one after another; α falls linearly to 0 unless
``decay`` says otherwise (the paper: constant 0.05, 30 epochs); the start gives every cell μ.
"""

from __future__ import annotations

from collections.abc import Iterator

from lethe.core.random import Stream
from lethe.models.parts.rating import RatingModel, SGDConfig
from lethe.tables.matrix import InteractionMatrix


class LFM(RatingModel):
    """r̂_ui = p_u·q_i."""

    Config = SGDConfig

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        return self.descend(data, stream, batch_size=1)
