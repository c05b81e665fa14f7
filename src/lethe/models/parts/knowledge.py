"""What the models of a knowledge graph by sampled pairs share: BPR beside a loss of facts against corrupted ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses
from lethe.models.parts.batches import Triples, triple_batches
from lethe.models.parts.vectors import VectorsConfig
from lethe.tables.matrix import InteractionMatrix


class KnowledgeConfig(VectorsConfig):
    """What they read."""

    search: ClassVar[Search] = {
        "embedding_dim": Log(8, 256, 6),
        "graph_weight": Log(0.01, 10.0, 7, zero=True),
        "reg": Log(1e-4, 1.0, 9, zero=True),
        "learning_rate": Log(5e-4, 0.05, 7),
        "epochs": Log(15, 240, 5),
    }

    graph_weight: float = Field(1.0, ge=0)
    """Weight of a fact's loss against an interaction's. 0: no facts."""
    reg: float = Field(0.02, ge=0)
    """Factor of half the L2 on the vectors of each triple and of each fact."""
    epochs: int = Field(60, ge=0)
    batch_size: int = Field(1024, ge=0)
    """Triples a step; its facts are their share of all."""


class Edges(NamedTuple):
    """Facts that are learned from, and from where a tail is drawn to make each a false one: low <= tail < high. All [n]
    int64."""

    heads: np.ndarray
    relations: np.ndarray
    tails: np.ndarray
    low: np.ndarray
    high: np.ndarray


class FactBatch(NamedTuple):
    """Some facts and, for each, a uniform other tail, all [B] int64."""

    heads: Tensor
    relations: Tensor
    tails: Tensor
    corrupted: Tensor


class KnowledgeBatch(NamedTuple):
    triples: Triples
    facts: FactBatch
    seed: int


class KnowledgeModel(base.Model):
    """Σ -ln σ(ŷ_ui - ŷ_uj) + graph_weight Σ -ln σ(d(h, r, t') - d(h, r, t)); its Config is a KnowledgeConfig."""

    needs = frozenset({"triples"})

    def edges(self, data: InteractionMatrix) -> Edges:
        """The facts of the items."""
        triples = data.side.triples
        assert triples is not None, "train checks needs"
        heads = np.repeat(np.arange(data.num_items), np.diff(triples.indptr))
        bounds = np.zeros_like(heads), np.full_like(heads, self.shape.num_entities)
        return Edges(heads, triples.relations, triples.entities, *bounds)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        edges, size = self.edges(data), self.config.batch_size or max(len(data), 1)
        steps, generator = max(-(-len(data) // size), 1), stream.numpy("facts")
        shuffled = generator.permutation(len(edges.heads))
        for place, triples in enumerate(triple_batches(data, size, stream.numpy("batches"))):
            own = Edges(*(part[shuffled[place::steps]] for part in edges))
            corrupted = generator.integers(own.low, own.high) if len(own.heads) else own.heads
            parts = own.heads, own.relations, own.tails, corrupted
            facts = FactBatch(*map(torch.from_numpy, parts))
            yield KnowledgeBatch(triples, facts, stream.integer("dropout", place))

    def distances(self, heads: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
        """d of facts [B] -> [B]: how little a head with that relation leads to a tail."""
        raise NotImplementedError

    def graph_loss(self, facts: FactBatch) -> Tensor:
        if not self.config.graph_weight:
            return torch.zeros((), device=facts.heads.device)
        right = self.distances(facts.heads, facts.relations, facts.tails)
        wrong = self.distances(facts.heads, facts.relations, facts.corrupted)
        value: Tensor = self.config.graph_weight * losses.bpr(wrong, right)
        return value


def mapped(vectors: Tensor, relations: Tensor, maps: Tensor) -> Tensor:
    """W_r x of vectors x [n, d], each with the map of its relation r [n] among ``maps`` [R, d, d] -> [n, d]."""
    # One product for each relation: a map for each vector would not fit the memory.
    order = torch.argsort(relations, stable=True)
    sizes = torch.bincount(relations, minlength=len(maps)).tolist()
    parts = torch.split(vectors[order], sizes)
    moved = [part @ own.T for part, own in zip(parts, maps, strict=True)]
    return torch.cat([*moved, vectors[:0]])[torch.argsort(order)]


def squares(*parts: Tensor) -> Tensor:
    """Σ of the squares of all."""
    return torch.stack([part.square().sum() for part in parts]).sum()
