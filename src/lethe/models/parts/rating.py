"""What the models of explicit feedback share: ratings of single cells beside the scores of whole rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.errors import DataError
from lethe.models.parts import base, towers
from lethe.models.parts.fold_in import FoldIn, RatingRows
from lethe.models.solvers.rating_sgd import Factors, rating_sgd
from lethe.tables.matrix import InteractionMatrix, Shape


class SGDConfig(base.Config):
    """What every rating model that learns by ``rating_sgd`` reads."""

    search: ClassVar[Search] = {
        "embedding_dim": Log(8, 256, 6),
        "learning_rate": Log(0.001, 0.1, 9),
        "reg": Log(0.005, 0.5, 9),
        "epochs": Log(15, 240, 5),
        "init_std": Log(0.005, 0.5, 7),
    }

    solver: Literal["sgd"] = "sgd"
    embedding_dim: int = Field(64, ge=1)
    """Size d of the vectors."""
    init_std: float = Field(0.02, gt=0)
    """Standard deviation of each coordinate of the start vectors, in square roots of a star."""
    learning_rate: float = Field(0.02, gt=0)
    """Length α of the first step, one rating's gradient."""
    reg: float = Field(0.07, ge=0)
    """λ: of each rating's two rows, so that a row's own L2 grows with its ratings."""
    epochs: int = Field(60, ge=0)
    """Passes over the ratings."""
    decay: Literal["constant", "linear"] = "linear"
    """Learning rate over the epochs: constant, or linear to 0."""


class RatingModel(towers.TwoTower):
    """r̂_ui = p_u·q_i, or, where ``biased``, μ + b_u + b_i + p_u·q_i; in stars.

    μ is the mean of the training ratings. ``user_offsets`` [M] and ``item_offsets`` [N] are b_u and b_i, learned, where
    ``biased``; elsewhere the means of r - μ over the user's and the item's ratings, which only answer for cold cells.
    """

    biased: ClassVar[bool] = False
    mean: Tensor
    bounds: Tensor
    user_offsets: Tensor
    item_offsets: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("bounds", torch.zeros(2))
        self.register_buffer("user_offsets", torch.zeros(shape.num_users))
        self.register_buffer("item_offsets", torch.zeros(shape.num_items))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        """Raises DataError where the data have no ratings."""
        if data.ratings is None:
            raise DataError(f"column 'rating': missing, {type(self).__name__} learns from ratings")
        if len(data):
            ratings = data.ratings.astype(np.float64)
            self.mean.fill_(ratings.mean())
            self.bounds.copy_(torch.tensor([ratings.min(), ratings.max()]))
            if not self.biased:
                self.user_offsets.copy_(_means(data.users, ratings - ratings.mean(), data.num_users))
                self.item_offsets.copy_(_means(data.items, ratings - ratings.mean(), data.num_items))
        self.start(stream)

    def start(self, stream: Stream) -> None:
        """Fill the vectors: N(0, init_std²), and where not ``biased`` around such vectors that every product is μ."""
        for name, vectors in (("users", self.users), ("items", self.items)):
            towers.normal_(vectors, self.config.init_std, stream.torch(name))
        if not self.biased:
            centre = float(self.mean.abs() / self.config.embedding_dim) ** 0.5
            with torch.no_grad():
                self.users.add_(np.copysign(centre, float(self.mean)))
                self.items.add_(centre)

    def descend(self, data: InteractionMatrix, stream: Stream, *, batch_size: int) -> Iterator[float]:
        """``rating_sgd`` by an SGDConfig."""
        config = self.config
        factors = Factors(
            self.users.detach().numpy(),
            self.items.detach().numpy(),
            self.user_offsets.numpy(),
            self.item_offsets.numpy(),
            mean=float(self.mean),
            biased=self.biased,
        )
        return rating_sgd(
            data,
            factors,
            stream,
            epochs=config.epochs,
            learning_rate=config.learning_rate,
            reg=config.reg,
            batch_size=batch_size,
            decay=config.decay,
        )

    def cells(self, users: Tensor, items: Tensor) -> Tensor:
        """What the vectors of known users and items [n] say of their cells -> [n]."""
        return (self.users.detach()[users] * self.items.detach()[items]).sum(dim=1)

    def predict(self, users: Tensor, items: Tensor) -> Tensor:
        """Ratings of cells, users [n] and items [n] int64, -1 where unknown -> [n], in stars.

        A cold cell is answered by μ plus the offset of the side that is known. All are clipped to the range of the
        training ratings; ``score`` is not, so that it keeps apart what would be clipped together.
        """
        users, items = users.to(self.mean.device), items.to(self.mean.device)
        ratings = self.mean + _offsets(self.user_offsets, users) + _offsets(self.item_offsets, items)
        warm = (users >= 0) & (items >= 0)
        products = self.cells(users[warm], items[warm])
        ratings[warm] = ratings[warm] + products if self.biased else products
        return ratings.clamp(self.bounds[0], self.bounds[1])

    reg_of_a_stranger: ClassVar[float | None] = None
    """λ of a rating in the system of somebody new; None: ``reg`` of the Config."""

    def fold_in(self) -> FoldIn:
        """The ridge regression of their ratings, the exact least of ALS's and LFM's loss in a user's vector."""
        reg = self.config.reg if self.reg_of_a_stranger is None else self.reg_of_a_stranger
        mean, liked = float(self.mean) if self.biased else np.nan, float(self.bounds[1])
        items = self.factors()[1].cpu().numpy()
        return RatingRows(items, np.array(reg), np.array(liked), np.array(mean))

    def factors(self) -> tuple[Tensor, Tensor]:
        """The two towers; a biased model's have two more dimensions, (…, 1, μ + b_u) and (…, b_i, 1)."""
        users, items = self.users.detach(), self.items.detach()
        if not self.biased:
            return users, items
        user_part = torch.stack([torch.ones_like(self.user_offsets), self.mean + self.user_offsets], dim=1)
        item_part = torch.stack([self.item_offsets, torch.ones_like(self.item_offsets)], dim=1)
        return torch.cat([users, user_part], dim=1), torch.cat([items, item_part], dim=1)


def _means(rows: np.ndarray, values: np.ndarray, num_rows: int) -> Tensor:
    """The mean of each row's values, 0 for a row without any -> [num_rows] float64."""
    counts = np.bincount(rows, minlength=num_rows)
    return torch.from_numpy(np.bincount(rows, values, num_rows) / np.maximum(counts, 1))


def _offsets(offsets: Tensor, places: Tensor) -> Tensor:
    """The offset of each place [n], 0 for a place of -1 -> [n]."""
    known = places >= 0
    taken = offsets.new_zeros(len(places))
    taken[known] = offsets[places[known]]
    return taken
