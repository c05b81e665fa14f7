"""NeuMF (NCF): generalised matrix factorisation beside a multi-layer perceptron.

He et al., "Neural Collaborative Filtering", WWW 2017, section 3.4.

    ŷ_uv = hᵀ (p_u ⊙ q_v) + gᵀ z_L,      z_1 = [p'_u ; q'_v],      z_(l+1) = ReLU(W_l z_l + b_l)

with the log loss, the sampled pairs and the deviations of ``gmf``; the two parts are not trained beforehand. Every pair
goes through the perceptron, so scoring a user costs num_items passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Choice, Linear, Search
from lethe.core.random import Stream
from lethe.models.gmf import GMF
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import Labelled
from lethe.models.parts.layers import dropped, rows_at
from lethe.models.parts.sampled import SampledConfig
from lethe.tables.matrix import InteractionMatrix, Shape


class NeuMF(base.Model):
    """score(u, v) = hᵀ (p_u ⊙ q_v) + gᵀ z_L."""

    class Config(SampledConfig):
        search: ClassVar[Search] = {
            "layers": Choice([32, 16], [64, 32, 16], [128, 64, 32]),
            "dropout": Linear(0.0, 0.8, 9),
        }

        layers: tuple[Annotated[int, Field(ge=2)], ...] = Field((32, 16), min_length=1)
        """Sizes of z_1 .. z_L; half of the first is each of p' and q'."""
        dropout: base.Probability = 0.0
        """Share dropped of the entries of p and of z_1 .. z_L."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.gmf = GMF(config, shape)
        into, *above = config.layers
        self.users = nn.Parameter(torch.zeros(shape.num_users, into // 2))
        self.items = nn.Parameter(torch.zeros(shape.num_items, into - into // 2))
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for out in above:
            self.weights.append(torch.zeros(out, into))
            self.biases.append(torch.zeros(out))
            into = out
        self.g = nn.Parameter(torch.zeros(into))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.gmf.prepare(data, stream("gmf"))
        towers.normal_(self.users, self.config.init_std, stream.torch("users"))
        towers.normal_(self.items, self.config.init_std, stream.torch("items"))
        for layer, weight in enumerate(self.weights):
            # This scale keeps the size of what passes a layer of ReLUs (He et al. 2015).
            towers.normal_(weight, math.sqrt(2 / weight.shape[1]), stream.torch("layer", layer))
        towers.normal_(self.g, math.sqrt(1 / len(self.g)), stream.torch("g"))

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Labelled]:
        return self.gmf.batches(data, stream)

    def steady(self) -> bool:
        return not self.config.dropout

    def loss(self, batch: Labelled) -> Tensor:
        scores, norm = self.gmf.pairs(batch.users, batch.items)
        p, q = rows_at(self.users, batch.users), rows_at(self.items, batch.items)
        scores, norm = scores + self.perceptron(p, q, self.gmf.masks), norm + p.square().sum() + q.square().sum()
        return losses.log_loss(scores, batch.labels) + self.config.reg * norm

    def perceptron(self, p: Tensor, q: Tensor, masks: torch.Generator | None = None) -> Tensor:
        """gᵀ z_L of aligned p' [B, d'] and q' [B, d''] -> [B]; dropout where there is a generator."""
        z = dropped(torch.cat([p, q], dim=1), self.config.dropout, masks)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            z = dropped(functional.relu(functional.linear(z, weight, bias)), self.config.dropout, masks)
        return z @ self.g

    def score(self, users: Tensor) -> Tensor:
        left, right = self.gmf.factors()
        scores = self.items.new_empty(len(users), self.shape.num_items)
        with torch.no_grad():
            # User by user: the perceptron's layers of many users at once would not fit the memory.
            for row, user in enumerate(users.tolist()):
                p = self.users[user].expand(self.shape.num_items, -1)
                scores[row] = right @ left[user] + self.perceptron(p, self.items)
        return scores
