"""SimpleX: a factorisation with behaviour aggregation, trained with the cosine contrastive loss (CCL).

Mao et al., "SimpleX: A Simple and Strong Baseline for Collaborative Filtering", CIKM 2021.

    min Σ_(u,v) [ (1 - ŷ_uv) + w mean_{j∉V_u⁺} max(0, ŷ_uj - m) ]  +  reg Σ (‖p_u‖² + ‖q_v‖²) / 2

    ŷ_uv = cos(g p_u + (1 - g) A mean_{v∈V_u⁺} q_v,  q_v)

With g = 1 it is the paper's MF-CCL. Deviations from the authors' program: the negatives' mean is over all lacked items
instead of a sample of some hundreds, which costs one matrix product for a batch of users (B × num_items cells at a
time); histories aren't cut; A starts as the identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, towers
from lethe.models.parts.batches import RowBatch, row_batches
from lethe.models.parts.fold_in import FoldIn, MeanRows
from lethe.models.solvers.pull import bag, owners_of
from lethe.tables.matrix import InteractionMatrix, Shape


class SimpleX(towers.TwoTower):
    """score(u, v) = the cosine, from the unit vectors that ``finish`` keeps."""

    class Config(base.GradientConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 256, 6),
            "own_share": Linear(0.0, 1.0, 5),
            "margin": Linear(0.0, 0.9, 10),
            "negative_weight": Log(1.0, 1000.0),
            "reg": Log(1e-5, 1.0, 6, zero=True),
            "learning_rate": Log(5e-4, 0.05, 7),
            "epochs": Log(15, 240, 5),
        }

        solver: Literal["gradient"] = "gradient"
        embedding_dim: int = Field(64, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(0.03, gt=0)
        """Standard deviation of each coordinate of the start vectors."""
        own_share: float = Field(0.0, ge=0, le=1)
        """g: share of the user's own vector, the rest being that of their items. 0: a user is their items alone."""
        margin: float = Field(0.4, ge=-1, le=1)
        """m: cosines of lacked items up to it cost nothing."""
        negative_weight: float = Field(30.0, gt=0)
        """w: weight of all of a user's lacked items together, against one interaction."""
        reg: float = Field(0.0, ge=0)
        """Factor of half the L2 on the vectors, once an epoch."""
        optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
        learning_rate: float = Field(0.005, gt=0)
        epochs: int = Field(60, ge=0)
        batch_size: int = Field(64, ge=0)
        """Users a step."""
        decay: Literal["constant", "linear"] = "linear"

    indptr: Tensor
    history: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.mixing = nn.Parameter(torch.zeros(config.embedding_dim, config.embedding_dim))
        self.register_buffer("user_directions", torch.zeros(shape.num_users, config.embedding_dim))
        self.register_buffer("item_directions", torch.zeros(shape.num_items, config.embedding_dim))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        nn.init.eye_(self.mixing)
        self.register_buffer("indptr", torch.from_numpy(data.indptr), persistent=False)
        self.register_buffer("history", torch.from_numpy(data.items), persistent=False)

    def directions(self, users: Tensor, indptr: Tensor, columns: Tensor) -> Tensor:
        """Unit vectors of users with own vectors [B, d], whose items are ``columns``, ragged -> [B, d]."""
        taste = bag(indptr, columns, self.items, mean=True)
        share = self.config.own_share
        return functional.normalize(share * users + (1 - share) * taste @ self.mixing)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[RowBatch]:
        return row_batches(data, self.config.batch_size, stream.numpy("batches"))

    def loss(self, batch: RowBatch) -> Tensor:
        config, users, sizes = self.config, self.users[batch.rows], batch.indptr.diff()
        rows, num_items = owners_of(batch.indptr, len(batch.columns)), self.shape.num_items
        lacked = (sizes / (num_items - sizes).clamp_min(1))[:, None].expand(-1, num_items).clone()
        lacked[rows, batch.columns] = 0
        scores = self.directions(users, batch.indptr, batch.columns) @ functional.normalize(self.items).T
        value = (1 - scores[rows, batch.columns]).sum()
        value = value + config.negative_weight * (lacked * functional.relu(scores - config.margin)).sum()
        share = len(sizes) / self.shape.num_users
        return value + 0.5 * config.reg * (users.square().sum() + share * self.items.square().sum())

    def finish(self) -> None:
        self.user_directions = self.directions(self.users, self.indptr, self.history)
        self.item_directions = functional.normalize(self.items)

    def fold_in(self) -> FoldIn:
        """Their items alone; of somebody new there is no vector of their own."""
        meanings = self.items @ self.mixing
        return MeanRows(*(part.detach().cpu().numpy() for part in (self.item_directions, meanings)))

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.user_directions, self.item_directions
