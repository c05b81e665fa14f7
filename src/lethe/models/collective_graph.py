"""Collective, graph: items described by who likes them and by what is known of them, solved exactly.

    min Σ_u Σ_v c_uv (y_uv - p_u·q_v)² + μ Σ_v Σ_t c_vt (g_vt - q_v·e_t)² + reg Σ‖·‖²

with g_vt = 1 where a triple joins item v and entity t, by whatever relation, and c_vt = 1 there, else
``graph_negative_weight``. Idea: Singh & Gordon, "Relational Learning via Collective Matrix Factorization", KDD 2008,
which sees the observed cells alone; here all cells count and no step is sampled.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from lethe.config.search import Log, Search
from lethe.models.parts.collective import Collective, CollectiveConfig
from lethe.models.solvers.collective import Block
from lethe.tables.matrix import InteractionMatrix, Shape, TripleMatrix


class CollectiveGraph(Collective):
    """score(u, v) = p_u·q_v."""

    needs = frozenset({"triples"})

    class Config(CollectiveConfig):
        search: ClassVar[Search] = {
            "graph_weight": Log(0.01, 30.0, 8, zero=True),
            "graph_negative_weight": Log(0.005, 0.5, 7),
        }

        graph_weight: float = Field(1.0, ge=0)
        """μ: weight of the graph beside the interactions."""
        graph_negative_weight: float = Field(0.05, gt=0)
        """c⁻: weight of an item and an entity that no triple joins."""

    def blocks(self, data: InteractionMatrix, negative_weights: np.ndarray) -> tuple[list[Block], dict[str, int]]:
        config, plain = self.config, Block("users", "items", data, negative_weights)
        assert data.side.triples is not None
        if config.graph_weight == 0:
            return [plain], {}
        graph = item_entities(data.side.triples, self.shape.num_entities)
        apart = np.full(graph.num_items, config.graph_negative_weight)
        known = Block("items", "entities", graph, apart, weight=config.graph_weight)
        return [plain, known], {"entities": graph.num_items}


def item_entities(triples: TripleMatrix, num_entities: int) -> InteractionMatrix:
    """Items x entities: the pairs that some relation joins, each once."""
    num_items = len(triples.indptr) - 1
    items = np.repeat(np.arange(num_items), np.diff(triples.indptr))
    pairs = np.unique(items * num_entities + triples.entities)
    return InteractionMatrix(Shape(num_items, num_entities), *np.divmod(pairs, max(num_entities, 1)))
