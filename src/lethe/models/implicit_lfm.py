"""ImplicitLFM: the latent factor model of the RA_LST paper (§2.1, figure 3), a factorisation of who took what.

    min Σ_(u,v) (y_uv - p_u·q_v)² + reg (‖p_u‖² + ‖q_v‖²);     p_u ← p_u + α (e q_v - reg p_u), q_v likewise

over the interactions (y = 1) and as many items that their users lack (y = 0), drawn anew in every epoch; vectors start
as N(0, 1) and α is 0.02, as the paper says. It does not say how many negatives, d, reg or epochs it took. A step
overshoots where α (‖p‖² + ‖q‖²) passes 2, which under N(0, 1) limits d to about 1 / α.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, towers
from lethe.models.solvers.rating_sgd import implicit_sgd
from lethe.tables.matrix import InteractionMatrix


class ImplicitLFM(towers.TwoTower):
    """score(u, v) = p_u·q_v."""

    class Config(base.Config):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 128, 5),
            "init_std": Log(0.03, 3.0, 7),
            "learning_rate": Log(0.002, 0.2, 7),
            "reg": Log(0.002, 0.2, 7),
            "num_negatives": Log(1, 8, 4),
            "epochs": Log(8, 120, 5),
        }

        solver: Literal["sgd"] = "sgd"
        embedding_dim: int = Field(16, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(1.0, gt=0)
        """Standard deviation of each coordinate of the start vectors."""
        learning_rate: float = Field(0.02, gt=0)
        """Length of the first step, one cell's gradient."""
        reg: float = Field(0.02, ge=0)
        """λ: of each cell's two rows, so that a row's own L2 grows with its cells."""
        num_negatives: int = Field(1, ge=1)
        """Lacked items drawn for each interaction."""
        epochs: int = Field(30, ge=0)
        """Passes over the interactions, each with its negatives."""
        decay: Literal["constant", "linear"] = "linear"
        """Learning rate over the epochs: constant, or linear to 0."""

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        config = self.config
        return implicit_sgd(
            data,
            self.users.detach().numpy(),
            self.items.detach().numpy(),
            stream,
            epochs=config.epochs,
            learning_rate=config.learning_rate,
            reg=config.reg,
            num_negatives=config.num_negatives,
            decay=config.decay,
        )
