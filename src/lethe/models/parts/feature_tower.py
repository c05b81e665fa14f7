"""One side of a factorisation machine: rows of weighted features -> one vector and one number each.

With the features x_i e_i of a row and h,

    vector = Σ x_i e_i,      own = Σ w_i x_i + h·½ [(Σ x_i e_i)² - Σ (x_i e_i)²]

Both follow from the sums [Σ x e ; Σ w x ; Σ (x e)²], which add up over parts of a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lethe.models.solvers.pull import bag as sum_rows
from lethe.models.solvers.pull import form
from lethe.tables.matrix import FeatureMatrix

if TYPE_CHECKING:
    import scipy.sparse as sp


class Bag(NamedTuple):
    """Weighted features of some rows, ragged: row b has ``columns[indptr[b]:indptr[b + 1]]``.

    indptr  [B + 1] int64      columns  [nnz] int64, rows of a table      weights  [nnz] float32, x
    """

    indptr: Tensor
    columns: Tensor
    weights: Tensor

    @classmethod
    def of(cls, matrix: sp.csr_array) -> Bag:
        """Of [B, rows of the table] float32."""
        parts = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data
        return cls(*map(torch.from_numpy, parts))


def tower(table: Tensor, h: Tensor, bag: Bag) -> Tensor:
    """[vector ; own] of each row -> [B, d + 1]; ``table`` [F, d + 1] holds e and, in its last column, w; ``h`` [d].

    Differentiable once, in ``table`` and ``h``.
    """
    if form(table) != "compiled":
        return from_sums(sums(table, bag), h)
    built: Tensor = _Tower.apply(table, h, *bag)  # type: ignore[no-untyped-call]
    return built


def sums(table: Tensor, bag: Bag) -> Tensor:
    """[Σ x e ; Σ w x ; Σ (x e)²] of each row -> [B, 2 d + 1]."""
    weights = bag.weights.to(table.dtype)

    def total(rows: Tensor, factors: Tensor) -> Tensor:
        return sum_rows(bag.indptr, bag.columns, rows, factors)

    return torch.cat([total(table, weights), total(table[:, :-1].square(), weights.square())], dim=1)


def from_sums(parts: Tensor, h: Tensor) -> Tensor:
    """What ``tower`` gives, from the sums [B, 2 d + 1] of its rows."""
    d = len(h)
    vectors, biases, squares = parts[:, :d], parts[:, d : d + 1], parts[:, d + 1 :]
    return torch.cat([vectors, biases + (0.5 * (vectors.square() - squares) @ h)[:, None]], dim=1)


class _Tower(torch.autograd.Function):
    """On the CPU: one pass over the features each way, in a fixed order."""

    @staticmethod
    def forward(context: Any, table: Tensor, h: Tensor, *bag: Tensor) -> Tensor:
        # Not at the top: it brings numba, and who only scores needs none.
        from lethe.models.parts.feature_tower_compiled import forward

        out = torch.empty((len(bag[0]) - 1, table.shape[1]), dtype=table.dtype)
        forward(*(part.detach().contiguous().numpy() for part in (table, h, *bag)), out.numpy())
        context.save_for_backward(table, h, *bag, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from lethe.models.parts.feature_tower_compiled import backward

        table, h, *bag, out = context.saved_tensors
        table_grad, h_grad = torch.zeros_like(table), torch.zeros_like(h)
        arrays = [part.detach().contiguous().numpy() for part in (table, h, *bag, out, grad)]
        backward(*arrays, table_grad.numpy(), h_grad.numpy())
        return table_grad, h_grad, None, None, None


def feature_rows(num_rows: int, features: FeatureMatrix | None, width: int) -> sp.csr_array:
    """[num_rows, width]: every row itself, then its features, then nothing."""
    import scipy.sparse as sp  # Not at the top: who only scores needs none.

    own = sp.eye_array(num_rows, dtype=np.float32, format="csr")
    blocks = [own]
    if features is not None:
        parts = features.weights, features.columns, features.indptr
        blocks.append(sp.csr_array(parts, shape=(num_rows, width - num_rows)))
    matrix = sp.csr_array(sp.hstack(blocks, "csr"))
    matrix.resize(num_rows, width)
    return matrix
