"""EATNN: an efficient adaptive transfer neural network for social recommendation, without sampling.

Chen et al., "An Efficient Adaptive Transfer Neural Network for Social-aware Recommendation", SIGIR 2019; table 4.3 of
Chen's thesis. A user has three vectors, u^C common, u^I for items, u^S for friends, and attends to two on each side:

    α*_(C,u) = h_αᵀ ReLU(W_α u^C + b_α),  α*_(I,u) = h_αᵀ ReLU(W_α u^I + b_α),  (α_C, α_I) = softmax;  β likewise
    p^I_u = α_I u^I + α_C u^C,      p^S_u = β_S u^S + β_C u^C
    ŷ_uv = h_Iᵀ(p^I_u ⊙ q_v),       x̂_ut = h_Sᵀ(p^S_u ⊙ g_t),       L = L_I + μ L_S + λ‖Θ‖²

Both losses go over all cells (eq. 4.5 and 4.6). Deviations from the authors' program: as ENMF's (ragged positives, the
last batch, dropout on p^I and p^S integrated out, normal start vectors); larger batches, since most of a step is the
Gram matrix of all items; λ is of every vector alone where theirs is of the batch's sums of two vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import RowBatch, row_batches, rows_of
from lethe.tables.matrix import InteractionMatrix, Shape


class SocialBatch(NamedTuple):
    """Some users with all their items and all their friends; the rows of both are the same."""

    items: RowBatch
    friends: RowBatch


class Attention(nn.Module):
    """How much of a user's vector for one side is the common vector, how much its own."""

    def __init__(self, embedding_dim: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, embedding_dim))
        self.bias = nn.Parameter(torch.zeros(size))
        self.h = nn.Parameter(torch.zeros(size))

    def start(self, stream: Stream) -> None:
        towers.normal_(self.weight, (2.0 / sum(self.weight.shape)) ** 0.5, stream.torch("weight"))
        towers.normal_(self.h, 0.01, stream.torch("h"))

    def forward(self, common: Tensor, own: Tensor) -> Tensor:
        """Vectors [B, d] -> [B, 2]: the weight of the common one, that of the other; they add to 1."""
        scores = [torch.relu(vectors @ self.weight.T + self.bias) @ self.h for vectors in (common, own)]
        return torch.softmax(torch.stack(scores, dim=1), dim=1)


class EATNN(towers.NonSampling):
    """score(u, v) = h_Iᵀ(p^I_u ⊙ q_v), from the fused vectors that ``finish`` keeps; ``users`` is u^I."""

    needs = frozenset({"links"})

    class Config(towers.NonSamplingConfig):
        search: ClassVar[Search] = {
            "social_weight": Log(0.01, 1.0, 7, zero=True),
            "links_negative_weight": Log(0.01, 1.0, 7),
            "reg": Log(1e-5, 0.1, 5, zero=True),
        }

        solver: Literal["gradient"] = "gradient"
        dropout: base.Probability = 0.7
        negative_weight: float = Field(0.05, gt=0)
        batch_size: int = Field(1024, ge=0)
        epochs: int = Field(200, ge=0)
        social_weight: float = Field(0.1, ge=0)
        """μ of the links' loss; 0 is the ablation EATNN-S."""
        links_negative_weight: float = Field(0.1, gt=0)
        """c⁻: weight of a pair of users who are not linked."""
        attention: bool = True
        """Whether attention weighs the parts; false is the ablation EATNN-A: every weight is 1/2."""
        attention_size: int = Field(32, ge=1)
        """Size of the attentions' hidden layers."""
        reg: float = Field(0.0, ge=0)
        """λ of all vectors of users, items and friends."""
        attention_reg: float = Field(0.0, ge=0)
        """λ of the attentions' parameters, once an epoch."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        dim = config.embedding_dim
        self.common = nn.Parameter(torch.zeros(shape.num_users, dim))
        self.social = nn.Parameter(torch.zeros(shape.num_users, dim))
        self.friends = nn.Parameter(torch.zeros(shape.num_friends, dim))
        self.item_attention = Attention(dim, config.attention_size)
        self.social_attention = Attention(dim, config.attention_size)
        self.h_items = nn.Parameter(torch.zeros(dim))
        self.h_friends = nn.Parameter(torch.zeros(dim))
        self.register_buffer("fused_users", torch.zeros(shape.num_users, dim))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        for name in ("common", "social", "friends"):
            towers.normal_(getattr(self, name), self.config.init_std, stream.torch(name))
        for name in ("item_attention", "social_attention"):
            getattr(self, name).start(stream(name))
        for h in (self.h_items, self.h_friends):
            nn.init.constant_(h, self.config.init_std)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        links = data.side.links
        assert links is not None
        for batch in row_batches(data, self.config.batch_size, stream.numpy("batches")):
            yield SocialBatch(batch, rows_of(links, batch.host_rows))

    def loss(self, batch: SocialBatch) -> Tensor:
        rows, config = batch.items.rows, self.config
        common, own, social = self.common[rows], self.users[rows], self.social[rows]
        item_side = self._fuse(self.item_attention, common, own)
        loss = self.square_loss(item_side, self.items, batch.items, self.h_items)
        if config.social_weight > 0:
            loss = loss + config.social_weight * losses.non_sampling(
                self._fuse(self.social_attention, common, social),
                self.friends,
                batch.friends,
                negative_weights=torch.full_like(self.friends[:, 0], config.links_negative_weight),
                h=self.h_friends,
                dropout=config.dropout,
            )
        share = len(rows) / self.shape.num_users
        if config.reg > 0:
            of_users = sum(vectors.square().sum() for vectors in (common, own, social))
            loss = loss + config.reg * (of_users + share * (self.items.square().sum() + self.friends.square().sum()))
        if config.attention_reg > 0:
            parameters = [*self.item_attention.parameters(), *self.social_attention.parameters()]
            loss = loss + config.attention_reg * share * torch.stack([p.square().sum() for p in parameters]).sum()
        return loss

    def _weigh(self, attention: Attention, common: Tensor, own: Tensor) -> Tensor:
        if not self.config.attention:
            return torch.full((len(own), 2), 0.5, dtype=own.dtype, device=own.device)
        weights: Tensor = attention(common, own)
        return weights

    def _fuse(self, attention: Attention, common: Tensor, own: Tensor) -> Tensor:
        weights = self._weigh(attention, common, own)
        return weights[:, :1] * common + weights[:, 1:] * own

    @torch.no_grad()
    def attention_weights(self) -> tuple[Tensor, Tensor]:
        """Of every user (α_C, α_I) for items and (β_C, β_S) for friends: two tensors [num_users, 2], rows adding to 1.

        α_C near 1 says that what the user likes is what links to friends show as well.
        """
        return (
            self._weigh(self.item_attention, self.common, self.users),
            self._weigh(self.social_attention, self.common, self.social),
        )

    def finish(self) -> None:
        self.fused_users = (self._fuse(self.item_attention, self.common, self.users) * self.h_items).detach()

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.fused_users, self.items.detach()
