"""What the models of several behaviours share: which behaviours, how much each counts, and batches of all of them.

Each loss is that of ``models.parts.losses.non_sampling`` over one behaviour's whole matrix; the sum is Σ_k μ_k L_k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator
from torch import Tensor

from lethe.config.section import Name, Section
from lethe.core.random import Stream
from lethe.errors import ConfigError, DataError
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import RowBatch, row_batches, rows_of
from lethe.tables.matrix import InteractionMatrix, Shape

Behaviours = tuple[RowBatch, ...]
"""Some users with all they did, behaviour by behaviour: the rows of all parts are the same."""


class Named(Section):
    """Which behaviours are learned from, and how much each counts."""

    target: Name = "buy"
    """What the interactions themselves are called; the behaviour that is recommended."""
    weights: dict[Name, Annotated[float, Field(ge=0)]] = Field({})
    """μ of each behaviour's loss; empty: all the same. One of weight 0 is not learned from."""

    @property
    def names(self) -> list[str]:
        """The behaviours learned from, the target last."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _weights_of_the_behaviours(self) -> Named:
        if self.weights and sorted(self.weights) != sorted(self.names):
            raise ValueError(f"weights must name each of the behaviours {', '.join(self.names)}, and no other")
        return self

    def shares(self) -> list[float]:
        """μ of each of ``names``, adding to 1."""
        weights = [self.weights.get(name, 0.0 if self.weights else 1.0) for name in self.names]
        return [weight / (sum(weights) or 1.0) for weight in weights]


class BehaviourConfig(Named, towers.NonSamplingConfig):
    """Of the models without sampling."""


class Levels(Named):
    """Behaviours in an order that means something: each says more than the one before, the target most."""

    behaviours: tuple[Name, ...] = Field(("view", "cart", "buy"), validate_default=True)
    """Behaviours of the data to learn from, the weakest first, the target last."""

    @field_validator("behaviours")
    @classmethod
    def _the_target_is_the_last(cls, behaviours: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        target = info.data.get("target")
        if behaviours[-1:] != (target,) or len(set(behaviours)) < len(behaviours):
            raise ValueError(f"must name behaviours once each, and the target {target!r} last")
        return behaviours

    @property
    def names(self) -> list[str]:
        return list(self.behaviours)


def behaviour_matrices(model: base.Model, data: InteractionMatrix) -> list[InteractionMatrix]:
    """One for each of the Config's ``names``. Raises ConfigError for one that is not in the data, DataError for a
    target without rows where there are other behaviours (a shard without any rows is none of it)."""
    others, (*names, target) = data.side.behaviours, model.config.names
    for name in names:
        if name not in others:
            raise ConfigError(
                f"{type(model).__name__}: behaviour {name!r} is not in the data, which have {', '.join(others)}"
            )
    if not len(data) and any(len(rows) for rows in others.values()):
        raise DataError(f"{type(model).__name__}: the target behaviour {target!r} has 0 rows, must have at least 1")
    return [*(others[name] for name in names), data]


class MultiBehaviour(towers.NonSampling):
    """A model whose Config is a BehaviourConfig. ``negative_weights`` [K, num_items] has a row for each behaviour."""

    needs = frozenset({"behaviours"})

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.shares = config.shares()
        self.register_buffer("negative_weights", torch.zeros(len(config.names), shape.num_items))

    def matrices(self, data: InteractionMatrix) -> list[InteractionMatrix]:
        """``behaviour_matrices``."""
        return behaviour_matrices(self, data)

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        config, matrices = self.config, self.matrices(data)
        super().prepare(data, stream)
        counts = [torch.from_numpy(matrix.item_counts) for matrix in matrices]
        self.negative_weights = torch.stack(
            [losses.negative_weights(c, config.negative_weight, config.popularity_exponent) for c in counts]
        )

    def target_weights(self) -> Tensor:
        return self.negative_weights[-1]

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        *others, target = self.matrices(data)
        for batch in row_batches(target, self.config.batch_size, stream.numpy("batches")):
            yield (*(rows_of(other, batch.host_rows) for other in others), batch)

    def behaviour_loss(
        self, users: Tensor, items: Tensor, batch: Behaviours, hs: Sequence[Tensor], shares: Sequence[float]
    ) -> Tensor:
        """Σ_k μ_k L_k with ŷ^(k)_uv = h_kᵀ(p_u ⊙ q_v), from vectors of the batch's users [B, d] and of all items [N, d]
        and h_k [d] and μ_k of each behaviour."""
        total = users.new_zeros(())
        for share, part, h, weights in zip(shares, batch, hs, self.negative_weights, strict=True):
            if share > 0:
                dropout = self.config.dropout
                loss = losses.non_sampling(users, items, part, negative_weights=weights, h=h, dropout=dropout)
                total = total + share * loss
        return total
