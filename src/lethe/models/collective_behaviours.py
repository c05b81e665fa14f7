"""Collective, behaviours: one matrix of all that users did, each behaviour with a weight of its own, solved exactly.

    min Σ_u Σ_v c_uv (y_uv - p_u·q_v)² + reg Σ‖·‖²

y_uv = 1 where u did anything with v, and c_uv is then the sum of the weights of what u did: 1 for the target,
``weights`` for the others. Cells of no behaviour cost c⁻_v.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from lethe.config.search import Log, Search
from lethe.errors import ConfigError
from lethe.models.parts.collective import Collective, CollectiveConfig
from lethe.models.solvers.collective import Block, union
from lethe.tables.matrix import InteractionMatrix


class CollectiveBehaviours(Collective):
    """score(u, v) = p_u·q_v."""

    needs = frozenset({"behaviours"})

    class Config(CollectiveConfig):
        search: ClassVar[Search] = {
            "other_weight": Log(0.01, 3.0, 7),
        }

        power_iterations: int = Field(3, ge=0)
        weights: dict[str, Annotated[float, Field(ge=0)]] = Field({})
        """Weight of a behaviour beside the target's 1; one that is not named weighs ``other_weight``. 0: left out."""
        other_weight: float = Field(0.3, ge=0)
        """Weight of a behaviour that ``weights`` does not name."""

    def blocks(self, data: InteractionMatrix, negative_weights: np.ndarray) -> tuple[list[Block], dict[str, int]]:
        others, config = data.side.behaviours, self.config
        unknown = sorted(set(config.weights) - set(others))
        if unknown:
            raise ConfigError(
                f"models.collective-behaviours.weights: unknown behaviour {unknown[0]!r}; known: {', '.join(others)}"
            )
        weighted = [(others[name], config.weights.get(name, config.other_weight)) for name in sorted(others)]
        done, weights = union([(data, 1.0), *((matrix, weight) for matrix, weight in weighted if weight > 0)])
        return [Block("users", "items", done, negative_weights, weights)], {}
