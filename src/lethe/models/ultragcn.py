"""UltraGCN: the limit of infinitely many graph convolutions, as constraints of a plain factorisation.

Mao et al., "UltraGCN: Ultra Simplification of Graph Convolutional Networks for Recommendation", CIKM 2021.

    min Σ_(u,v) [ -(w₁ + w₂ β_uv) ln σ(ŷ_uv) - λ Σ_{k∈S_v} ω_vk ln σ(ŷ_uk) ]
        - Σ_u n_u γ mean_{j∉V_u⁺} (w₃ + w₄ β_uj) ln σ(-ŷ_uj)  +  reg Σ (‖p_u‖² + ‖q_v‖²) / 2

    ŷ_uv = p_u·q_v,   β_uv = √(n_u + 1) / (n_u √(n_v + 1)),   ω_vk = G_vk / (g_v - G_vv) · √(g_v / g_k),   G = YᵀY

with n the numbers of interactions, g_v = Σ_k G_vk, and S_v the items of the largest ω_vk. Deviations from the authors'
program: the negatives' mean is over all lacked items instead of a sample of some hundreds, which costs one matrix
product for a batch of users (B × num_items cells at a time); S_v doesn't hold v itself; the L2 is on each row once an
epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, towers
from lethe.models.parts.batches import RowBatch, row_batches
from lethe.models.solvers.cooccurrence import cooccurrence, largest
from lethe.models.solvers.pull import owners_of
from lethe.tables.matrix import InteractionMatrix, Shape

Weight = Annotated[float, Field(ge=0)]


class UltraGCN(towers.TwoTower):
    """score(u, v) = p_u·q_v."""

    class Config(base.GradientConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 256, 6),
            "negative_weight": Log(1.0, 300.0),
            "item_weight": Log(0.01, 10.0, 7, zero=True),
            "reg": Log(0.01, 100.0, 9, zero=True),
            "epochs": Log(15, 240, 5),
        }

        solver: Literal["gradient"] = "gradient"
        embedding_dim: int = Field(64, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(0.01, gt=0)
        """Standard deviation of each coordinate of the start vectors."""
        positive_weights: tuple[Weight, Weight] = (1.0, 1.0)
        """w₁ and w₂: of an interaction, and of its β."""
        negative_weights: tuple[Weight, Weight] = (1.0, 1.0)
        """w₃ and w₄: of a lacked item, and of its β."""
        negative_weight: float = Field(30.0, gt=0)
        """γ: weight of all of a user's lacked items together, against one interaction."""
        item_weight: float = Field(0.3, ge=0)
        """λ: weight of the item-item constraint."""
        neighbours: int = Field(10, ge=1)
        """|S_v|: items that each item is drawn to."""
        reg: float = Field(1.0, ge=0)
        """Factor of half the L2 on each row, once an epoch."""
        optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
        learning_rate: float = Field(0.02, gt=0)
        epochs: int = Field(60, ge=0)
        batch_size: int = Field(64, ge=0)
        """Users a step."""
        decay: Literal["constant", "linear"] = "linear"

    user_beta: Tensor
    item_beta: Tensor
    near: Tensor
    omega: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        sizes = {"user_beta": (shape.num_users,), "item_beta": (shape.num_items,)}
        near = (shape.num_items, config.neighbours)
        for name, size in {**sizes, "omega": near}.items():
            self.register_buffer(name, torch.zeros(size), persistent=False)
        self.register_buffer("near", torch.zeros(near, dtype=torch.int64), persistent=False)

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        sizes = torch.from_numpy(np.diff(data.indptr)).float()
        self.user_beta = (sizes + 1).sqrt() / sizes.clamp_min(1)
        self.item_beta = torch.from_numpy(data.item_counts + 1).float().rsqrt()
        self.near, self.omega = _near(data, self.config.neighbours)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[RowBatch]:
        return row_batches(data, self.config.batch_size, stream.numpy("batches"))

    def loss(self, batch: RowBatch) -> Tensor:
        config, (w1, w2), (w3, w4) = self.config, self.config.positive_weights, self.config.negative_weights
        sizes = batch.indptr.diff()
        rows, shape = owners_of(batch.indptr, len(batch.columns)), (len(sizes), self.shape.num_items)
        beta = self.user_beta[batch.rows, None] * self.item_beta  # [B, num_items]
        lacked = (sizes / (shape[1] - sizes).clamp_min(1))[:, None].expand(shape).clone()
        lacked[rows, batch.columns] = 0
        negative = config.negative_weight * lacked * (w3 + w4 * beta)
        positive = torch.zeros(shape, device=beta.device)
        positive[rows, batch.columns] = w1 + w2 * beta[rows, batch.columns]
        cells = rows[:, None] * shape[1] + self.near[batch.columns]
        positive.view(-1).index_add_(0, cells.view(-1), config.item_weight * self.omega[batch.columns].view(-1))

        users = self.users[batch.rows]
        scores = users @ self.items.T
        # -ln σ(-ŷ) = ŷ - ln σ(ŷ), so that the costly function is called once a cell.
        value = ((positive + negative) * functional.softplus(-scores) + negative * scores).sum()
        share = len(sizes) / self.shape.num_users
        return value + 0.5 * config.reg * (users.square().sum() + share * self.items.square().sum())


def _near(data: InteractionMatrix, neighbours: int) -> tuple[Tensor, Tensor]:
    """S_v and ω_vk, each [num_items, neighbours]; where there are fewer, the rest has weight 0."""
    counts = cooccurrence(data)
    totals, own = counts.sum(axis=1), counts.diagonal()
    lengths = np.diff(counts.indptr)
    rows = np.repeat(np.arange(data.num_items), lengths)
    totals, others = np.maximum(totals, 1), np.maximum(totals - own, 1)
    omega = counts.data / others[rows] * np.sqrt(totals[rows] / totals[counts.indices])
    omega[rows == counts.indices] = 0
    kept = largest(counts.indptr, omega, neighbours)
    first = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=data.num_items))])
    places = np.arange(first[-1]) - first[rows[kept]]
    near = np.zeros((data.num_items, neighbours), np.int64)
    weights = np.zeros((data.num_items, neighbours), np.float32)
    near[rows[kept], places], weights[rows[kept], places] = counts.indices[kept], omega[kept]
    return torch.from_numpy(near), torch.from_numpy(weights)
