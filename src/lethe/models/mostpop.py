"""MostPop: rank items by how often they occur in the training rows; the floor under every table."""

from __future__ import annotations

import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.models.parts import base
from lethe.tables.matrix import InteractionMatrix, Shape


class MostPop(base.Model):
    """score(u, v) = number of training rows of v, the same for every user."""

    repeats = True

    class Config(base.Config):
        solver: str = "count"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("counts", torch.zeros(shape.num_items))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.counts = torch.from_numpy(data.item_counts).to(torch.float32)

    def score(self, users: Tensor) -> Tensor:
        return self.counts.expand(len(users), -1)
