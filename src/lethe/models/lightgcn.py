"""LightGCN: embeddings smoothed over the user-item graph.

He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020.

    E^(l+1) = D^(-1/2) A D^(-1/2) E^(l),      e = mean of E^(0) .. E^(L),      ŷ_uv = e_u·e_v

Deviations from the authors' program: the default loss is the whole-matrix square loss (ENMF, eq. 3.9) on the smoothed
vectors, which needs one propagation for all users where sampled triples need one for each small batch; ``loss: bpr`` is
the paper's. Two layers by default, where the paper has three. L2 is on E^(0), as in the paper, over all rows of it with
the square loss. Losses are sums, not means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import RowBatch, Triples, triple_batches
from lethe.models.parts.fold_in import FoldIn
from lethe.models.parts.graph import smoothed
from lethe.models.parts.graph_towers import GraphTowers
from lethe.tables.matrix import InteractionMatrix


class LightGCN(GraphTowers, towers.NonSampling):
    """score(u, v) = e_u·e_v, of the smoothed vectors."""

    class Config(towers.NonSamplingConfig):
        search: ClassVar[Search] = {
            "num_layers": Linear(1, 4, 4),
            "reg": Log(1e-6, 0.1, 6, zero=True),
        }

        solver: Literal["gradient"] = "gradient"
        loss: Literal["non-sampling", "bpr"] = "non-sampling"
        """The whole-matrix square loss, which alone reads ``negative_weight``, ``popularity_exponent`` and ``dropout``,
        or BPR's."""
        num_layers: int = Field(2, ge=0)
        """Times that vectors are smoothed along the graph of users and items."""
        reg: float = Field(0.0, ge=0)
        """Factor of the L2 on the embeddings before smoothing."""
        optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
        learning_rate: float = Field(0.05, gt=0)
        epochs: int = Field(200, ge=0)
        batch_size: int = Field(0, ge=0)
        """Users (non-sampling) or triples (bpr) a step; each costs a propagation over the whole graph. 0: all."""
        decay: Literal["constant", "linear"] = "linear"

    def smoothed_towers(self) -> tuple[Tensor, Tensor]:
        """The mean over layers 0..L."""
        return smoothed(self.graph, self.users, self.items, self.config.num_layers)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        if self.config.loss == "bpr":
            return triple_batches(data, self.config.batch_size, stream.numpy("batches"))
        return super().batches(data, stream)

    def steady(self) -> bool:
        return True

    def loss(self, batch: RowBatch | Triples) -> Tensor:
        users, items = self.smoothed_towers()
        reg = self.config.reg
        if isinstance(batch, RowBatch):
            own = users if batch.is_whole else users[batch.rows]
            return self.square_loss(own, items, batch) + reg * self.squared_norm(batch)
        preference = losses.bpr(*batch.scores(users, items))
        user_norms, item_norms = self.users.square().sum(dim=1), self.items.square().sum(dim=1)
        norm = user_norms[batch.users].sum() + item_norms[torch.cat([batch.positives, batch.negatives])].sum()
        return preference + 0.5 * reg * norm

    def fold_in(self) -> FoldIn | None:
        """Of the last layer: against the smoothed items, where the loss is the square loss of those."""
        return super().fold_in() if self.config.loss == "non-sampling" else base.Model.fold_in(self)
