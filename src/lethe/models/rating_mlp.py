"""RatingMLP: a perceptron over a user's and an item's embedding, for ratings.

Yu, "Hands-on Recommender Systems" (course of 2022): the network version of ALS, extended by further layers.

    r̂_ui = μ + gᵀ z_L,      z_0 = [p_u ; q_i],      z_(l+1) = ReLU(W_l z_l + b_l)
    min Σ_(u,i) (r_ui - r̂_ui)² + reg (‖p_u‖² + ‖q_i‖²)

The course gives neither sizes nor a regulariser. μ, the mean of the training ratings, is taken off beforehand. Every
cell goes through the layers, so scoring a user costs num_items passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Choice, Linear, Search
from lethe.core.random import Stream
from lethe.models.embedding_dot import EmbeddingDot, RatingBatch
from lethe.models.parts import base, towers
from lethe.models.parts.layers import Perceptron, dropped, rows_at
from lethe.tables.matrix import InteractionMatrix, Shape


class RatingMLP(EmbeddingDot):
    """r̂_ui = μ + gᵀ z_L."""

    class Config(EmbeddingDot.Config):
        search: ClassVar[Search] = {
            "layers": Choice([32], [64, 32], [128, 64, 32]),
            "dropout": Linear(0.0, 0.6, 7),
        }

        layers: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 32), min_length=1)
        """Sizes of z_1 .. z_L."""
        dropout: base.Probability = 0.0
        """Share dropped of the entries of z_0 .. z_L."""
        learning_rate: float = Field(0.01, gt=0)
        batch_size: int = Field(512, ge=0)
        """Ratings a step. 0: all of them."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.perceptron = Perceptron((2 * config.embedding_dim, *config.layers))
        self._masks: torch.Generator | None = None

    def start(self, stream: Stream) -> None:
        for name, vectors in (("users", self.users), ("items", self.items)):
            towers.normal_(vectors, self.config.init_std, stream.torch(name))
        self.perceptron.start(stream("perceptron"))

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[RatingBatch]:
        self._masks = stream.torch("dropout")
        return super().batches(data, stream)

    def ratings(self, p: Tensor, q: Tensor, masks: torch.Generator | None = None) -> Tensor:
        """r̂ of aligned vectors [B, d] -> [B]; dropout where there is a generator."""
        z = dropped(torch.cat([p, q], dim=1), self.config.dropout, masks)
        rated: Tensor = self.mean + self.perceptron(z, self.config.dropout, masks)
        return rated

    def loss(self, batch: RatingBatch) -> Tensor:
        p, q = rows_at(self.users, batch.users), rows_at(self.items, batch.items)
        errors = batch.ratings - self.ratings(p, q, self._masks)
        return errors.square().sum() + self.config.reg * (p.square().sum() + q.square().sum())

    def cells(self, users: Tensor, items: Tensor) -> Tensor:
        with torch.no_grad():
            return self.ratings(self.users[users], self.items[items])

    def score(self, users: Tensor) -> Tensor:
        scores = self.items.new_empty(len(users), self.shape.num_items)
        with torch.no_grad():
            # User by user: the layers of many users at once would not fit the memory.
            for row, user in enumerate(users.tolist()):
                scores[row] = self.ratings(self.users[user].expand(self.shape.num_items, -1), self.items)
        return scores

    def factors(self) -> None:  # type: ignore[override]
        """None: a rating is no product of a user and an item."""
        return None

    def fold_in(self) -> None:  # type: ignore[override]
        """None: nobody's vector follows from their ratings in closed form."""
        return None
