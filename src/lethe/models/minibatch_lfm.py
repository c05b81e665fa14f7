"""MiniBatchLFM: BiasLFM by mini-batches, the gradient summed over the batch (the mini-batch LFM paper, §5).

The objective is BiasLFM's. A step takes ``batch_size`` ratings at the parameters before it. As the gradient is a sum,
the largest stable α falls with the most ratings that one user or item has in a batch.

Deviation: α falls linearly to 0 unless ``decay`` says otherwise (the paper: constant, 0.0018 at 1024 ratings).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts.rating import RatingModel, SGDConfig
from lethe.tables.matrix import InteractionMatrix


class MiniBatchLFM(RatingModel):
    """r̂_ui = μ + b_u + b_i + p_u·q_i, μ the mean of the training ratings."""

    biased = True

    class Config(SGDConfig):
        search: ClassVar[Search] = {
            "batch_size": Log(64, 4096, 7),
        }

        batch_size: int = Field(1024, ge=1)
        """Ratings a step."""

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        return self.descend(data, stream, batch_size=self.config.batch_size)
