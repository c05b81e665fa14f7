"""SASRec: self-attention over a user's items in order of time, which predicts the next.

Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.

    x_t = √d e_{v_t} + a_t;      x ← x + A(N(x)),  x ← x + F(N(x))  for each block;      h = N(x),      ŷ_v = h_t·e_v

    A(x) = softmax(x Q (x K)ᵀ / √d' over the steps up to each) x V,      F(x) = ReLU(x W_1 + b_1) W_2 + b_2

with N a layer normalisation and a_t a vector of the place from the end, among the latest ``max_length`` items. Steps
are compared with the softmax of Klenitskiy & Vasilev, "Turning Dross Into Gold Loss" (RecSys 2023), over all items or
``num_negatives`` of them that stand for all, where the paper has one negative and log loss: it is much better. A(N(x))
is added to x, where the authors' program adds it to N(x) and takes keys and values from x.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lethe.config.search import Choice, Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.layers import dropped, rows_at
from lethe.models.parts.sequences import Sequences, by_time, latest
from lethe.tables.matrix import InteractionMatrix, Shape

_BLOCK = 256
"""Users whose histories are run at once."""


class StepBatch(NamedTuple):
    """Items of some users, aligned at their ends [B, L] int64, -1 before the first; the next ones; the items [K] that
    they are compared with; the seed of the step's dropout."""

    items: Tensor
    targets: Tensor
    negatives: Tensor
    seed: int


