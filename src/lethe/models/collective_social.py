"""Collective, social: users described by what they like and by whom they trust, solved exactly.

    min Σ_u Σ_v c_uv (y_uv - p_u·q_v)² + μ Σ_u Σ_t c_ut (x_ut - p_u·g_t)² + reg Σ‖·‖²

with x_ut = 1 where u links to t, and c_ut = 1 there, else ``links_negative_weight``. g_t is friend t as a target, a
table of its own. Idea: Ma et al., "SoRec: Social Recommendation Using Probabilistic Matrix Factorization", CIKM 2008,
which sees the observed cells alone; here all cells count and no step is sampled.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from lethe.config.search import Log, Search
from lethe.models.parts.collective import Collective, CollectiveConfig
from lethe.models.solvers.collective import Block
from lethe.tables.matrix import InteractionMatrix


class CollectiveSocial(Collective):
    """score(u, v) = p_u·q_v."""

    needs = frozenset({"links"})

    class Config(CollectiveConfig):
        search: ClassVar[Search] = {
            "links_weight": Log(0.01, 10.0, 7, zero=True),
            "links_negative_weight": Log(0.005, 0.5, 7),
        }

        dropout: float = Field(0.7, ge=0, lt=1)
        links_weight: float = Field(0.3, ge=0)
        """μ: weight of the links beside the interactions."""
        links_negative_weight: float = Field(0.05, gt=0)
        """c⁻: weight of a pair of users who are not linked."""

    def blocks(self, data: InteractionMatrix, negative_weights: np.ndarray) -> tuple[list[Block], dict[str, int]]:
        links, config, plain = data.side.links, self.config, Block("users", "items", data, negative_weights)
        assert links is not None
        if config.links_weight == 0:
            return [plain], {}
        strangers = np.full(links.num_items, config.links_negative_weight)
        social = Block("users", "friends", links, strangers, weight=config.links_weight)
        return [plain, social], {"friends": links.num_items}
