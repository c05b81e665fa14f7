"""Attention over the shards, for two-tower sub-models (RecEraser, eq. 6.5-6.8 of the thesis).

Chen et al., "Recommendation Unlearning", WWW 2022. With shard i's vectors p^i_u, q^i_v of what it holds,

    p^i_tr = W^i p^i + b^i,     q^i_tr = W^i q^i + b^i,     score(u, v) = (Σ_i α^i_u p^i_tr) · (Σ_i β^i_v q^i_tr)
    α^i_u = softmax over the shards that hold u of  h_1ᵀ ReLU(W_1 p^i_tr + b_1);   β the same with W_2, b_2, h_2

trained on all remaining rows with the sub-models fixed (eq. 6.8). Deviations:
a shard that does not hold a user or item takes no weight there (theirs gives untrained vectors a say);
W^i starts as the rotation that brings the shards into one space, scaled by a line search, not at random, and its L2
is of how far it goes from there, where eq. 6.8 has ‖Θ‖² of all parameters and their program adds it for BPR alone;
vectors of a model that smooths them (LightGCN) are combined smoothed, and not smoothed again: ``num_layers`` combines
them as they were before and smooths the result along the graph of all rows, as their program does;
the logits get + log n, n being how many rows of the entity the shard saw;
the loss is the whole-matrix square loss (eq. 3.9) for every kind of sub-model, where eq. 6.8 has the sub-model's own
(``loss: bpr`` is BPR's), over all rows at once, with the dropout of the combined user vectors integrated out; Adam, its
rate falling linearly to 0, for many more steps than their 10 epochs.
No table here shows what each of these is worth by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.section import Section
from lethe.core.random import Stream
from lethe.learning import training
from lethe.learning.aggregation.align import Tower, align, stack
from lethe.learning.device import CPU
from lethe.learning.ensemble import Ensemble, FactorEnsemble
from lethe.learning.training import History
from lethe.learning.weighted import SubModel
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import RowBatch, Triples, row_batches, triple_batches
from lethe.models.parts.fold_in import FoldIn, SquareLossRows
from lethe.models.parts.graph import Graph, normalized_graph, smoothed
from lethe.models.solvers.pull import sum_by_owner
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix, Shape


class Config(Section):
    steps: int = Field(300, ge=0)
    """Full-batch steps. Accuracy falls for the first 20-30: there is no early stop."""
    learning_rate: float = Field(0.01, gt=0)
    """Length of the first step; it falls linearly to 0."""
    hidden: int = Field(32, ge=1)
    """Rows of W_1 and W_2."""
    negative_weight: float = Field(0.2, gt=0)
    """c⁻: weight of a cell without an interaction in the square loss."""
    dropout: base.Probability = 0.3
    """Share dropped of the combined user vectors' entries."""
    reg: float = Field(0.0, ge=0)
    """Factor of Σ‖W^i - W^i_start‖² + Σ‖b^i‖²."""
    loss: Literal["non-sampling", "bpr"] = "non-sampling"
    """The whole-matrix square loss, which alone reads ``negative_weight`` and ``dropout``, or BPR's, of as many triples
    as there are interactions, drawn anew in each step."""
    num_layers: int = Field(0, ge=0)
    """Times that the combined vectors are smoothed along the graph of users and items of all rows; above 0 a sub-model
    that smooths gives its vectors from before."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream, device: torch.device = CPU
) -> tuple[Ensemble, History]:
    """Align the sub-models and learn how to combine them. Raises ConfigError for sub-models without two towers."""
    catalogue = Catalogue.of(train)
    with training.one_thread():
        users, items = align(*stack(sub_models, train, unsmoothed=config.num_layers > 0))
        model = Attention(config, catalogue.shape, users, items)
        history = training.train(model, catalogue.encode(train), stream, device)
    left, right = (tower.cpu().numpy() for tower in model.factors())
    # Somebody new is in no shard.
    if config.loss == "bpr":
        fold_in: FoldIn = base.default_fold_in(right)
    else:
        fold_in = SquareLossRows.of(right, model.negative_weights.numpy(), dropout=config.dropout)
    return FactorEnsemble(catalogue, left, right, fold_in), history


class Attention(base.Model):
    """The combined towers as a model that learns by the one optimisation loop; one batch is all rows."""

    negative_weights: Tensor

    def __init__(self, settings: Config, shape: Shape, users: Tower, items: Tower) -> None:
        config = base.GradientConfig(
            optimizer="adam", learning_rate=settings.learning_rate, epochs=settings.steps, decay="linear"
        )
        super().__init__(config, shape)
        self.settings = settings
        dim, num_shards = users.vectors.shape[1], len(users.bounds) - 1
        self.maps = nn.Parameter(torch.eye(dim).repeat(num_shards, 1, 1))
        self.shifts = nn.Parameter(torch.zeros(num_shards, 1, dim))
        self.users = _Pooling(users, settings.hidden)
        self.items = _Pooling(items, settings.hidden)
        weights = torch.full((shape.num_items,), settings.negative_weight)
        self.register_buffer("negative_weights", weights, persistent=False)

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        """Draw the attention's start, and scale both towers so that the loss is least along that line."""
        if self.settings.num_layers:
            self.hold("graph", normalized_graph(data))
        self.users.prepare(stream("users"))
        self.items.prepare(stream("items"))
        with torch.no_grad():
            (batch,) = row_batches(data, 0, stream.numpy("batches"))
            # In s = scale², the loss is a s² - 2 b s: two values of it give a and b.
            users, items = self.combined()
            minus, plus = (float(self._square_loss(sign * users, items, batch)) for sign in (-1.0, 1.0))
            a, b = (plus + minus) / 2, (minus - plus) / 4
            scale = (b / a) ** 0.5 if a > 0 and b > 0 else 1.0
        for pooling in (self.users, self.items):
            pooling.vectors *= scale

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[RowBatch | Triples]:
        kind = triple_batches if self.settings.loss == "bpr" else row_batches
        return kind(data, 0, stream.numpy("batches"))

    def steady(self) -> bool:
        return True

    def loss(self, batch: RowBatch | Triples) -> Tensor:
        start = torch.eye(self.maps.shape[1], device=self.maps.device)
        penalty = (self.maps - start).square().sum() + self.shifts.square().sum()
        users, items = self.combined()
        if isinstance(batch, RowBatch):
            return self._square_loss(users, items, batch) + self.settings.reg * penalty
        return losses.bpr(*batch.scores(users, items)) + self.settings.reg * penalty

    def _square_loss(self, users: Tensor, items: Tensor, batch: RowBatch) -> Tensor:
        return losses.non_sampling(
            users, items, batch, negative_weights=self.negative_weights, dropout=self.settings.dropout
        )

    def combined(self) -> tuple[Tensor, Tensor]:
        """Users [M, d] and items [N, d]."""
        users, items = self.users(self.maps, self.shifts), self.items(self.maps, self.shifts)
        if not self.settings.num_layers:
            return users, items
        return smoothed(self.held("graph", Graph), users, items, self.settings.num_layers)

    def finish(self) -> None:
        self.towers = self.combined()

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.towers


