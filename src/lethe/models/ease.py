"""EASE: an item-item matrix in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

    min ‖Y - Y W‖² + reg ‖W‖²  with  W_vv = 0,      W_wv = -P_wv / P_vv,      P = (YᵀY + reg I)⁻¹

One Cholesky decomposition, of whole numbers but for ``reg``, on the CPU or a GPU. Memory is O(num_items²): with float64
two such matrices at once (a GPU's library: four), 16 bytes a pair of items (16 GB at 32,000 items), and half of that
with float32; W, which is kept, has 4 bytes a pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.linalg import lapack
from torch import Tensor

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, item_based
from lethe.models.solvers.cooccurrence import cooccurrence
from lethe.models.solvers.item_gram import closed_form_there, gram_there
from lethe.models.solvers.vectors import Vectors
from lethe.models.solvers.votes import dense_rows
from lethe.tables.matrix import InteractionMatrix, Shape


class EASE(item_based.ItemBased):
    """score(u, v) = Σ_{w∈V_u⁺} W_wv."""

    on_device = frozenset({"closed-form"})

    class Config(base.Config):
        per_row: ClassVar[int] = 1000
        search: ClassVar[Search] = {
            "reg": Log(1.0, 20_000.0, 27),
        }

        solver: Literal["closed-form"] = "closed-form"
        reg: float = Field(200.0, gt=0)
        """λ of the L2 of W, in interactions."""
        precision: Literal["float64", "float32"] = "float64"
        """Precision of the decomposition; W is float32."""

    weights: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("weights", torch.zeros(shape.num_items, shape.num_items))

    @classmethod
    def memory(cls, config: Config, shape: Shape) -> int:
        return 2 * np.dtype(config.precision).itemsize * shape.num_items**2

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.remember(data)

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        device = self.weights.device
        if data.num_items and device.type == "cpu":
            self.solve_gram(cooccurrence(data).astype(self.config.precision).toarray())
        elif data.num_items:
            self.solve_gram(gram_there(data, device, getattr(torch, self.config.precision)))
        return iter(())

    def solve_gram(self, gram: Vectors) -> None:
        """Set W from YᵀY [num_items, num_items], in the config's precision; it is overwritten."""
        if isinstance(gram, Tensor):
            self.weights = closed_form_there(gram, self.config.reg)
        else:
            self.weights = torch.from_numpy(closed_form(gram, self.config.reg).astype(np.float32, order="C"))

    def votes(self, indptr: Tensor, items: Tensor) -> Tensor:
        return dense_rows(indptr, items, self.weights)


def closed_form(gram: np.ndarray, reg: float) -> np.ndarray:
    """W [N, N] from YᵀY [N, N], in its precision; ``gram`` is overwritten."""
    gram[np.diag_indices(len(gram))] += reg
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), (gram,))
    # A symmetric matrix is its own transpose, and that one is in LAPACK's order, so nothing is copied.
    factor, failed = potrf(gram.T, lower=True, overwrite_a=True, clean=False)
    assert failed == 0, "YᵀY + reg I is positive definite"
    inverse, failed = potri(factor, lower=True, overwrite_c=True)
    assert failed == 0
    for place in range(len(inverse)):
        inverse[place, place + 1 :] = inverse[place + 1 :, place]
    inverse /= -inverse.diagonal()
    np.fill_diagonal(inverse, 0)
    return inverse
