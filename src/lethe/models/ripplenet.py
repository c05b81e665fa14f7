"""RippleNet: a user is what their items lead to along the knowledge graph, as seen from the item that is asked about.

Wang et al., "RippleNet: Propagating User Preferences on the Knowledge Graph for Recommender Systems", CIKM 2018.

    o_u^k = Σ_{(h,r,t)∈S_u^k} softmax(q_vᵀ R_r e_h) e_t,      ŷ_uv = q_v·Σ_k o_u^k
    min Σ_(u,v) logloss(ŷ_uv, y_uv) - μ Σ_{(h,r,t)∈S_u} σ(e_hᵀ R_r e_t) + reg Σ‖·‖²

S_u^1 are facts of u's items, S_u^(k+1) facts of the items that share a tail with S_u^k, ``memory`` of each, in turn
where there are fewer, drawn once. Deviations: S_u^0 are u's items themselves, h = t and R the identity, so that an item
without facts counts too; a hop goes from an entity on through the items that have it, since only items are heads; q_v
is the same for all hops; entities have a table of their own even where one is an item.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.search import Choice, Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import Labelled, labelled_batches
from lethe.models.parts.knowledge import mapped, squares
from lethe.models.parts.layers import rows_at
from lethe.models.parts.sampled import SampledConfig
from lethe.tables.matrix import InteractionMatrix, Shape, TripleMatrix


class RippleNet(base.Model):
    """score(u, v) = q_v·Σ_k o_u^k. ``ripples`` [num_users, 1 + hops, memory, 3] are S_u as (item, relation, entity), -1
    where there is none; of S_u^0 the item alone."""

    needs: ClassVar[frozenset[str]] = frozenset({"triples"})

    class Config(SampledConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 64, 4),
            "hops": Linear(1, 3, 3),
            "memory": Choice(8, 16, 32),
            "graph_weight": Log(0.001, 1.0, 7, zero=True),
        }

        embedding_dim: int = Field(16, ge=1)
        """Size d of the vectors."""
        init_std: float = Field(0.1, gt=0)
        """Standard deviation of each coordinate of the start vectors."""
        num_negatives: int = Field(1, ge=1)
        """Lacked items drawn for each interaction, anew in every epoch."""
        hops: int = Field(2, ge=0)
        """Steps along the graph."""
        memory: int = Field(16, ge=1)
        """Facts that are kept of a user's at each step."""
        graph_weight: float = Field(0.01, ge=0)
        """μ: weight of the facts' own loss."""

    ripples: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d = config.embedding_dim
        self.items = nn.Parameter(torch.zeros(shape.num_items, d))
        self.entities = nn.Parameter(torch.zeros(shape.num_entities, d))
        self.maps = nn.Parameter(torch.zeros(shape.num_relations, d, d))
        sizes = shape.num_users, 1 + config.hops, config.memory, 3
        self.register_buffer("ripples", torch.full(sizes, -1, dtype=torch.int64))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        for name in ("items", "entities", "maps"):
            towers.normal_(getattr(self, name), self.config.init_std, stream.torch(name))
        triples = data.side.triples
        assert triples is not None, "train checks needs"
        facts = _Facts(triples)
        for user in range(data.num_users):
            # Each user by name: whose memory is drawn first can't show.
            generator, own = stream.numpy("ripples", user), data.items[data.indptr[user] : data.indptr[user + 1]]
            self.ripples[user] = torch.from_numpy(facts.ripples(own, self.config.hops, self.config.memory, generator))

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Labelled]:
        return labelled_batches(data, self.config.batch_size, self.config.num_negatives, stream.numpy("batches"))

    def _memory(self, users: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """R e_h and e_t [B, 1 + hops, memory, d] of users, which of them there are, and e_h."""
        items, relations, entities = self.ripples[users].unbind(3)
        there, d = items >= 0, self.config.embedding_dim
        heads = rows_at(self.items, items.clamp_min(0))
        if not len(self.maps):
            return heads, heads, there, heads
        moved = mapped(heads.view(-1, d), relations.clamp_min(0).flatten(), self.maps).view_as(heads)
        tails = rows_at(self.entities, entities.clamp_min(0))
        first = torch.zeros_like(there)
        first[:, 0] = True
        return heads.where(first[..., None], moved), heads.where(first[..., None], tails), there, heads

    def _answer(self, items: Tensor, moved: Tensor, tails: Tensor, there: Tensor) -> Tensor:
        """ŷ of aligned items' vectors [B, d] and memories [B, hops, memory, d] -> [B]."""
        scores = (moved @ items[:, None, :, None])[..., 0]
        # Of an empty memory all weights are equal, and what they weigh is dropped.
        weights = torch.softmax(scores.masked_fill(~there, -1e9), dim=2) * there
        return ((weights[..., None] * tails).sum(dim=(1, 2)) * items).sum(dim=1)

    def loss(self, batch: Labelled) -> Tensor:
        config, q = self.config, rows_at(self.items, batch.items)
        moved, tails, there, heads = self._memory(batch.users)
        value = losses.log_loss(self._answer(q, moved, tails, there), batch.labels)
        known = there[:, 1:]
        facts = torch.sigmoid((moved[:, 1:] * tails[:, 1:]).sum(dim=3)) * known
        norm = squares(q, heads * there[..., None], tails[:, 1:] * known[..., None])
        return value - config.graph_weight * facts.sum() + config.reg * norm / config.memory

    def score(self, users: Tensor) -> Tensor:
        scores = self.items.new_empty(len(users), self.shape.num_items)
        with torch.no_grad():
            for row in range(len(users)):
                moved, tails, there, _ = self._memory(users[row : row + 1])
                weights = torch.softmax((moved[0] @ self.items.T).masked_fill(~there[0, :, :, None], -1e9), dim=1)
                answers = torch.einsum("hmn,hmd->nd", weights * there[0, :, :, None], tails[0])
                scores[row] = (answers * self.items).sum(dim=1)
        return scores


class _Facts:
    """The facts of items, and the items of entities."""

    def __init__(self, triples: TripleMatrix) -> None:
        self.triples = triples
        self.heads = np.repeat(np.arange(len(triples.indptr) - 1), np.diff(triples.indptr))
        self.by_entity = np.argsort(triples.entities, kind="stable")
        self.sorted = triples.entities[self.by_entity]

    def ripples(self, items: np.ndarray, hops: int, memory: int, generator: np.random.Generator) -> np.ndarray:
        """S^0 .. S^hops of somebody with such items -> [1 + hops, memory, 3]."""
        kept = np.full((1 + hops, memory, 3), -1, np.int64)
        if len(items):
            kept[0, :, 0] = np.resize(generator.permutation(items), memory)
        for hop in range(1, 1 + hops):
            indptr = self.triples.indptr
            places = np.concatenate([np.arange(indptr[item], indptr[item + 1]) for item in items] or [items])
            if not len(places):
                break
            drawn = np.resize(generator.permutation(places), memory)
            columns = self.heads, self.triples.relations, self.triples.entities
            kept[hop] = np.column_stack([column[drawn] for column in columns])
            items = self._sharing(np.unique(kept[hop, :, 2]))
        return kept

    def _sharing(self, entities: np.ndarray) -> np.ndarray:
        """The items that have one of the entities, increasing."""
        first, last = (np.searchsorted(self.sorted, entities, side=side) for side in ("left", "right"))
        places = [self.by_entity[a:b] for a, b in zip(first, last, strict=True)]
        return np.unique(self.heads[np.concatenate(places)])
