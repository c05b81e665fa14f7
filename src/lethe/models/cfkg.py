"""CFKG: users, items and entities in one graph, an interaction being one of its relations.

Ai, Azizi, Chen & Zhang, "Learning Heterogeneous Knowledge Base Embeddings for Explainable Recommendation", Algorithms
2018.

    d(h, r, t) = ‖e_h + r - e_t‖²      (TransE),      ŷ_uv = -d(u, b, v), b the relation of an interaction
    min Σ -ln σ(ŷ_ui - ŷ_uj) + μ Σ -ln σ(d(h, r, t') - d(h, r, t)) + reg Σ‖·‖² / 2

with t' a uniform entity. Deviations: d is the square of the distance and the loss is over single corrupted tails, as
KGAT's authors run it; entities have a table of their own even where one is an item.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lethe.core.random import Stream
from lethe.models.parts import losses, towers
from lethe.models.parts.knowledge import KnowledgeBatch, KnowledgeConfig, KnowledgeModel, squares
from lethe.models.parts.layers import rows_at
from lethe.tables.matrix import InteractionMatrix, Shape


class CFKG(KnowledgeModel):
    """score(u, v) = 2 (e_u + b)·e_v - ‖e_v‖², which orders items as ŷ does."""

    class Config(KnowledgeConfig):
        pass

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d = config.embedding_dim
        self.users = nn.Parameter(torch.zeros(shape.num_users, d))
        self.items = nn.Parameter(torch.zeros(shape.num_items, d))
        self.entities = nn.Parameter(torch.zeros(shape.num_entities, d))
        self.relations = nn.Parameter(torch.zeros(shape.num_relations, d))
        self.bought = nn.Parameter(torch.zeros(d))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        for name, parameter in self.named_parameters():
            towers.normal_(parameter, self.config.init_std, stream.torch(name))

    def distances(self, heads: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
        moved = rows_at(self.items, heads) + rows_at(self.relations, relations) - rows_at(self.entities, tails)
        return moved.square().sum(dim=1)

    def loss(self, batch: KnowledgeBatch) -> Tensor:
        (users, positives, negatives), facts = batch.triples, batch.facts
        p, q, n = rows_at(self.users, users), rows_at(self.items, positives), rows_at(self.items, negatives)
        near, far = ((p + self.bought - vectors).square().sum(dim=1) for vectors in (q, n))
        tables = (self.items, facts.heads), (self.entities, facts.tails), (self.relations, facts.relations)
        parts = [rows_at(table, places) for table, places in tables]
        norm = squares(p, q, n, *(parts if self.config.graph_weight else ()))
        return losses.bpr(-near, -far) + self.graph_loss(facts) + 0.5 * self.config.reg * norm

    def factors(self) -> tuple[Tensor, Tensor]:
        moved, items = self.users + self.bought, self.items
        left = torch.cat([2 * moved, torch.ones_like(moved[:, :1])], dim=1)
        return left.detach(), torch.cat([items, -items.square().sum(dim=1, keepdim=True)], dim=1).detach()
