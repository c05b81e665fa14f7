"""WMF: weighted matrix factorisation over all cells.

Hu, Koren & Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.

    min Σ_u Σ_v c_uv (y_uv - p_u·q_v)² + reg (Σ‖p_u‖² + Σ‖q_v‖²),      c_uv = 1 + α w_uv if y_uv = 1, else c⁻_v

w is what an interaction weighs (views, purchases), 1 where the data say nothing; α is 0 by default.

With ``reg_exponent`` ν it is the iALS of Rendle et al., "Revisiting the Performance of iALS on Item Recommendation
Benchmarks", RecSys 2022: a row's factor of the L2 is then reg · (Σ of the weights of its cells)^ν.

Deviations from the program that the RecEraser paper trains: its dropout on p_u is integrated out exactly instead of
sampled, and the default solver is alternating least squares, which has no learning rate, batch or mask, from the
leading singular vectors of the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import towers
from lethe.models.parts.batches import RowBatch
from lethe.models.parts.fold_in import FoldIn, FrequencyRows
from lethe.models.solvers.als import als
from lethe.models.solvers.spectral import turn_to_spectrum
from lethe.tables.matrix import InteractionMatrix


class WMF(towers.NonSampling):
    """score(u, v) = p_u·q_v."""

    repeats = True
    weight_option = "alpha"
    on_device = frozenset({"gradient", "als"})

    class Config(towers.NonSamplingConfig):
        search: ClassVar[Search] = {
            "reg": Log(0.001, 100.0, 11, zero=True),
            "reg_exponent": Linear(0.0, 1.0, 5),
            "alpha": Log(0.01, 100.0, 5, zero=True),
            "sweeps": Log(5, 40, 4),
        }

        solver: Literal["als", "gradient"] = "als"
        reg: float = Field(0.0, ge=0)
        """λ of the L2; the dropout's expectation already holds the vectors back."""
        alpha: float = Field(0.0, ge=0)
        """als: α, what an interaction's weight adds to the 1 that its cell costs, 1 + α · weight; 0: weights don't
        count. An interaction without a weight, as those of a history that a request brings, weighs 1."""
        reg_exponent: float = Field(0.0, ge=0, le=1)
        """als: ν, a row's λ is reg · (Σ of the weights of its cells)^ν. 1 goes by frequency, as tuned iALS does."""
        sweeps: int = Field(10, ge=0)
        """als: passes over item rows, then user rows."""
        steps: int = Field(3, ge=1)
        """als: conjugate-gradient steps for a row."""
        power_iterations: int = Field(3, ge=0)
        """als: steps towards the data's leading singular vectors before the first sweep. 0: it starts from random
        vectors."""

        @model_validator(mode="after")
        def _weighs_by_als(self) -> Self:
            if self.alpha > 0 and self.solver != "als":
                raise ValueError(f"alpha: {self.alpha:g} is for solver 'als', not {self.solver!r}; must be 0")
            return self

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        config, (users, items) = self.config, self.vectors()
        turn_to_spectrum(data, users, config.power_iterations)
        return als(
            data,
            users,
            items,
            negative_weights=self.negative_weights.cpu().numpy(),
            alpha=config.alpha,
            dropout=config.dropout,
            reg=config.reg,
            reg_exponent=config.reg_exponent,
            sweeps=config.sweeps,
            steps=config.steps,
        )

    def fold_in(self) -> FoldIn:
        # The same least as with c⁺ = 1 + α: all is divided by it, but Σ c of the L2's factor as it is.
        cost, exponent = 1.0 + self.config.alpha, self.config.reg_exponent
        rows = self.rows_of(self.items, self.config.reg * cost ** (exponent - 1.0), cost)
        return FrequencyRows(rows.items, **rows.arrays(), exponent=np.array(exponent)) if exponent else rows

    def steady(self) -> bool:
        return True

    def loss(self, batch: RowBatch) -> Tensor:
        loss = self.square_loss(batch.of(self.users), self.items, batch)
        return loss + self.config.reg * self.squared_norm(batch) if self.config.reg else loss
