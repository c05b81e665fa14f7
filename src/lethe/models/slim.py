"""SLIM: sparse linear methods.

Ning & Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems", ICDM 2011.

    min ½ ‖Y - Y W‖² + ½ l2 ‖W‖² + l1 ‖W‖₁  with  W ≥ 0, W_vv = 0

Every column of W is a problem of its own, solved to a tolerance. Memory is that of the pairs of items that share users;
on a GPU four matrices of all pairs in float32, 16 bytes a pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.solvers.cooccurrence import cooccurrence
from lethe.models.solvers.item_gram import gram_there
from lethe.models.solvers.slim import slim
from lethe.models.solvers.slim_device import slim_there, sparse
from lethe.tables.matrix import InteractionMatrix


class SLIM(item_based.Neighbours):
    """score(u, v) = Σ_{w∈V_u⁺} W_wv."""

    on_device = frozenset({"coordinate-descent"})

    class Config(base.Config):
        per_row: ClassVar[int] = 100
        search: ClassVar[Search] = {
            "l1": Log(0.05, 100.0),
            "l2": Log(1.0, 5000.0),
        }

        solver: Literal["coordinate-descent"] = "coordinate-descent"
        l1: float = Field(2.0, ge=0)
        """Factor of the L1 of W, in interactions; scikit-learn's ElasticNet divides it and l2 by the number of
        users."""
        l2: float = Field(50.0, ge=0)
        """Factor of half the L2 of W, in interactions."""
        sweeps: int = Field(100, ge=1)
        """Most passes over an item's column; each is followed by passes over what has weight. On a GPU, where it isn't,
        ten times as many."""
        tolerance: float = Field(1e-4, ge=0)
        """A pass over an item's column that moves no weight by more than this ends it."""

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        config = self.config
        settings = {"l1": config.l1, "l2": config.l2, "sweeps": config.sweeps, "tolerance": config.tolerance}
        device = self.values.device
        if device.type == "cpu":
            weights, loss = slim(cooccurrence(data), **settings)
        else:
            there, loss = slim_there(gram_there(data, device, torch.float32), **settings)
            weights = sparse(there)
        self.keep(weights)
        yield loss
