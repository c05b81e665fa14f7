"""What models of a dense item-item matrix share: W of every pair of items, 4 bytes each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lethe.models.parts import item_based
from lethe.models.solvers.votes import dense_rows
from lethe.tables.matrix import Shape


class DenseItems(item_based.ItemBased):
    """score(u, v) = Σ_{w∈V_u⁺} W_wv; ``weights`` [num_items, num_items] is W."""

    weights: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("weights", torch.zeros(shape.num_items, shape.num_items))

    def keep(self, weights: np.ndarray) -> None:
        """Set W [num_items, num_items], which becomes float32."""
        self.weights = torch.from_numpy(weights.astype(np.float32, order="C"))

    @classmethod
    def memory(cls, config: Any, shape: Shape) -> int:
        """Three matrices of float64."""
        return 3 * 8 * shape.num_items**2

    def votes(self, indptr: Tensor, items: Tensor) -> Tensor:
        return dense_rows(indptr, items, self.weights)
