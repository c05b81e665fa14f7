"""NeuMF (NCF): generalised matrix factorisation beside a multi-layer perceptron.

He et al., "Neural Collaborative Filtering", WWW 2017, section 3.4.

    ŷ_uv = hᵀ [p_u ⊙ q_v ; z_L],      z_1 = [p'_u ; q'_v],      z_(l+1) = ReLU(W_l z_l + b_l)

with the log loss, the sampled pairs and the deviations of ``gmf``; no pre-training of the two parts.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lethe import losses
from lethe.data.batches import Labelled
from lethe.data.catalogue import InteractionMatrix, Shape
from lethe.models import base
from lethe.models.gmf import GMF, SampledConfig
from lethe.random import Stream


class NeuMF(GMF):
    """score(u, v) = ŷ_uv; every pair goes through the perceptron, so scoring costs num_items passes a user."""

    class Config(SampledConfig):
        layers: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 32, 16), min_length=1)
        """Sizes of the perceptron's layers: the input, two vectors of half the first size, and each z above it."""

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        width, *above = config.layers
        self.deep_users = nn.Parameter(torch.zeros(shape.num_users, width - width // 2))
        self.deep_items = nn.Parameter(torch.zeros(shape.num_items, width // 2))
        sizes = list(zip([width, *above], above, strict=False))
        self.weights = nn.ParameterList(torch.zeros(out, into) for into, out in sizes)
        self.biases = nn.ParameterList(torch.zeros(out) for _, out in sizes)
        self.deep_h = nn.Parameter(torch.zeros(config.layers[-1]))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        base.normal_(self.deep_users, 0.1, stream.torch("deep users"))
        base.normal_(self.deep_items, 0.1, stream.torch("deep items"))
        for place, weight in enumerate(self.weights):
            # He's scale keeps the size of what passes a layer of ReLUs.
            base.normal_(weight, math.sqrt(2 / weight.shape[1]), stream.torch("layer", place))
        base.normal_(self.deep_h, math.sqrt(1 / len(self.deep_h)), stream.torch("deep h"))

    def deep(self, users: Tensor, items: Tensor) -> Tensor:
        """The perceptron's part of ŷ for vectors [..., d'] of users and items that broadcast -> [...]."""
        parts = torch.broadcast_tensors(users[..., :1], items[..., :1])[0].shape[:-1]
        z = torch.cat([users.expand(*parts, -1), items.expand(*parts, -1)], dim=-1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            z = functional.relu(functional.linear(z, weight, bias))
        return z @ self.deep_h

    def loss(self, batch: Labelled) -> Tensor:
        users, items = functional.embedding(batch.users, self.users), functional.embedding(batch.items, self.items)
        deep_users = functional.embedding(batch.users, self.deep_users)
        deep_items = functional.embedding(batch.items, self.deep_items)
        norm = sum(part.square().sum() for part in (users, items, deep_users, deep_items))
        scores = (users * items) @ self.h + self.deep(deep_users, deep_items)
        return losses.log_loss(scores, batch.labels) + self.config.reg * norm

    def score(self, users: Tensor) -> Tensor:
        with torch.no_grad():
            rows = [self.items @ (self.users[user] * self.h) + self._deep_row(user) for user in users]
        return torch.stack(rows) if rows else torch.zeros(0, self.shape.num_items)

    def factors(self) -> None:  # type: ignore[override]
        return None
