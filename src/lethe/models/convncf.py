"""ConvNCF (ONCF): convolutions over the outer product of a user's and an item's vector.

He et al., "Outer Product-based Neural Collaborative Filtering", IJCAI 2018.

    min Σ_(u,i,j) -ln σ(ŷ_ui - ŷ_uj),      ŷ_uv = wᵀ E_L,      E_0 = p_u ⊗ q_v,      E_(l+1) = ReLU(K_l * E_l + b_l)

where each K_l is a 2 × 2 convolution of stride 2, so that log₂(d) of them leave one cell. As in the paper the vectors
are those of a matrix factorisation trained with BPR first. Deviations: two channels of each layer start as the positive
and the negative part of the sum along the diagonal, whose difference at the end is p_u·q_v, so the start scores as that
factorisation does; the default vectors and channels (16 and 8 for 64 and 32) are for a CPU, and the learning after the
factorisation is short, because on small data it fits train and loses validation. Scoring a user costs num_items passes
through the layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.search import Choice, Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import Triples, triple_batches
from lethe.models.parts.layers import Halving, dropped, halved, rows_at
from lethe.models.solvers.bpr_sgd import bpr_sgd
from lethe.tables.matrix import InteractionMatrix, Shape


class ConvNCF(base.Model):
    """score(u, v) = wᵀ E_L."""

    class Config(base.GradientConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Choice(16, 32, 64),
            "channels": Choice(8, 16, 32),
            "dropout": Linear(0.0, 0.8, 9),
            "pretrain_epochs": Log(40, 640, 5),
            "reg": Log(0.001, 0.3, 6, zero=True),
            "learning_rate": Log(2e-4, 0.02, 7),
            "epochs": Log(1, 20, 5),
        }

        solver: Literal["gradient"] = "gradient"
        embedding_dim: Halving = Field(16, ge=2)
        """Size d of the vectors, a power of 2."""
        channels: int = Field(8, ge=2)
        """Channels of each convolution."""
        init_std: float = Field(0.1, gt=0)
        """Standard deviation of the vectors before the factorisation, and of the convolutions."""
        pretrain_epochs: int = Field(120, ge=0)
        """Passes of the factorisation, each of as many triples as there are interactions, at the rate
        ``pretrain_rate``."""
        pretrain_rate: float = Field(0.05, gt=0)
        """Learning rate of the factorisation."""
        reg: float = Field(0.03, ge=0)
        """Factor of half the L2 on the three vectors of each triple, before and after."""
        dropout: base.Probability = 0.0
        """Share dropped of the entries of E_L."""
        learning_rate: float = Field(0.002, gt=0)
        epochs: int = Field(5, ge=0)
        batch_size: int = Field(1024, ge=0)
        """Triples a step."""
        decay: Literal["constant", "linear"] = "linear"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.users = nn.Parameter(torch.zeros(shape.num_users, config.embedding_dim))
        self.items = nn.Parameter(torch.zeros(shape.num_items, config.embedding_dim))
        self.kernels, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer in range(int(math.log2(config.embedding_dim))):
            self.kernels.append(torch.zeros(2, 2, config.channels if layer else 1, config.channels))
            self.biases.append(torch.zeros(config.channels))
        self.w = nn.Parameter(torch.zeros(config.channels))
        self._masks: torch.Generator | None = None

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        config = self.config
        towers.normal_(self.users, config.init_std, stream.torch("users"))
        towers.normal_(self.items, config.init_std, stream.torch("items"))
        tables = self.users.detach().numpy(), self.items.detach().numpy()
        for _ in bpr_sgd(
            data,
            *tables,
            seed=stream.integer("triples"),
            epochs=config.pretrain_epochs,
            learning_rate=config.pretrain_rate,
            reg=config.reg,
        ):
            pass
        signs = torch.tensor([1.0, -1.0])
        with torch.no_grad():
            for layer, kernel in enumerate(self.kernels):
                towers.normal_(kernel, config.init_std, stream.torch("layer", layer))
                # Into the first two channels: x to (ReLU(x), ReLU(-x)), where x is the first less the second before.
                diagonal = torch.eye(2)[:, :, None, None] * (torch.outer(signs, signs) if layer else signs[None])
                kernel[..., :2] = 0
                kernel[:, :, :2, :2] = diagonal
            self.w[:2] = signs

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Triples]:
        self._masks = stream.torch("dropout")
        return triple_batches(data, self.config.batch_size, stream.numpy("batches"))

    def tower(self, p: Tensor, q: Tensor, masks: torch.Generator | None = None) -> Tensor:
        """ŷ of aligned vectors of users and items [B, d] -> [B]; dropout where there is a generator."""
        cells = (p[:, :, None] * q[:, None, :])[..., None]  # [B, d, d, 1]
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            cells = halved(cells, kernel.flatten(0, 2), bias)
        return dropped(cells[:, 0, 0], self.config.dropout, masks) @ self.w

    def steady(self) -> bool:
        return not self.config.dropout

    def loss(self, batch: Triples) -> Tensor:
        p = rows_at(self.users, batch.users)
        q, n = rows_at(self.items, batch.positives), rows_at(self.items, batch.negatives)
        norm = p.square().sum() + q.square().sum() + n.square().sum()
        return losses.bpr(self.tower(p, q, self._masks), self.tower(p, n, self._masks)) + 0.5 * self.config.reg * norm

    def score(self, users: Tensor) -> Tensor:
        scores = self.items.new_empty(len(users), self.shape.num_items)
        with torch.no_grad():
            # User by user: the maps of many users at once would not fit the memory.
            for row, user in enumerate(users.tolist()):
                scores[row] = self.tower(self.users[user].expand(self.shape.num_items, -1), self.items)
        return scores
