"""GHCF: graph heterogeneous collaborative filtering: behaviours as relations of one graph, without sampling.

Chen et al., "Graph Heterogeneous Multi-Relational Recommendation", AAAI 2021; section 4.4.3 of Chen's thesis.

    E^(l) = LeakyReLU( Σ_r D_r^(-1/2) A_r D_r^(-1/2) (E^(l-1) ⊙ e_r^(l-1)) W^(l) ),      e_r^(l) = W_rel^(l) e_r^(l-1)
    ŷ^(r)_uv = e_uᵀ diag(e_r) e_v,      e = mean over layers 0..L,      L = Σ_r μ_r L_r + λ‖E^(0)‖²

Each L_r goes over all cells (eq. 4.23). D_r are degrees within a behaviour, as in the authors' program; with
``degrees`` "all" they are those over all behaviours, as eq. 4.18's |N_u| has them. There is no self-loop, and a message
has the same relation vector in both directions. A behaviour of weight μ = 0 has no graph either.

Deviations from the authors' program: one step is the whole graph and all users by default, where theirs propagates the
whole graph for every 256 users; λ is of E^(0) rather than of the smoothed vectors; the program's weighing of the
behaviours' messages by μ is ``weigh_messages``; node dropout drops all that a node sends, in one step, rather than
single edges; the start is the exact solution without graphs rather than random, and W = I + Ŵ/d starts near the
identity, so that a step of Adam moves no layer far.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Linear, Log, Search
from lethe.config.section import Name
from lethe.core.random import Stream
from lethe.models.parts import base, towers
from lethe.models.parts.graph import Graph, normalized_graph, symmetric_product
from lethe.models.parts.layers import dropped
from lethe.models.parts.multibehaviour import BehaviourConfig, Behaviours, MultiBehaviour
from lethe.models.solvers.collective import Block, collective, union
from lethe.tables.matrix import InteractionMatrix, Shape

START_DROPOUT = 0.3
"""Of the exact start, which would fit the training cells too closely without any."""


class GraphBatch(NamedTuple):
    """Some users with all they did, and the seed of the step's dropout."""

    parts: Behaviours
    seed: int


