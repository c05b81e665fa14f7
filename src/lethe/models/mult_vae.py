"""Mult-VAE: a variational autoencoder of a user's items, with a multinomial likelihood.

Liang, Krishnan, Hoffman & Jebara, "Variational Autoencoders for Collaborative Filtering", WWW 2018.

    (m_u, s_u) = E tanh(Σ_{v∈V_u⁺} w_v / √n_u + b),      z_u ~ N(m_u, exp(s_u)),      ŷ_uv = o_v·tanh(D z_u + c) + a_v
    min Σ_u [ -Σ_{v∈V_u⁺} ln softmax(ŷ_u)_v + β KL(N(m_u, exp(s_u)) ‖ N(0, 1)) ]

with each of a user's items left out of the input with probability ``dropout``. β grows from 0 over the first
``annealing`` share of the epochs. Scores are those of z_u = m_u. Deviations from the authors' program: entries of the
input are of the same size whether or not others are dropped (it scales those left up); normal start vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, towers
from lethe.models.parts.batches import RowBatch, row_batches
from lethe.models.parts.item_based import distinct
from lethe.models.solvers.pull import bag, owners_of
from lethe.tables.matrix import InteractionMatrix, Shape

_BLOCK = 1024
"""Users who are encoded at once."""


class NoisyBatch(NamedTuple):
    """Some users with all their items, the seed of what is drawn in the step, and how far β has grown."""

    users: RowBatch
    seed: int
    annealed: float


class MultVAE(base.Model):
    """score(u, v) = o_v·tanh(D m_u + c) + a_v, from the states that ``finish`` keeps."""

    accepts: ClassVar[frozenset[str]] = frozenset({"history"})

    class Config(base.GradientConfig):
        solver: Literal["gradient"] = "gradient"
        embedding_dim: int = Field(64, ge=1)
        """Size of z."""
        hidden: int = Field(128, ge=1)
        """Size of the layer between the items and z, on both sides, and of the items' two vectors."""
        dropout: base.Probability = 0.5
        """Share of the input's items that are left out, anew in every step."""
        kl_weight: float = Field(0.2, ge=0)
        """β: weight of the KL divergence at its height."""
        annealing: float = Field(0.5, ge=0, le=1)
        """Share of the epochs over which β grows to its height."""
        optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
        learning_rate: float = Field(0.003, gt=0)
        epochs: int = Field(60, ge=0)
        batch_size: int = Field(128, ge=0)
        """Users a step."""
        reg: float = Field(0.0, ge=0)
        """Factor of the L2 on all weights, once an epoch."""

        search: ClassVar[Search] = {
            "embedding_dim": Log(16, 256, 5),
            "hidden": Log(64, 1024, 5),
            "dropout": Linear(0.1, 0.9, 9),
            "kl_weight": Linear(0.0, 1.0, 11),
            "learning_rate": Log(3e-4, 0.03, 5),
            "epochs": Log(15, 240, 5),
        }

    states: Tensor
    indptr: Tensor
    history: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d, hidden = config.embedding_dim, config.hidden
        self.inputs = nn.Parameter(torch.zeros(shape.num_items, hidden))
        self.input_bias = nn.Parameter(torch.zeros(hidden))
        self.encoder = nn.Parameter(torch.zeros(hidden, 2 * d))
        self.encoder_bias = nn.Parameter(torch.zeros(2 * d))
        self.decoder = nn.Parameter(torch.zeros(d, hidden))
        self.decoder_bias = nn.Parameter(torch.zeros(hidden))
        self.outputs = nn.Parameter(torch.zeros(shape.num_items, hidden))
        self.output_bias = nn.Parameter(torch.zeros(shape.num_items))
        self.register_buffer("states", torch.zeros(shape.num_users, hidden))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        for name, parameter in self.named_parameters():
            if "bias" not in name:
                towers.normal_(parameter, parameter.shape[1] ** -0.5, stream.torch(name))
        with torch.no_grad():
            # ln of the variances starts near 0, as the prior's.
            self.encoder[:, self.config.embedding_dim :] *= 0.1
        for name, part in (("indptr", data.indptr), ("history", data.items)):
            self.register_buffer(name, torch.from_numpy(part), persistent=False)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[NoisyBatch]:
        # An epoch's stream is named by its number, which a training resumed from a checkpoint knows too.
        grown = self.config.annealing * self.config.epochs
        annealed = min(1.0, int(stream.names[-1]) / grown) if grown else 1.0
        for place, batch in enumerate(row_batches(data, self.config.batch_size, stream.numpy("batches"))):
            yield NoisyBatch(batch, stream.integer("noise", place), annealed)

    def encode(self, indptr: Tensor, items: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """m and s [B, d] of B people's items, ragged; ``kept`` [nnz] is 0 where one is left out."""
        weights = torch.ones(len(items), device=items.device) if kept is None else kept
        weights = weights / indptr.diff().clamp_min(1).sqrt()[owners_of(indptr, len(items))]
        hidden = torch.tanh(bag(indptr, items, self.inputs, weights) + self.input_bias)
        code = hidden @ self.encoder + self.encoder_bias
        return code[:, : self.config.embedding_dim], code[:, self.config.embedding_dim :]

    def decode(self, z: Tensor) -> Tensor:
        """What the items' vectors meet -> [B, hidden]."""
        return torch.tanh(z @ self.decoder + self.decoder_bias)

    def loss(self, batch: NoisyBatch) -> Tensor:
        config, users = self.config, batch.users
        # Drawn on the CPU, so that every device draws the same.
        generator = torch.Generator().manual_seed(batch.seed)
        kept = (torch.rand(len(users.columns), generator=generator) >= config.dropout).to(self.inputs)
        mean, log_variance = self.encode(users.indptr, users.columns, kept)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        scores = self.decode(mean + torch.exp(0.5 * log_variance) * noise) @ self.outputs.T + self.output_bias
        rows = owners_of(users.indptr, len(users.columns))
        likely = functional.log_softmax(scores, dim=1)[rows, users.columns].sum()
        divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum()
        value = batch.annealed * config.kl_weight * divergence - likely
        if config.reg:
            share = len(users.rows) / self.shape.num_users
            value = value + share * config.reg * torch.stack([p.square().sum() for p in self.parameters()]).sum()
        return value

    def finish(self) -> None:
        self.states = self._read(self.indptr, self.history)

    def _read(self, indptr: Tensor, items: Tensor) -> Tensor:
        """The decoder's states of B people from their items, ragged -> [B, hidden]."""
        states = self.inputs.new_zeros(len(indptr) - 1, self.config.hidden)
        for first in range(0, len(states), _BLOCK):
            own = indptr[first : first + _BLOCK + 1]
            mean, _ = self.encode(own - own[0], items[own[0] : own[-1]])
            states[first : first + _BLOCK] = self.decode(mean)
        return states

    def factors(self) -> tuple[Tensor, Tensor]:
        """(state, 1) and (o_v, a_v)."""
        return _towers(self.states), torch.cat([self.outputs, self.output_bias[:, None]], dim=1).detach()

    @torch.no_grad()
    def score_history(self, given: base.Given) -> Tensor:
        """From what their items are encoded as, whoever the users are."""
        assert given.history is not None
        return _towers(self._read(*distinct(*given.history))) @ self.factors()[1].T

    def fold_in(self) -> None:
        """None: a history is read by the network."""
        return None


def _towers(states: Tensor) -> Tensor:
    return torch.cat([states, torch.ones_like(states[:, :1])], dim=1)
