"""Models of one vector for each user and each item, and the parameters they share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import losses
from lethe.models.parts.base import GradientConfig, Model, Probability
from lethe.models.parts.batches import RowBatch, row_batches
from lethe.models.parts.fold_in import FoldIn, SquareLossRows
from lethe.models.solvers.vectors import Vectors
from lethe.tables.matrix import InteractionMatrix, Shape


class TwoTower(Model):
    """A model with one vector for each user and each item, ``users`` [M, d] and ``items`` [N, d].

    Its Config has ``embedding_dim`` and ``init_std``.
    """

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.users = nn.Parameter(torch.zeros(shape.num_users, config.embedding_dim))
        self.items = nn.Parameter(torch.zeros(shape.num_items, config.embedding_dim))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        normal_(self.users, self.config.init_std, stream.torch("users"))
        normal_(self.items, self.config.init_std, stream.torch("items"))

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.users.detach(), self.items.detach()

    def vectors(self) -> tuple[Vectors, Vectors]:
        """The parameters, for a solver to change in place: as arrays on the CPU, as they are elsewhere."""
        users, items = self.users.detach(), self.items.detach()
        return (users.numpy(), items.numpy()) if users.device.type == "cpu" else (users, items)


class NonSamplingConfig(GradientConfig):
    """What every model trained on the whole-matrix square loss (``models.parts.losses.non_sampling``) reads."""

    search: ClassVar[Search] = {
        "embedding_dim": Log(8, 256, 6),
        "negative_weight": Log(0.002, 2.0),
        "dropout": Linear(0.0, 0.9, 10),
        "epochs": Log(25, 600, 5),
    }

    embedding_dim: int = Field(64, ge=1)
    """Size d of the vectors."""
    init_std: float = Field(0.01, gt=0)
    """Standard deviation of each coordinate of the start vectors."""
    negative_weight: float = Field(0.2, gt=0)
    """c⁻: weight of a cell without an interaction; with ``popularity_exponent``, the sum of c⁻ over the items."""
    popularity_exponent: float | None = None
    """x in c⁻_v ∝ f_v^x, f_v the item's interactions; null: the same c⁻ for all."""
    dropout: Probability = 0.5
    """Share of the user vectors' entries that is dropped; the expectation over the masks is taken exactly."""


class NonSampling(TwoTower):
    """A two-tower model that learns by ``square_loss`` over batches of users; its Config is a NonSamplingConfig."""

    negative_weights: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("negative_weights", torch.zeros(shape.num_items))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        config, counts = self.config, torch.from_numpy(data.item_counts)
        self.negative_weights = losses.negative_weights(counts, config.negative_weight, config.popularity_exponent)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        return row_batches(data, self.config.batch_size, stream.numpy("batches"))

    def square_loss(self, users: Tensor, items: Tensor, batch: RowBatch, h: Tensor | None = None) -> Tensor:
        """``losses.non_sampling`` of the batch's user vectors [B, d] and all item vectors [N, d] -> scalar sum."""
        return losses.non_sampling(
            users, items, batch, negative_weights=self.negative_weights, h=h, dropout=self.config.dropout
        )

    def fold_in(self) -> FoldIn | None:
        """Exact: the loss has its least, in a user's vector, where a linear system says."""
        factors = self.factors()
        return None if factors is None else self.rows_of(factors[1])

    def rows_of(self, items: Tensor, reg: float = 0.0, cost: float = 1.0) -> FoldIn:
        """The linear systems of users against such vectors of items, which make the score; ``cost`` is c⁺."""
        arrays = [part.detach().cpu().numpy() for part in (items, self.target_weights() / cost)]
        return SquareLossRows.of(*arrays, dropout=self.config.dropout, reg=reg)

    def target_weights(self) -> Tensor:
        """c⁻ [N] of what is recommended."""
        return self.negative_weights

    def squared_norm(self, batch: RowBatch) -> Tensor:
        """Σ‖p_u‖² over the batch and the batch's share of Σ‖q_v‖², so that an epoch's batches sum to the whole."""
        share = len(batch.rows) / self.shape.num_users
        users = self.users if batch.is_whole else self.users[batch.rows]
        return users.square().sum() + share * self.items.square().sum()


def normal_(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    """Fill with N(0, std²), drawn on the CPU so that every device starts from the same numbers."""
    with torch.no_grad():
        parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * std)
