"""CKE: collaborative knowledge base embedding: an item's vector is one of its own plus the one its facts give it.

Zhang, Yuan, Lian, Xie & Ma, "Collaborative Knowledge Base Embedding for Recommender Systems", KDD 2016, with the
knowledge graph alone (no texts, no images), as the tables of KGAT and JNSKR have it.

    ŷ_uv = p_u·(q_v + e_v),      d(h, r, t) = ‖M_r e_h + r - M_r e_t‖²      (TransR)
    min Σ -ln σ(ŷ_ui - ŷ_uj) + μ Σ -ln σ(d(h, r, t') - d(h, r, t)) + reg Σ‖·‖² / 2

with t' a uniform entity. Deviations: both losses in each step; entities have a table of their own even where one is an
item; M_r starts at the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lethe.core.random import Stream
from lethe.models.parts import losses, towers
from lethe.models.parts.knowledge import KnowledgeBatch, KnowledgeConfig, KnowledgeModel, mapped, squares
from lethe.models.parts.layers import rows_at
from lethe.tables.matrix import InteractionMatrix, Shape


class CKE(KnowledgeModel):
    """score(u, v) = p_u·(q_v + e_v)."""

    class Config(KnowledgeConfig):
        pass

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d = config.embedding_dim
        self.users = nn.Parameter(torch.zeros(shape.num_users, d))
        self.items = nn.Parameter(torch.zeros(shape.num_items, d))
        self.heads = nn.Parameter(torch.zeros(shape.num_items, d))
        self.entities = nn.Parameter(torch.zeros(shape.num_entities, d))
        self.relations = nn.Parameter(torch.zeros(shape.num_relations, d))
        self.maps = nn.Parameter(torch.zeros(shape.num_relations, d, d))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        for name in ("users", "items", "heads", "entities", "relations"):
            towers.normal_(getattr(self, name), self.config.init_std, stream.torch(name))
        with torch.no_grad():
            self.maps.copy_(torch.eye(self.config.embedding_dim).expand_as(self.maps))

    def distances(self, heads: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
        moved = mapped(rows_at(self.heads, heads) - rows_at(self.entities, tails), relations, self.maps)
        return (moved + rows_at(self.relations, relations)).square().sum(dim=1)

    def loss(self, batch: KnowledgeBatch) -> Tensor:
        (users, positives, negatives), facts = batch.triples, batch.facts
        p = rows_at(self.users, users)
        own, others = ([rows_at(table, part) for table in (self.items, self.heads)] for part in (positives, negatives))
        ranked = losses.bpr((p * (own[0] + own[1])).sum(dim=1), (p * (others[0] + others[1])).sum(dim=1))
        tables = (self.heads, facts.heads), (self.entities, facts.tails), (self.relations, facts.relations)
        parts = [rows_at(table, places) for table, places in tables]
        norm = squares(p, *own, *others, *(parts if self.config.graph_weight else ()))
        return ranked + self.graph_loss(facts) + 0.5 * self.config.reg * norm

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.users.detach(), (self.items + self.heads).detach()
