"""ExpoMF: matrix factorisation that infers which items a user was exposed to.

Liang, Charlin, McInerney & Blei, "Modeling User Exposure in Recommendation", WWW 2016.

    a_uv ~ Bernoulli(μ_v),      y_uv | a_uv = 1 ~ N(p_u·q_v, λ_y⁻¹),      y_uv | a_uv = 0 is 0

by expectation maximisation: a_uv's expectation for every cell, then weighted least squares for p and q, then μ_v, which
has a Beta(α₁, α₂) prior. Deviations from the authors' program: a few warm-started conjugate-gradient steps solve each
row instead of a d × d factorisation, responsibilities are made anew for each row rather than stored, and μ follows from
those that the items were solved with, of the vectors before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, towers
from lethe.models.solvers.expomf import expomf
from lethe.tables.matrix import InteractionMatrix

AtLeastOne = Annotated[float, Field(ge=1)]


class ExpoMF(towers.TwoTower):
    """score(u, v) = p_u·q_v."""

    class Config(base.Config):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 256, 6),
            "precision": Log(0.3, 30.0),
            "reg": Log(0.3, 300.0),
            "initial_exposure": Log(0.001, 0.3, 6),
            "sweeps": Log(5, 40, 4),
        }

        solver: Literal["em"] = "em"
        embedding_dim: int = Field(64, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(0.1, gt=0)
        """Standard deviation of each coordinate of the start vectors."""
        precision: float = Field(3.0, gt=0)
        """λ_y of the ratings' normal distribution."""
        reg: float = Field(10.0, gt=0)
        """λ_θ / λ_y = λ_β / λ_y: L2 of a row, in interactions."""
        initial_exposure: float = Field(0.01, gt=0, lt=1)
        """μ of every item at the start."""
        prior: tuple[AtLeastOne, AtLeastOne] = (1.0, 1.0)
        """α₁, α₂ of the exposures' beta distribution."""
        sweeps: int = Field(10, ge=0)
        """User rows, item rows, then the exposures, once each."""
        steps: int = Field(3, ge=1)
        """Conjugate-gradient steps for a row."""

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        config = self.config
        return expomf(
            data,
            self.users.detach().numpy(),
            self.items.detach().numpy(),
            np.full(data.num_items, config.initial_exposure, np.float32),
            precision=config.precision,
            reg=config.reg,
            prior=config.prior,
            sweeps=config.sweeps,
            steps=config.steps,
        )
