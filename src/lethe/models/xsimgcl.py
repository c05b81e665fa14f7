"""XSimGCL: LightGCN whose layers are disturbed by noise, and whose final vectors agree with those of a layer between.

Yu et al., "XSimGCL: Towards Extremely Simple Graph Contrastive Learning for Recommendation", TKDE 2023.

    E^(l+1) = Â E^(l) + ε sign(Â E^(l)) ⊙ Δ,  ‖Δ_row‖ = 1, Δ ≥ 0;      e = mean of E^(1) .. E^(L),      ŷ_uv = e_u·e_v

    min Σ_B { BPR + λ |B| [n(U_B) + n(V_B)] + reg/2 Σ ‖E^(0)‖² },
    n(X) = mean_{x∈X} -ln [ exp(ê_x·ê^(l*)_x / τ) / Σ_{y∈X} exp(ê_x·ê^(l*)_y / τ) ],      ê = e / ‖e‖

with Â = D^(-1/2) A D^(-1/2), U_B and V_B the distinct users and positive items of a batch of triples, and l* the layer
that is contrasted. Scores come of vectors without noise. Losses are sums, |B| times the paper's means; start vectors
are normal where the authors' program has Xavier's; the layer between is E^(l*) as in their program.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from lethe.config.search import Choice, Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import losses
from lethe.models.parts.batches import Triples, triple_batches
from lethe.models.parts.graph import symmetric_product
from lethe.models.parts.graph_towers import GraphTowers
from lethe.models.parts.layers import rows_at
from lethe.models.parts.vectors import VectorsConfig
from lethe.tables.matrix import InteractionMatrix


class NoisyTriples(NamedTuple):
    """Triples, and the seed of the step's noise."""

    triples: Triples
    seed: int


class XSimGCL(GraphTowers):
    """score(u, v) = e_u·e_v, of the smoothed vectors."""

    class Config(VectorsConfig):
        num_layers: int = Field(2, ge=1)
        """Times L that vectors are smoothed along the graph of users and items."""
        contrast_layer: int = Field(1, ge=1)
        """Layer l* with which the final vectors shall agree."""
        contrast_weight: float = Field(0.1, ge=0)
        """λ: weight of the agreement."""
        temperature: float = Field(0.2, gt=0)
        """τ: the lower, the more the likest others count."""
        noise: float = Field(0.1, ge=0)
        """ε: length of the noise that each layer adds to each vector."""
        reg: float = Field(1e-3, ge=0)
        """Factor of half the L2 on the unsmoothed vectors of each triple."""
        epochs: int = Field(30, ge=0)
        batch_size: int = Field(2048, ge=0)
        """Triples a step, which costs a propagation over the whole graph. 0: all."""

        search: ClassVar[Search] = {
            "embedding_dim": Log(16, 256, 5),
            "num_layers": Choice(1, 2, 3),
            "contrast_weight": Log(0.01, 1.0, 7),
            "temperature": Linear(0.05, 0.5, 10),
            "noise": Log(0.01, 1.0, 7, zero=True),
            "reg": Log(1e-5, 0.1, 5, zero=True),
            "learning_rate": Log(5e-4, 0.05, 5),
            "epochs": Log(8, 120, 5),
        }

        @model_validator(mode="after")
        def _has_the_layer(self) -> Any:
            if self.contrast_layer > self.num_layers:
                raise ValueError(f"contrast_layer must be one of the {self.num_layers} layers (num_layers)")
            return self

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[NoisyTriples]:
        triples = triple_batches(data, self.config.batch_size, stream.numpy("batches"))
        for step, batch in enumerate(triples):
            yield NoisyTriples(batch, stream.integer("noise", step))

    def smooth(self, noise: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Users, then items [M + N, d]: the mean of layers 1 to L, and layer l*; noise where there is a generator."""
        layers = [torch.cat([self.users, self.items])]
        for _ in range(self.config.num_layers):
            layers.append(disturbed(symmetric_product(self.graph, layers[-1]), self.config.noise, noise))
        return torch.stack(layers[1:]).mean(dim=0), layers[self.config.contrast_layer]

    def loss(self, batch: NoisyTriples) -> Tensor:
        (users, positives, negatives), config = batch.triples, self.config
        final, between = self.smooth(torch.Generator().manual_seed(batch.seed))
        offset = self.shape.num_users  # items stand after the users
        value = losses.bpr(*Triples(users, offset + positives, offset + negatives).scores(final, final))
        if config.contrast_weight:
            sides = (torch.unique(users), offset + torch.unique(positives))
            apart = sum(disagreement(final[rows], between[rows], config.temperature) for rows in sides)
            value = value + config.contrast_weight * len(users) * apart
        if config.reg:
            tables = ((users, self.users), (positives, self.items), (negatives, self.items))
            norms = [rows_at(table, rows).square().sum() for rows, table in tables]
            value = value + 0.5 * config.reg * torch.stack(norms).sum()
        return value

    def smoothed_towers(self) -> tuple[Tensor, Tensor]:
        users, items = torch.split(self.smooth()[0], [self.shape.num_users, self.shape.num_items])
        return users, items


def disturbed(x: Tensor, length: float, generator: torch.Generator | None) -> Tensor:
    """Rows [n, d], each moved by ``length`` in a random direction of its own orthant; as they are without generator."""
    if generator is None or length == 0:
        return x
    # Drawn on the CPU, so that every device adds the same.
    drawn = torch.rand(x.shape, generator=generator).to(x)
    return x + length * torch.sign(x.detach()) * functional.normalize(drawn)


def disagreement(left: Tensor, right: Tensor, temperature: float) -> Tensor:
    """Mean over rows of -ln of the softmax, over the rows of ``right`` [n, d], that ``left`` [n, d] gives its own."""
    likeness = functional.normalize(left) @ functional.normalize(right).T / temperature
    return functional.cross_entropy(likeness, torch.arange(len(left), device=left.device))
