"""BPR: matrix factorisation for Bayesian personalised ranking.

Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009.

    min Σ_(u,i,j) -ln σ(p_u·q_i - p_u·q_j) + reg (‖p_u‖² + ‖q_i‖² + ‖q_j‖²) / 2

Deviations: triples are drawn by user first, as RecEraser's program does, not by interaction; the learning rate falls
linearly to 0, so that the last weights are the best ones and no model choice is needed; items have no bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, towers
from lethe.models.parts.fold_in import FoldIn, PairwiseRows
from lethe.models.solvers.bpr_sgd import bpr_sgd
from lethe.tables.matrix import InteractionMatrix


class BPR(towers.TwoTower):
    """score(u, v) = p_u·q_v."""

    class Config(base.Config):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 256, 6),
            "learning_rate": Log(0.005, 0.5, 9),
            "reg": Log(1e-4, 1.0, 9, zero=True),
            "epochs": Log(30, 960, 6),
        }

        solver: Literal["sgd"] = "sgd"
        embedding_dim: int = Field(64, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(0.1, gt=0)
        """Standard deviation of each coordinate of the start vectors."""
        learning_rate: float = Field(0.05, gt=0)
        """Length of the first step, one triple's gradient; that of the last one is 0."""
        reg: float = Field(0.01, ge=0)
        """Factor of half the L2 on the three vectors of each triple."""
        epochs: int = Field(120, ge=0)
        """Passes of as many triples as there are interactions."""

    def fold_in(self) -> FoldIn:
        return PairwiseRows(self.items.detach().numpy(), np.array(self.config.reg))

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        return bpr_sgd(
            data,
            self.users.detach().numpy(),
            self.items.detach().numpy(),
            seed=stream.integer("triples"),
            epochs=self.config.epochs,
            learning_rate=self.config.learning_rate,
            reg=self.config.reg,
        )