class GHCF(MultiBehaviour):
    """score(u, v) = ŷ of the target behaviour, from the smoothed vectors that ``finish`` keeps."""

    class Config(BehaviourConfig):
        search: ClassVar[Search] = {
            "num_layers": Linear(1, 4, 4),
            "message_dropout": Linear(0.0, 0.5, 6),
            "node_dropout": Linear(0.0, 0.5, 6),
            "reg": Log(1e-4, 1.0, 5, zero=True),
        }

        solver: Literal["gradient"] = "gradient"
        behaviours: tuple[Name, ...] = Field(("view", "cart", "buy"), validate_default=True)
        """Behaviours of the data to learn from, the target among them."""
        num_layers: int = Field(2, ge=0, le=5)
        """Times that vectors are smoothed along the behaviours' graphs."""
        start: Literal["exact", "normal"] = "exact"
        """Start vectors: the exact factors of the behaviours' weighted union (``solvers.collective``), which save
        some hundred steps, or normal ones."""
        weigh_messages: bool = True
        """Whether a behaviour's messages count by its μ, or all the same."""
        degrees: Literal["behaviour", "all"] = "behaviour"
        """Neighbours that a message is divided by: of its behaviour, or of all that are learned from."""
        negative_weight: float = Field(0.02, gt=0)
        dropout: base.Probability = 0.2
        """Share dropped of the smoothed user vectors' entries, integrated out."""
        message_dropout: base.Probability = 0.1
        """Share dropped of the entries of each layer's vectors."""
        node_dropout: base.Probability = 0.0
        """Share of the nodes whose messages are all dropped, anew in each layer."""
        reg: float = Field(0.0, ge=0)
        """λ of the vectors before smoothing."""
        optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
        learning_rate: float = Field(0.01, gt=0)
        epochs: int = Field(60, ge=0)
        batch_size: int = Field(0, ge=0)
        """Users a step; every batch costs a propagation over all graphs. 0: all."""
        decay: Literal["constant", "linear"] = "linear"

        @field_validator("behaviours")
        @classmethod
        def _the_target_is_one(cls, behaviours: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
            target = info.data.get("target")
            if target not in behaviours or len(set(behaviours)) < len(behaviours):
                raise ValueError(f"must name behaviours once, and the target {target!r} among them")
            return behaviours

        @property
        def names(self) -> list[str]:
            return [*sorted(set(self.behaviours) - {self.target}), self.target]

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        dim = config.embedding_dim
        self.relations = nn.Parameter(torch.zeros(len(self.shares), dim))
        self.node_weights = nn.ParameterList(torch.zeros(dim, dim) for _ in range(config.num_layers))
        self.relation_weights = nn.ParameterList(torch.zeros(dim, dim) for _ in range(config.num_layers))
        self.register_buffer("smooth_users", torch.zeros(shape.num_users, dim))
        self.register_buffer("smooth_items", torch.zeros(shape.num_items, dim))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        matrices = self.matrices(data)
        for place, (share, matrix) in enumerate(zip(self.shares, matrices, strict=True)):
            if share > 0:
                self.hold(f"graph_{place}", normalized_graph(matrix, self._degrees(matrices)))
        if self.config.start == "exact":
            self._solve_union(data)
        towers.normal_(self.relations, 0.1, stream.torch("relations"))
        with torch.no_grad():
            self.relations.add_(1.0)
        for name in ("node_weights", "relation_weights"):
            for layer, weight in enumerate(getattr(self, name)):
                towers.normal_(weight, 0.1, stream.torch(name, layer))

    def _degrees(self, matrices: list[InteractionMatrix]) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows of each user and of each item in all behaviours together, where they are to count."""
        if self.config.degrees == "behaviour":
            return None
        learned = [matrix for matrix, share in zip(matrices, self.shares, strict=True) if share > 0]
        users = np.sum([np.diff(matrix.indptr) for matrix in learned], axis=0)
        return users, np.sum([matrix.item_counts for matrix in learned], axis=0)

    def _solve_union(self, data: InteractionMatrix) -> None:
        """Start from the optimum of the same objective without graphs and with one relation vector for all."""
        weighted = [(m, share) for m, share in zip(self.matrices(data), self.shares, strict=True) if share > 0]
        done, weights = union(weighted)
        negative = (torch.tensor(self.shares) @ self.negative_weights).numpy()
        tables = {"items": self.items.detach().numpy(), "users": self.users.detach().numpy()}
        for _ in collective([Block("users", "items", done, negative, weights)], tables, dropout=START_DROPOUT):
            pass
        # Smoothing adds users to items, so their vectors must be of one size; their products stay.
        sizes = {name: np.linalg.norm(table, axis=0) for name, table in tables.items()}
        ratio = np.sqrt(
            np.divide(sizes["items"], sizes["users"], out=np.ones_like(sizes["users"]), where=sizes["users"] > 0)
        )
        ratio[ratio == 0] = 1.0
        tables["users"] *= ratio
        tables["items"] /= ratio

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        for place, parts in enumerate(super().batches(data, stream)):
            yield GraphBatch(parts, stream.integer("dropout", place))

    def smooth(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Means over layers 0..L: users [M, d], items [N, d], relations [K, d]; dropout where there is a generator."""
        config, dim = self.config, self.config.embedding_dim
        nodes, relations = torch.cat([self.users, self.items]), self.relations
        all_nodes, all_relations = nodes, relations
        for node_weight, relation_weight in zip(self.node_weights, self.relation_weights, strict=True):
            sent = dropped(nodes, config.node_dropout, generator, whole_rows=True)
            received = torch.zeros_like(nodes)
            for place, share in enumerate(self.shares):
                if share > 0:
                    factor = share if config.weigh_messages else 1.0
                    passed = symmetric_product(self.held(f"graph_{place}", Graph), sent)
                    received = received + passed * (factor * relations[place])
            nodes = functional.leaky_relu(received + received @ node_weight / dim, 0.2)
            nodes = dropped(nodes, config.message_dropout, generator)
            relations = relations + relations @ relation_weight / dim
            all_nodes, all_relations = all_nodes + nodes, all_relations + relations
        layers = config.num_layers + 1
        users, items = (all_nodes / layers).split([self.shape.num_users, self.shape.num_items])
        return users, items, all_relations / layers

    def loss(self, batch: GraphBatch) -> Tensor:
        users, items, relations = self.smooth(torch.Generator().manual_seed(batch.seed))
        rows = batch.parts[-1].rows
        loss = self.behaviour_loss(users[rows], items, batch.parts, list(relations), self.shares)
        return loss + self.config.reg * self.squared_norm(batch.parts[-1])

    def finish(self) -> None:
        users, items, relations = self.smooth()
        self.smooth_users, self.smooth_items = (users * relations[-1]).contiguous(), items.contiguous()

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.smooth_users, self.smooth_items
