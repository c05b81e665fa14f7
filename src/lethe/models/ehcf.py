"""EHCF: efficient heterogeneous collaborative filtering: behaviours that transfer what they predict, without sampling.

Chen et al., "Efficient Heterogeneous Collaborative Filtering without Negative Sampling for Recommendation", AAAI 2020;
section 4.4.2 of Chen's thesis. All behaviours share p_u and q_v and differ in how they weigh the dimensions:

    ŷ^(k)_uv = h_kᵀ(p_u ⊙ q_v),      h_k = Σ_{t→k} (M_tk h_t + r_tk),      L = Σ_k μ_k L_k + λ‖M‖²

t → k being the edges of the graph of behaviours; a behaviour without predecessors has a free h. Each L_k goes over all
cells (eq. 4.12). Deviations from the authors' program: as ENMF's (ragged positives, the last batch, dropout integrated
out, normal start vectors). λ is of the matrices M alone, where eq. 4.13 has ‖Θ‖² of all parameters. M starts at the
identity and r at 0, so that at first all h are those of the roots, where theirs are uniform in ±√(3/d). M = I + M̂/d,
and M̂ is learned: a step of Adagrad moves each entry by as much, and d of them add up in an h.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from lethe.config.search import Log, Search
from lethe.config.section import Name, Once
from lethe.core.random import Stream
from lethe.models.parts.multibehaviour import BehaviourConfig, Behaviours, MultiBehaviour
from lethe.tables.matrix import InteractionMatrix, Shape


class EHCF(MultiBehaviour):
    """score(u, v) = ŷ of the target behaviour."""

    class Config(BehaviourConfig):
        search: ClassVar[Search] = {
            "reg": Log(1e-6, 0.01, 5, zero=True),
        }

        solver: Literal["gradient"] = "gradient"
        graph: dict[Name, Annotated[tuple[Name, ...], Once]] = Field(
            {"view": (), "cart": ("view",), "buy": ("view", "cart")}, validate_default=True
        )
        """The predecessors of each behaviour; behaviours of the data that are not named are not learned from."""
        transfer: bool = True
        """Whether behaviours pass on what they learned; false is the ablation: every h_k is free."""
        joint: bool = True
        """Whether behaviours are learned together; false is the ablation: one after another, each a part of the
        epochs."""
        negative_weight: float = Field(0.05, gt=0)
        dropout: float = Field(0.5, ge=0, lt=1)
        reg: float = Field(0.0, ge=0)
        """λ of the matrices M alone, once an epoch."""
        epochs: int = Field(150, ge=0)

        @field_validator("graph")
        @classmethod
        def _the_graph_ends_in_the_target(
            cls, graph: dict[str, tuple[str, ...]], info: ValidationInfo
        ) -> dict[str, tuple[str, ...]]:
            target = info.data.get("target")
            if target not in graph:
                raise ValueError(f"must say what leads to the target {target!r}")
            for name, before in graph.items():
                for other in before:
                    if other == target:
                        raise ValueError(f"the target {target!r} must be last, but leads to {name!r}")
                    if other not in graph:
                        raise ValueError(f"{other!r} leads to {name!r}, but is not itself a behaviour of the graph")
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                raise ValueError(f"must have no cycle, has {' → '.join(error.args[1])}") from None
            return graph

        @property
        def names(self) -> list[str]:
            # Sorted, so that the order in which a file lists the graph decides nothing.
            order = TopologicalSorter({name: sorted(self.graph[name]) for name in sorted(self.graph)}).static_order()
            return [*(name for name in order if name != self.target), self.target]

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        dim = config.embedding_dim
        before = {name: sorted(config.graph[name]) if config.transfer else [] for name in config.names}
        self.edges = [(other, name) for name, others in before.items() for other in others]
        self.h = nn.ParameterDict({name: torch.zeros(dim) for name, others in before.items() if not others})
        self.matrix = nn.ParameterDict({_key(edge): torch.zeros(dim, dim) for edge in self.edges})
        self.offset = nn.ParameterDict({_key(edge): torch.zeros(dim) for edge in self.edges})

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        for h in self.h.values():
            nn.init.constant_(h, self.config.init_std)
        for matrix in self.matrix.values():
            nn.init.zeros_(matrix)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        if not self.config.joint:
            # An epoch's stream is named by its number, which a training resumed from a checkpoint knows too.
            self._turn = int(stream.names[-1]) * len(self.shares) // max(self.config.epochs, 1)
        return super().batches(data, stream)

    def transfer_matrix(self, edge: tuple[str, str]) -> Tensor:
        """M of an edge (behaviour, the one it leads to) -> [d, d]."""
        learned = self.matrix[_key(edge)]
        return torch.eye(len(learned), dtype=learned.dtype, device=learned.device) + learned / len(learned)

    def transferred(self) -> list[Tensor]:
        """h_k [d] of each of ``config.names``."""
        hs: dict[str, Tensor] = dict(self.h)
        for edge in self.edges:
            source, name = edge
            passed = self.transfer_matrix(edge) @ hs[source] + self.offset[_key(edge)]
            hs[name] = hs[name] + passed if name in hs else passed
        return [hs[name] for name in self.config.names]

    def loss(self, batch: Behaviours) -> Tensor:
        users, config = self.users[batch[0].rows], self.config
        loss = self.behaviour_loss(users, self.items, batch, self.transferred(), self._turns())
        if config.reg > 0:
            share = len(users) / self.shape.num_users
            loss = loss + config.reg * share * sum(self.transfer_matrix(edge).square().sum() for edge in self.edges)
        return loss

    def _turns(self) -> list[float]:
        """μ in this epoch: all of them, or the one of the behaviour whose turn it is."""
        if self.config.joint:
            return self.shares
        return [share * (place == self._turn) for place, share in enumerate(self.shares)]

    def factors(self) -> tuple[Tensor, Tensor]:
        return (self.users * self.transferred()[-1]).detach(), self.items.detach()


def _key(edge: tuple[str, str]) -> str:
    return f"{edge[0]}>{edge[1]}"
