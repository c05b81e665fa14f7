"""EmbeddingDot: the dot product of two embeddings, by the gradient of the square error.

The deep-learning version of ALS in Yu, "Hands-on Recommender Systems" (course of 2022): two embedding tables, MSE.

    min Σ_(u,i) (r_ui - p_u·q_i)² + reg (‖p_u‖² + ‖q_i‖²)

Deviations: the L2, which the course does without; the loss of a batch is a sum, so that with ``optimizer`` "sgd" a step
is LFM's over several ratings; the start gives every cell μ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base
from lethe.models.parts.layers import rows_at
from lethe.models.parts.rating import RatingModel
from lethe.tables.matrix import InteractionMatrix


class RatingBatch(NamedTuple):
    """Some of the ratings: users [B] and items [B] int64, ratings [B] float32."""

    users: Tensor
    items: Tensor
    ratings: Tensor


class EmbeddingDot(RatingModel):
    """r̂_ui = p_u·q_i."""

    class Config(base.GradientConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 128, 5),
            "learning_rate": Log(0.003, 0.3, 7),
            "reg": Log(0.005, 0.5, 9),
            "epochs": Log(8, 120, 5),
        }

        solver: Literal["gradient"] = "gradient"
        optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
        embedding_dim: int = Field(32, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(0.1, gt=0)
        """Standard deviation of each coordinate of the start vectors, in square roots of a star."""
        learning_rate: float = Field(0.03, gt=0)
        reg: float = Field(0.07, ge=0)
        """λ: of each rating's two rows, so that a row's own L2 grows with its ratings."""
        epochs: int = Field(30, ge=0)
        batch_size: int = Field(2048, ge=0)
        """Ratings a step. 0: all of them."""
        decay: Literal["constant", "linear"] = "linear"

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[RatingBatch]:
        assert data.ratings is not None
        order = torch.randperm(len(data), generator=stream.torch("batches"))
        columns = [torch.from_numpy(column)[order] for column in (data.users, data.items, data.ratings)]
        step = self.config.batch_size or max(len(data), 1)
        for start in range(0, len(data), step):
            yield RatingBatch(*(column[start : start + step] for column in columns))

    def loss(self, batch: RatingBatch) -> Tensor:
        users = rows_at(self.users, batch.users)
        items = rows_at(self.items, batch.items)
        errors = batch.ratings - (users * items).sum(dim=1)
        return errors.square().sum() + self.config.reg * (users.square().sum() + items.square().sum())
