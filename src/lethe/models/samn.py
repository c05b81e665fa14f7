"""SAMN: a social attentional memory network: which of a friend's aspects, and which friends, a user goes by.

Chen, Zhang, Liu & Ma, "Social Attentional Memory Network: Modeling Aspect- and Friend-level Differences in
Recommendation", WSDM 2019.

    s_ut = p_u ⊙ g_t / (‖p_u‖ ‖g_t‖),      α_ut = softmax(K s_ut),      f_ut = g_t ⊙ Σ_i α_uti m_i
    β_ut = softmax over u's friends of hᵀ ReLU(W f_ut + b),      ŷ_uv = (p_u + Σ_t β_ut f_ut)·q_v + b_v

by BPR. Deviations from the authors' program: friends have a table g of their own, because a friend may be in another
shard; normal start vectors; triples are drawn by user first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Choice, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import RowBatch, Triples, rows_of, triple_batches
from lethe.models.parts.layers import ragged_softmax, rows_at
from lethe.tables.matrix import InteractionMatrix, Shape


class SocialTriples(NamedTuple):
    triples: Triples
    friends: RowBatch
    """Of the triples' users, in their order."""


class SAMN(towers.TwoTower):
    """score(u, v), from the users' fused vectors that ``finish`` keeps."""

    needs: ClassVar[frozenset[str]] = frozenset({"links"})

    class Config(base.GradientConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 256, 6),
            "memory_size": Choice(4, 8, 16),
            "reg": Log(1e-4, 1.0, 9, zero=True),
            "attention_reg": Log(1e-4, 1.0, 5, zero=True),
            "epochs": Log(15, 240, 5),
        }

        solver: Literal["gradient"] = "gradient"
        embedding_dim: int = Field(64, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(0.1, gt=0)
        """Standard deviation of each coordinate of the start vectors."""
        memory_size: int = Field(8, ge=1)
        """Aspects m_i, each with a key in K."""
        attention_size: int = Field(16, ge=1)
        """Size of the hidden layer that friends are weighed by."""
        reg: float = Field(0.02, ge=0)
        """Factor of half the L2 on the vectors and biases of each triple."""
        attention_reg: float = Field(0.01, ge=0)
        """Factor of half the L2 on W and h, once an epoch."""
        learning_rate: float = Field(0.05, gt=0)
        epochs: int = Field(60, ge=0)
        batch_size: int = Field(256, ge=0)
        """Triples a step."""

    fused_users: Tensor
    link_indptr: Tensor
    link_friends: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d = config.embedding_dim
        self.item_bias = nn.Parameter(torch.zeros(shape.num_items))
        self.friends = nn.Parameter(torch.zeros(shape.num_friends, d))
        self.keys = nn.Parameter(torch.zeros(d, config.memory_size))
        self.aspects = nn.Parameter(torch.zeros(config.memory_size, d))
        self.attention = nn.Parameter(torch.zeros(d, config.attention_size))
        self.attention_bias = nn.Parameter(torch.zeros(config.attention_size))
        self.attention_out = nn.Parameter(torch.zeros(config.attention_size))
        self.register_buffer("fused_users", torch.zeros(shape.num_users, d))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        for name in ("friends", "keys", "attention", "attention_out"):
            towers.normal_(getattr(self, name), self.config.init_std, stream.torch(name))
        nn.init.ones_(self.aspects)
        links = data.side.links
        assert links is not None, "train checks needs"
        for name, part in (("link_indptr", links.indptr), ("link_friends", links.items)):
            self.register_buffer(name, torch.from_numpy(part), persistent=False)
        self._triples = len(data)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[SocialTriples]:
        links = data.side.links
        assert links is not None
        for triples in triple_batches(data, self.config.batch_size, stream.numpy("batches")):
            yield SocialTriples(triples, rows_of(links, triples.users.cpu().numpy()))

    def fuse(self, users: Tensor, friends: RowBatch) -> Tensor:
        """p_u + Σ β f of users' vectors [B, d] and their friends -> [B, d]."""
        sizes = friends.indptr.diff()
        own = rows_at(users, torch.repeat_interleave(sizes))
        theirs = rows_at(self.friends, friends.columns)
        joint = functional.normalize(own) * functional.normalize(theirs)
        aspects = theirs * (torch.softmax(joint @ self.keys, dim=1) @ self.aspects)
        scores = torch.relu(aspects @ self.attention + self.attention_bias) @ self.attention_out
        weighed = ragged_softmax(scores, friends.indptr)[:, None] * aspects
        return users.index_add(0, torch.repeat_interleave(sizes), weighed)

    def loss(self, batch: SocialTriples) -> Tensor:
        config, (users, positives, negatives) = self.config, batch.triples
        p = rows_at(self.users, users)
        q, n = rows_at(self.items, positives), rows_at(self.items, negatives)
        biases = self.item_bias[positives], self.item_bias[negatives]
        fused = self.fuse(p, batch.friends)
        value = losses.bpr((fused * q).sum(dim=1) + biases[0], (fused * n).sum(dim=1) + biases[1])
        norm: Any = sum(part.square().sum() for part in (p, q, n, *biases))
        value = value + 0.5 * config.reg * norm
        if config.attention_reg:
            maps = self.attention.square().sum() + self.attention_out.square().sum()
            value = value + 0.5 * config.attention_reg * len(users) / self._triples * maps
        return value

    def finish(self) -> None:
        everybody = RowBatch(self.link_indptr[:-1], self.link_indptr, self.link_friends)
        self.fused_users = self.fuse(self.users, everybody).detach()

    def factors(self) -> tuple[Tensor, Tensor]:
        """(fused vector, 1) and (q_v, b_v)."""
        left = torch.cat([self.fused_users, torch.ones_like(self.fused_users[:, :1])], dim=1)
        return left, torch.cat([self.items, self.item_bias[:, None]], dim=1).detach()
