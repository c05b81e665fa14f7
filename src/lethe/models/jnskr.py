"""JNSKR: joint non-sampling learning of recommendation and of a knowledge graph.

Chen et al., "Jointly Non-Sampling Learning for Knowledge Graph Enhanced Recommendation", SIGIR 2020, eq. (5.17) to
(5.22) of the thesis. With ĝ_vrt = Σ_i e_vi r_i e_ti (DistMult) over the triples (v, r, t) of the items,

    L_KG(B) = Σ_{v∈B} Σ_{(r,t)∈N_v} [(1 - w⁻_v) ĝ² - 2 ĝ] + Σ_ij (Σ_r r_i r_j)(Σ_{v∈B} w⁻_v e_vi e_vj)(Σ_t e_ti e_tj)
    q_v = e_v + Σ_{(r,t)∈N_v} α_rt e_t,      α = softmax over N_v of h_αᵀ ReLU(W_1 e_t + W_2 r + b)
    L = L_CF + μ L_KG + λ‖Θ‖²,      ŷ_uv = hᵀ(p_u ⊙ q_v)

and L_CF the whole-matrix square loss by batches of items (ENMF-I's). An item without triples is its own vector.

Deviation from the text, though not from the authors' program: tails have a table of their own even where one is an
item, and heads are items only, so that facts between two others say nothing.

Deviations from the authors' program: ragged, nothing cut off; the last, smaller batch of an epoch is used too; an item
needs neither an interaction nor a triple; inverse triples are only there if the dataset lists them; dropout on q_v is
integrated out exactly, and there is none in L_KG (the text has none either); initial vectors are normal, not truncated
normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import losses, towers
from lethe.models.parts.batches import RowBatch, row_batches
from lethe.models.parts.layers import ragged_softmax, rows_at
from lethe.models.parts.ragged import placed_entries
from lethe.models.solvers.pull import bag, owners_of
from lethe.tables.matrix import InteractionMatrix, Shape


class Facts(NamedTuple):
    """Triples of some items, ragged: item b has (relations[k], entities[k]) for k in indptr[b] .. indptr[b + 1]."""

    indptr: Tensor
    relations: Tensor
    entities: Tensor


class Batch(NamedTuple):
    task: str
    """"both", "recommend" or "graph"."""
    positives: RowBatch
    """Items with their users."""
    facts: Facts
    """Of the same items."""


class JNSKR(towers.NonSampling):
    """score(u, v) = hᵀ(p_u ⊙ q_v), from the item vectors that ``finish`` keeps."""

    needs: ClassVar[frozenset[str]] = frozenset({"triples"})

    class Config(towers.NonSamplingConfig):
        search: ClassVar[Search] = {
            "graph_weight": Log(0.001, 1.0, 7, zero=True),
            "graph_negative_weight": Log(1e-4, 0.1, 7),
            "reg": Log(1e-6, 0.01, 5, zero=True),
        }

        solver: Literal["gradient"] = "gradient"
        epochs: int = Field(100, ge=0)
        """Passes over the items: ``batch_size`` counts items."""
        graph_weight: float = Field(0.01, ge=0)
        """μ: weight of L_KG, the graph's loss. 0: recommendation alone."""
        graph_negative_weight: float = Field(0.001, gt=0)
        """w⁻ of every (relation, entity) of an item; with ``popularity_exponent``, the sum of w⁻ over the items, which
        then goes by their triples."""
        attention: bool = True
        """Whether an item's facts are weighed; false: α = 1 / |N_v|."""
        attention_dim: int = Field(32, ge=1)
        """Size of the attention's hidden layer."""
        training: Literal["joint", "alternating"] = "joint"
        """Both losses in each step, or alternating: each epoch is a pass of L_CF, then one of μ L_KG."""
        reg: float = Field(0.0, ge=0)
        """λ on all vectors."""
        attention_reg: float = Field(0.0, ge=0)
        """λ on the attention's matrices."""

    graph_weights: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d, k = config.embedding_dim, config.attention_dim
        self.h = nn.Parameter(torch.zeros(d))
        self.entities = nn.Parameter(torch.zeros(shape.num_entities, d))
        self.relations = nn.Parameter(torch.zeros(shape.num_relations, d))
        self.entity_map = nn.Parameter(torch.zeros(d, k))
        self.relation_map = nn.Parameter(torch.zeros(d, k))
        self.attention_bias = nn.Parameter(torch.zeros(k))
        self.attention_out = nn.Parameter(torch.zeros(k))
        self.register_buffer("item_vectors", torch.zeros(shape.num_items, d))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        config, triples = self.config, data.side.triples
        assert triples is not None, "train checks needs"
        spread = (2.0 / (config.embedding_dim + config.attention_dim)) ** 0.5
        for name, std in (
            ("entities", config.init_std),
            ("relations", config.init_std),
            ("entity_map", spread),
            ("relation_map", spread),
            ("attention_out", config.init_std),
        ):
            towers.normal_(getattr(self, name), std, stream.torch(name))
        nn.init.constant_(self.h, config.init_std)
        counts = torch.from_numpy(np.diff(triples.indptr))
        weights = losses.negative_weights(counts, config.graph_negative_weight, config.popularity_exponent)
        self.register_buffer("graph_weights", weights, persistent=False)
        self._fact_bounds = triples.indptr
        self.hold("fact", Facts(*map(torch.from_numpy, (triples.indptr, triples.relations, triples.entities))))

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Batch]:
        for task in ("both",) if self.config.training == "joint" else ("recommend", "graph"):
            for batch in row_batches(data.transposed, self.config.batch_size, stream.numpy(task)):
                yield Batch(task, batch, self._facts_of(batch))

    def _facts_of(self, batch: RowBatch) -> Facts:
        """The triples of the batch's items, taken where the model is."""
        facts = self.held("fact", Facts)
        indptr, places = placed_entries(self._fact_bounds, facts.indptr, batch.host_rows)
        return Facts(indptr, facts.relations[places], facts.entities[places])

    def loss(self, batch: Batch) -> Tensor:
        value = self.h.new_zeros(())
        if batch.task != "graph":
            value = value + self._recommendation_loss(batch) + self._norm(batch.positives.rows)
        if batch.task != "recommend" and self.config.graph_weight:
            value = value + self.config.graph_weight * self._graph_loss(batch.positives.rows, batch.facts)
        return value

    def _norm(self, rows: Tensor) -> Tensor | float:
        """λ‖Θ‖²: the items ``rows``, and their share of all else, so that an epoch's batches sum to the whole."""
        config, share = self.config, len(rows) / self.shape.num_items
        value: Tensor | float = 0.0
        if config.reg:
            others = sum(table.square().sum() for table in (self.users, self.entities, self.relations))
            value = value + config.reg * (self.items[rows].square().sum() + share * others)
        if config.attention_reg:
            maps = self.entity_map.square().sum() + self.relation_map.square().sum()
            value = value + config.attention_reg * share * maps
        return value

    def _recommendation_loss(self, batch: Batch) -> Tensor:
        """L_CF of the batch's items with all users."""
        rows = batch.positives.rows
        return losses.non_sampling(
            self._vectors(rows, batch.facts),
            self.users,
            batch.positives,
            negative_weights=torch.ones_like(self.users[:, 0]),
            row_weights=self.negative_weights[rows],
            h=self.h,
            dropout=self.config.dropout,
        )

    def _graph_loss(self, rows: Tensor, facts: Facts) -> Tensor:
        """L_KG of the items ``rows`` [B] as heads, with all relations and all entities."""
        heads, weights = self.items[rows], self.graph_weights[rows].to(self.items.dtype)
        owner = owners_of(facts.indptr, len(facts.entities))
        cells = heads[owner] * rows_at(self.relations, facts.relations) * rows_at(self.entities, facts.entities)
        scores = cells.sum(dim=1)
        positives = ((1.0 - weights[owner]) * scores.square() - 2.0 * scores).sum()
        grams = self.relations.T @ self.relations, heads.T @ (weights[:, None] * heads), self.entities.T @ self.entities
        return positives + (grams[0] * grams[1] * grams[2]).sum()

    def _vectors(self, rows: Tensor, facts: Facts) -> Tensor:
        """q of the items ``rows`` -> [B, d]."""
        return self.items[rows] + bag(facts.indptr, facts.entities, self.entities, self.attention(facts))

    def attention(self, facts: Facts) -> Tensor:
        """α of each triple -> [nnz]; those of an item sum to 1."""
        if not self.config.attention:
            sizes, owner = facts.indptr.diff(), owners_of(facts.indptr, len(facts.entities))
            return (1.0 / sizes[owner]).to(self.entities.dtype)
        hidden = rows_at(self.entities, facts.entities) @ self.entity_map
        hidden = hidden + rows_at(self.relations, facts.relations) @ self.relation_map
        scores = torch.relu(hidden + self.attention_bias) @ self.attention_out
        return ragged_softmax(scores, facts.indptr)

    def finish(self) -> None:
        rows = torch.arange(self.shape.num_items, device=self.items.device)
        self.item_vectors = self._vectors(rows, self.held("fact", Facts))

    def factors(self) -> tuple[Tensor, Tensor]:
        return (self.users * self.h).detach(), self.item_vectors
