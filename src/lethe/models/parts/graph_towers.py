"""Two-tower models whose vectors are smoothed along the graph of users and items that they learn from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.models.parts.graph import Graph, normalized_graph
from lethe.models.parts.towers import TwoTower
from lethe.tables.matrix import InteractionMatrix, Shape


class GraphTowers(TwoTower):
    """score(u, v) = e_u·e_v, of what ``smoothed_towers`` gives when training ends."""

    smooth_users: Tensor
    smooth_items: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("smooth_users", torch.zeros(shape.num_users, config.embedding_dim))
        self.register_buffer("smooth_items", torch.zeros(shape.num_items, config.embedding_dim))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        self.hold("graph", normalized_graph(data))

    @property
    def graph(self) -> Graph:
        """Of the rows that it learns from; a model that was read has none."""
        return self.held("graph", Graph)

    def smoothed_towers(self) -> tuple[Tensor, Tensor]:
        """-> users [M, d], items [N, d]."""
        raise NotImplementedError

    def finish(self) -> None:
        self.smooth_users, self.smooth_items = (part.detach().clone() for part in self.smoothed_towers())

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.smooth_users, self.smooth_items

    def unsmoothed(self) -> tuple[Tensor, Tensor]:
        return self.users.detach(), self.items.detach()
