"""What the models of explicit feedback share: ratings of single cells beside the scores of whole rows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lethe.data.catalogue import InteractionMatrix, Shape
from lethe.errors import DataError
from lethe.models import base
from lethe.random import Stream


class RatingConfig(base.Config):
    """What every two-tower rating model reads."""

    embedding_dim: int = Field(64, ge=1)
    init_std: float = Field(0.1, gt=0)
    """Of each coordinate, in square roots of a star."""
    reg: float = Field(0.02, ge=0)
    """λ of the L2; the model's docstring says what it multiplies."""


class RatingModel(base.TwoTower):
    """r̂_ui = p_u·q_i, or, where ``biased``, μ + b_u + b_i + p_u·q_i; in stars.

    μ is the mean of the training ratings. ``user_offsets`` [M] and ``item_offsets`` [N] are b_u and b_i, learned, where
    ``biased``; elsewhere the means of r - μ over the user's, the item's ratings, which only answer for cold cells.
    """

    biased: ClassVar[bool] = False
    mean: Tensor
    bounds: Tensor
    user_offsets: Tensor
    item_offsets: Tensor

    def __init__(self, config: RatingConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("bounds", torch.zeros(2))
        self.register_buffer("user_offsets", torch.zeros(shape.num_users))
        self.register_buffer("item_offsets", torch.zeros(shape.num_items))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        """Start values: noise where ``biased``, else around such vectors that every product is μ.

        Raises DataError where the data have no ratings.
        """
        super().prepare(data, stream)
        ratings = ratings_of(data).astype(np.float64)
        if len(ratings) == 0:
            return
        mean = ratings.mean()
        self.mean.fill_(mean)
        self.bounds.copy_(torch.tensor([ratings.min(), ratings.max()]))
        if self.biased:
            return
        self.user_offsets.copy_(_means(data.users, ratings - mean, data.num_users))
        self.item_offsets.copy_(_means(data.items, ratings - mean, data.num_items))
        centre = np.sqrt(abs(mean) / self.config.embedding_dim)
        with torch.no_grad():
            self.users += np.copysign(centre, mean)
            self.items += centre

    def predict(self, users: Tensor, items: Tensor) -> Tensor:
        """Ratings of cells, users [n] and items [n] int64, -1 where unknown -> [n], in stars.

        A cold cell is answered by μ plus the offset of the side that is known. All are clipped to the range of the
        training ratings; ``score`` is not, so that it keeps apart what would be clipped together.
        """
        known_users, known_items = users >= 0, items >= 0
        # A place of its own for the unknown is not needed: what row 0 says there is overwritten.
        left, right = users.clamp(min=0), items.clamp(min=0)
        offsets = (
            self.mean + _taken(self.user_offsets, left, known_users) + _taken(self.item_offsets, right, known_items)
        )
        warm = known_users & known_items
        products = torch.zeros(len(users))
        products[warm] = (self.users.detach()[left[warm]] * self.items.detach()[right[warm]]).sum(1)
        ratings = offsets + products if self.biased else torch.where(warm, products, offsets)
        return ratings.clamp(self.bounds[0], self.bounds[1])

    def factors(self) -> tuple[Tensor, Tensor]:
        """The two towers; a biased model's have two more dimensions, (…, 1, μ + b_u) and (…, b_i, 1)."""
        users, items = self.users.detach(), self.items.detach()
        if not self.biased:
            return users, items
        user_part = torch.stack([torch.ones_like(self.user_offsets), self.mean + self.user_offsets], dim=1)
        item_part = torch.stack([self.item_offsets, torch.ones_like(self.item_offsets)], dim=1)
        return torch.cat([users, user_part], dim=1), torch.cat([items, item_part], dim=1)


def ratings_of(data: InteractionMatrix) -> np.ndarray:
    """The ratings [n] float32; raises DataError where there are none."""
    if data.ratings is None:
        raise DataError("column 'rating': missing, a rating model needs it")
    return data.ratings


def _means(rows: np.ndarray, values: np.ndarray, num_rows: int) -> Tensor:
    """The mean of each row's values, 0 for a row without any -> [num_rows] float64."""
    return torch.from_numpy(np.bincount(rows, values, num_rows) / np.maximum(np.bincount(rows, minlength=num_rows), 1))


def _taken(offsets: Tensor, places: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, offsets[places], 0.0) if len(offsets) else torch.zeros(len(places))