class SASRec(base.Model):
    """score(u, v) = h_u·e_v, where h_u [M, d], kept by ``finish``, is h after the last of u's items."""

    class Config(base.GradientConfig):
        solver: Literal["gradient"] = "gradient"
        embedding_dim: int = Field(64, ge=1)
        """Size d of the vectors."""
        num_layers: int = Field(2, ge=1)
        """Blocks of attention and network."""
        heads: int = Field(1, ge=1)
        """Attentions side by side, each on d' = d / heads dimensions."""
        max_length: int = Field(50, ge=1)
        """Latest items that are looked at."""
        dropout: base.Probability = 0.2
        """Share dropped of the entries of vectors, attention weights and layers."""
        num_negatives: int = Field(400, ge=0)
        """Items that each batch counts as not chosen. 0: all items."""
        optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
        learning_rate: float = Field(0.001, gt=0)
        epochs: int = Field(40, ge=0)
        batch_size: int = Field(128, ge=1)
        """Users a step."""

        search: ClassVar[Search] = {
            "embedding_dim": Log(16, 256, 5),
            "num_layers": Choice(1, 2, 3),
            "dropout": Linear(0.0, 0.6, 7),
            "max_length": Choice(20, 50, 100, 200),
            "num_negatives": Choice(0, 100, 400, 1600),
            "learning_rate": Log(2.5e-4, 0.016, 7),
            "epochs": Log(10, 160, 5),
        }

        @model_validator(mode="after")
        def _heads_share_the_vector(self) -> Any:
            if self.embedding_dim % self.heads:
                raise ValueError(f"embedding_dim must be a multiple of the {self.heads} heads")
            return self

    needs: ClassVar[frozenset[str]] = frozenset({"timestamps"})
    accepts: ClassVar[frozenset[str]] = frozenset({"history"})
    ordered: ClassVar[bool] = True
    states: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d = config.embedding_dim
        self.items = nn.Parameter(torch.zeros(shape.num_items, d))
        self.positions = nn.Parameter(torch.zeros(config.max_length, d))
        self.blocks = nn.ModuleList(self.block() for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(d)
        self.register_buffer("states", torch.zeros(shape.num_users, d))
        self.sequences = Sequences(np.zeros(shape.num_users + 1, dtype=np.int64), np.empty(0, dtype=np.int64))

    def block(self) -> nn.Module:
        """One of the layers, empty: what is called with x, the steps that each sees, dropout and its generator."""
        return _Block(self.config.embedding_dim, self.config.heads)

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        """All matrices and vectors N(0, 1/d); biases 0, normalisations 1."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                towers.normal_(parameter, self.config.embedding_dim**-0.5, stream.torch(name))
        self.sequences = by_time(data, stream("ties"))

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[StepBatch]:
        config, num_items = self.config, self.shape.num_items
        size = config.num_negatives if 0 < config.num_negatives < num_items else num_items
        generator, everything = stream.numpy("negatives"), torch.arange(num_items)
        order = stream.numpy("batches").permutation(np.flatnonzero(np.diff(self.sequences.indptr) > 1))
        for start in range(0, len(order), config.batch_size):
            items = latest(self.sequences, order[start : start + config.batch_size], config.max_length + 1)
            drawn = torch.from_numpy(generator.choice(num_items, size, replace=False, shuffle=False))
            negatives = everything if size == num_items else drawn
            inputs = np.ascontiguousarray(items[:, :-1])
            # Where nothing goes in, nothing is asked.
            targets = torch.from_numpy(np.where(inputs >= 0, items[:, 1:], -1))
            yield StepBatch(torch.from_numpy(inputs), targets, negatives, stream.integer("dropout", start))

    def loss(self, batch: StepBatch) -> Tensor:
        states = self.run(batch.items, torch.Generator().manual_seed(batch.seed))
        asked = batch.targets >= 0
        return losses.next_item(states[asked], batch.targets[asked], self.items, batch.negatives)

    def run(self, items: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """h after each of the items [B, L], -1 for none -> [B, L, d]; dropout where there is a generator."""
        config, length = self.config, items.shape[1]
        there = items >= 0
        x = rows_at(self.items, items.clamp_min(0)) * config.embedding_dim**0.5
        x = dropped(x + self.positions[config.max_length - length :], config.dropout, generator)
        causal = torch.ones(length, length, dtype=torch.bool, device=items.device).tril()
        # Where there is no item a step sees itself alone: a softmax over nothing is no number.
        seen = causal & there[:, None, :] | torch.eye(length, dtype=torch.bool, device=items.device)
        for block in self.blocks:
            x = block(x, seen, config.dropout, generator)
        normed: Tensor = self.norm(x)
        return normed

    def ends(self, sequences: Sequences) -> Tensor:
        """h after the last item of each of B sequences, 0 where there is none -> [B, d]."""
        lengths = np.diff(sequences.indptr)
        ends = self.items.new_zeros(len(lengths), self.config.embedding_dim)
        rows = np.flatnonzero(lengths > 0)
        # Those of a block are of about the same length.
        rows = rows[np.argsort(-lengths[rows], kind="stable")]
        for start in range(0, len(rows), _BLOCK):
            own = rows[start : start + _BLOCK]
            items = torch.from_numpy(latest(sequences, own, self.config.max_length)).to(ends.device)
            ends[own] = self.run(items)[:, -1]
        return ends

    def finish(self) -> None:
        self.states = self.ends(self.sequences)

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.states, self.items.detach()

    @torch.no_grad()
    def score_history(self, given: base.Given) -> Tensor:
        """From h after it, whoever the user is."""
        return self.ends(Sequences(given.taken.indptr, given.taken.items)) @ self.items.detach().T

    def fold_in(self) -> None:
        """None: a history is read in its order, by the network."""
        return None


class _Block(nn.Module):
    """Attention, then a network of two layers, each on what is normalised, and added to what it was."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.network_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.query, self.key, self.value, self.first, self.second = (nn.Parameter(torch.zeros(d, d)) for _ in range(5))
        self.first_bias, self.second_bias = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.zeros(d))

    def forward(self, x: Tensor, seen: Tensor, dropout: float, generator: torch.Generator | None) -> Tensor:
        """x [B, L, d], and which steps each sees [B, L, L] -> [B, L, d]."""
        normed = self.attention_norm(x)
        # [B, heads, L, d']
        query, key, value = (
            (normed @ weight).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for weight in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        weights = torch.softmax(scores.masked_fill(~seen[:, None], -torch.inf), dim=3)
        attended = (dropped(weights, dropout, generator) @ value).transpose(1, 2).flatten(2)
        x = x + dropped(attended, dropout, generator)
        hidden = dropped(torch.relu(self.network_norm(x) @ self.first + self.first_bias), dropout, generator)
        return x + dropped(hidden @ self.second + self.second_bias, dropout, generator)
