"""ALS: matrix factorisation of ratings by alternating least squares, an exact ridge regression a row.

Zhou et al., "Large-Scale Parallel Collaborative Filtering for the Netflix Prize", AAIM 2008.

    min Σ_(u,i) (r_ui - p_u·q_i)² + reg (‖p_u‖² + ‖q_i‖²)

It is LFM's objective, the sum going over the ratings; there is no learning rate and no order. Implicit feedback has
its own in WMF.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base
from lethe.models.parts.rating import RatingModel
from lethe.models.solvers.rating_als import rating_als
from lethe.tables.matrix import InteractionMatrix


class ALS(RatingModel):
    """r̂_ui = p_u·q_i."""

    on_device = frozenset({"als"})

    class Config(base.Config):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 128, 5),
            "reg": Log(0.005, 0.5, 9),
            "sweeps": Log(5, 40, 4),
            "init_std": Log(0.005, 0.5, 7),
        }

        solver: Literal["als"] = "als"
        embedding_dim: int = Field(32, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(0.1, gt=0)
        """Standard deviation of each coordinate of the start vectors, in square roots of a star."""
        reg: float = Field(0.07, gt=0)
        """λ: of each rating's two rows, so that a row's own L2 grows with its ratings."""
        sweeps: int = Field(15, ge=0)
        """Passes over item rows, then user rows."""

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        return rating_als(data, *self.vectors(), reg=self.config.reg, sweeps=self.config.sweeps)
