"""KGAT: an attentive graph convolution over users, items and entities together.

Wang, He, Cao, Liu & Chua, "KGAT: Knowledge Graph Attention Network for Recommendation", KDD 2019.

    π(h, r, t) = (W_r e_t)ᵀ tanh(W_r e_h + e_r), softmax over all (r, t) of h;      e_N = Σ_(r,t) π(h, r, t) e_t
    e^(l) = LeakyReLU(A_l (e + e_N)) + LeakyReLU(B_l (e ⊙ e_N)), over its length;      ŷ_uv = [e^(0) .. e^(L)]_u·[..]_v
    d(h, r, t) = ‖W_r e_h + e_r - W_r e_t‖²      (TransR)
    min Σ -ln σ(ŷ_ui - ŷ_uj) + μ Σ -ln σ(d(h, r, t') - d(h, r, t)) + reg Σ‖·‖² / 2

over interactions and facts, each in both directions, with relations of their own. Attention is made anew at each epoch
and is not differentiated. Deviations: both losses in each step, where the authors' program alternates; entities have a
table of their own even where one is an item; W starts at the identity, A and B near it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Choice, Linear, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.knowledge import Edges, KnowledgeBatch, KnowledgeConfig, KnowledgeModel, mapped, squares
from lethe.models.parts.layers import dropped, ragged_softmax, rows_at
from lethe.models.solvers.pull import bag, owners_of
from lethe.tables.matrix import InteractionMatrix, Shape


class KGAT(KnowledgeModel):
    """score(u, v) from the concatenated layers that ``finish`` keeps."""

    class Config(KnowledgeConfig):
        search: ClassVar[Search] = {
            "layers": Choice([64], [64, 32], [64, 32, 16]),
            "message_dropout": Linear(0.0, 0.5, 6),
        }

        layers: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 32), min_length=1)
        """Sizes of e^(1) .. e^(L)."""
        message_dropout: base.Probability = 0.1
        """Share dropped of the entries of each layer's vectors."""
        batch_size: int = Field(0, ge=0)
        """Triples a step; each costs a propagation over the whole graph. 0: all."""

    graph_indptr: Tensor
    graph_relations: Tensor
    graph_tails: Tensor
    shares: Tensor
    relations: nn.Parameter
    relations_maps: nn.Parameter
    inverses: nn.Parameter
    inverses_maps: nn.Parameter
    smooth_users: Tensor
    smooth_items: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d, into = config.embedding_dim, config.embedding_dim
        self.users = nn.Parameter(torch.zeros(shape.num_users, d))
        self.items = nn.Parameter(torch.zeros(shape.num_items, d))
        self.entities = nn.Parameter(torch.zeros(shape.num_entities, d))
        # An interaction and its inverse, then the facts' relations and theirs.
        self.taken, self.taken_maps = nn.Parameter(torch.zeros(2, d)), nn.Parameter(torch.zeros(2, d, d))
        for name in ("relations", "inverses"):
            self.register_parameter(name, nn.Parameter(torch.zeros(shape.num_relations, d)))
            self.register_parameter(f"{name}_maps", nn.Parameter(torch.zeros(shape.num_relations, d, d)))
        self.sums, self.products = nn.ParameterList(), nn.ParameterList()
        for out in config.layers:
            self.sums.append(torch.zeros(into, out))
            self.products.append(torch.zeros(into, out))
            into = out
        width = d + sum(config.layers)
        self.register_buffer("smooth_users", torch.zeros(shape.num_users, width))
        self.register_buffer("smooth_items", torch.zeros(shape.num_items, width))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        for name, parameter in self.named_parameters():
            towers.normal_(parameter, self.config.init_std, stream.torch(name))
            if parameter.dim() == 3 or name.startswith(("sums", "products")):
                with torch.no_grad():
                    parameter.add_(torch.eye(*parameter.shape[-2:]))
        heads, relations, tails = self._both_ways(data)
        order = np.lexsort((tails, relations, heads))
        ends = np.cumsum(np.bincount(heads, minlength=data.num_users + data.num_items + self.shape.num_entities))
        graph = np.concatenate([[0], ends]), relations[order], tails[order]
        for name, part in zip(("indptr", "relations", "tails"), graph, strict=True):
            self.register_buffer(f"graph_{name}", torch.from_numpy(part.astype(np.int64)), persistent=False)
        self.register_buffer("shares", torch.zeros(len(order)), persistent=False)

    def edges(self, data: InteractionMatrix) -> Edges:
        """Interactions and facts, by node: users, then items, then entities."""
        facts, users, items = super().edges(data), data.num_users, data.num_items
        heads = np.concatenate([data.users, users + facts.heads])
        relations = np.concatenate([np.zeros_like(data.users), 2 + facts.relations])
        tails = np.concatenate([users + data.items, users + items + facts.tails])
        low = np.where(relations == 0, users, users + items)
        high = np.where(relations == 0, users + items, users + items + self.shape.num_entities)
        return Edges(heads, relations, tails, low, high)

    def _both_ways(self, data: InteractionMatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        edges = self.edges(data)
        inverse = np.where(edges.relations == 0, 1, edges.relations + self.shape.num_relations)
        return (
            np.concatenate([edges.heads, edges.tails]),
            np.concatenate([edges.relations, inverse]),
            np.concatenate([edges.tails, edges.heads]),
        )

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        with torch.no_grad():
            self.shares = self.attention()
        return super().batches(data, stream)

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of all nodes; vectors and maps of all relations."""
        nodes = torch.cat([self.users, self.items, self.entities])
        relations = torch.cat([self.taken, self.relations, self.inverses])
        return nodes, relations, torch.cat([self.taken_maps, self.relations_maps, self.inverses_maps])

    def attention(self) -> Tensor:
        """π of each edge, by head -> [edges]; those of a head sum to 1."""
        nodes, relations, maps = self._tables()
        heads = owners_of(self.graph_indptr, len(self.graph_tails))
        moved = torch.tanh(mapped(nodes[heads], self.graph_relations, maps) + relations[self.graph_relations])
        scores = (mapped(nodes[self.graph_tails], self.graph_relations, maps) * moved).sum(dim=1)
        return ragged_softmax(scores, self.graph_indptr)

    def smooth(self, generator: torch.Generator | None = None) -> Tensor:
        """The concatenated layers of all nodes; dropout where there is a generator."""
        layer = self._tables()[0]
        layers = [layer]
        for add, multiply in zip(self.sums, self.products, strict=True):
            near = bag(self.graph_indptr, self.graph_tails, layer, self.shares)
            layer = functional.leaky_relu((layer + near) @ add) + functional.leaky_relu((layer * near) @ multiply)
            layer = dropped(layer, self.config.message_dropout, generator)
            layers.append(functional.normalize(layer))
        return torch.cat(layers, dim=1)

    def distances(self, heads: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
        nodes, vectors, maps = self._tables()
        moved = mapped(rows_at(nodes, heads) - rows_at(nodes, tails), relations, maps)
        return (moved + rows_at(vectors, relations)).square().sum(dim=1)

    def loss(self, batch: KnowledgeBatch) -> Tensor:
        (users, positives, negatives), first = batch.triples, self.shape.num_users
        nodes = self.smooth(torch.Generator().manual_seed(batch.seed))
        p, q, n = rows_at(nodes, users), rows_at(nodes, first + positives), rows_at(nodes, first + negatives)
        start = (rows_at(self.users, users), rows_at(self.items, positives), rows_at(self.items, negatives))
        ranked = losses.bpr((p * q).sum(dim=1), (p * n).sum(dim=1))
        return ranked + self.graph_loss(batch.facts) + 0.5 * self.config.reg * squares(*start)

    def finish(self) -> None:
        self.shares = self.attention()
        nodes, users, items = self.smooth(), self.shape.num_users, self.shape.num_items
        self.smooth_users = nodes[:users].detach().clone()
        self.smooth_items = nodes[users : users + items].detach().clone()

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.smooth_users, self.smooth_items