class _Pooling(nn.Module):
    """One side: transform each shard's vectors, weigh them by attention, sum them by entity."""

    vectors: Tensor
    entities: Tensor
    evidence: Tensor

    def __init__(self, tower: Tower, hidden: int) -> None:
        super().__init__()
        self.tower = tower
        self.register_buffer("vectors", torch.from_numpy(tower.vectors).float(), persistent=False)
        self.register_buffer("entities", torch.from_numpy(tower.entities), persistent=False)
        self.register_buffer("evidence", torch.from_numpy(np.log(tower.rows)).float(), persistent=False)
        self.inner = nn.Parameter(torch.zeros(tower.vectors.shape[1], hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.outer = nn.Parameter(torch.zeros(hidden))

    def prepare(self, stream: Stream) -> None:
        """Glorot's normal start for the two layers of the attention."""
        dim, hidden = self.inner.shape
        towers.normal_(self.inner, (2 / (dim + hidden)) ** 0.5, stream.torch("inner"))
        towers.normal_(self.outer, (2 / (hidden + 1)) ** 0.5, stream.torch("outer"))

    def forward(self, maps: Tensor, shifts: Tensor) -> Tensor:
        """Maps [K, d, d] and shifts [K, 1, d] -> [num_entities, d]."""
        bounds = self.tower.bounds
        parts = [
            torch.addmm(shifts[k], self.vectors[start:end], maps[k])
            for k, (start, end) in enumerate(itertools.pairwise(bounds.tolist()))
        ]
        transformed = torch.cat(parts)  # [S, d]
        weights = self.attention(transformed)
        return sum_by_owner(weights[:, None] * transformed, self.entities, self.tower.num_entities)

    def attention(self, transformed: Tensor) -> Tensor:
        """Weights [S] of transformed vectors [S, d], summing to 1 over the shards that hold an entity."""
        logits = torch.relu(transformed @ self.inner + self.bias) @ self.outer + self.evidence
        lowest = torch.full((self.tower.num_entities,), -torch.inf, device=logits.device)
        highest = lowest.scatter_reduce(0, self.entities, logits.detach(), "amax")
        raised = torch.exp(logits - highest[self.entities])
        total = sum_by_owner(raised, self.entities, self.tower.num_entities)
        return raised / total[self.entities]
