"""What the collective models share: the interactions and one kind of side data as blocks of one objective.

    min Σ_u Σ_v c_uv (y_uv - p_u·q_v)² + Σ_b μ_b L_b + reg Σ‖·‖²,      c_uv = 1 if y_uv = 1, else c⁻_v

L_b is the same loss of another matrix, which shares p or q (``models.solvers.collective``). WMF is the model without
such blocks; with dropout 0 and μ it is the collective factorisation of Singh & Gordon (KDD 2008) over all cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.fold_in import FoldIn, SquareLossRows
from lethe.models.solvers.collective import Block, collective
from lethe.models.solvers.spectral import turn_to_spectrum
from lethe.models.solvers.vectors import Vectors
from lethe.tables.matrix import InteractionMatrix, Shape


class CollectiveConfig(base.Config):
    search: ClassVar[Search] = {
        "embedding_dim": Log(8, 256, 6),
        "negative_weight": Log(0.002, 2.0),
        "dropout": Linear(0.0, 0.9, 10),
        "reg": Log(0.001, 100.0, 6, zero=True),
        "sweeps": Log(5, 40, 4),
    }

    solver: Literal["als"] = "als"
    embedding_dim: int = Field(64, ge=1)
    """Size d of the vectors."""
    init_std: float = Field(0.01, gt=0)
    """Standard deviation of each coordinate of the start vectors."""
    negative_weight: float = Field(0.05, gt=0)
    """c⁻: weight of a cell without an interaction; with ``popularity_exponent``, the sum of c⁻ over the items."""
    popularity_exponent: float | None = None
    """x in c⁻_v ∝ f_v^x, f_v the item's interactions; null: the same c⁻ for all."""
    dropout: base.Probability = 0.5
    """Share dropped of the entries on one side of every product; the expectation over the masks is taken exactly."""
    reg: float = Field(0.0, ge=0)
    """λ of the L2; the dropout's expectation already holds the vectors back."""
    sweeps: int = Field(10, ge=0)
    """Passes over every table's rows."""
    steps: int = Field(3, ge=1)
    """Conjugate-gradient steps for a row."""
    power_iterations: int = Field(0, ge=0)
    """Steps of the users' vectors towards the leading singular vectors before the first sweep. 0: it starts from random
    vectors, as where the objective has several matrices, whose directions those of the interactions would hide."""


class Collective(towers.TwoTower):
    """score(u, v) = p_u·q_v; its Config is a CollectiveConfig. The tables of the side data are not kept."""

    negative_weights: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("negative_weights", torch.zeros(shape.num_items))

    on_device = frozenset({"als"})

    def blocks(self, data: InteractionMatrix, negative_weights: np.ndarray) -> tuple[list[Block], dict[str, int]]:
        """The objective over tables "users", "items" and others, given c⁻ [num_items]; the sizes of those others. The
        first block is that of users and items."""
        raise NotImplementedError

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        config = self.config
        counts = torch.from_numpy(data.item_counts)
        self.negative_weights = losses.negative_weights(counts, config.negative_weight, config.popularity_exponent)
        blocks, sizes = self.blocks(data, self.negative_weights.numpy())
        users, items = self.vectors()
        others = {name: self._start(users, size, stream, name) for name, size in sizes.items()}
        turn_to_spectrum(blocks[0].data, users, config.power_iterations)
        tables = {"items": items, **others, "users": users}
        return collective(
            blocks, tables, dropout=config.dropout, reg=config.reg, sweeps=config.sweeps, steps=config.steps
        )

    def fold_in(self) -> FoldIn:
        """Exact for somebody of whom nothing is known but their items."""
        items, weights = (part.detach().cpu().numpy() for part in (self.items, self.negative_weights))
        return SquareLossRows.of(items, weights, dropout=self.config.dropout, reg=self.config.reg)

    def _start(self, beside: Vectors, size: int, stream: Stream, name: str) -> Vectors:
        numbers = torch.randn((size, self.config.embedding_dim), generator=stream.torch(name)) * self.config.init_std
        return numbers.to(beside.device) if isinstance(beside, Tensor) else numbers.numpy()
