"""``solvers.als.solve_rows`` on a GPU: conjugate gradients for all rows at once, in the same steps.

Each step is one pass over the positives by ``pull.scored`` and a product with the Gram matrix of all columns; no matrix
of a single row is ever written. A row stops where the CPU's would: its own step length is then 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lethe.models.solvers.pull import Ragged, pull, scored
from lethe.models.solvers.vectors import Vectors

if TYPE_CHECKING:
    from lethe.models.solvers.als import Rows


@dataclass(frozen=True)
class PlacedRows:
    """``als.Rows`` on a device, and what follows from them for every sweep.

    gaps  [nnz]: a positive's weight less the negative one of its cell      groups  [G, C] float: 1 where a column is of
    the group      filled  [R, 1] bool: whether the row has positives
    """

    ragged: Ragged
    positives: Tensor
    gaps: Tensor
    row_weights: Tensor
    column_weights: Tensor
    groups: Tensor
    filled: Tensor

    @classmethod
    def of(cls, rows: Rows, device: torch.device) -> PlacedRows:
        """Upload once."""
        owners = np.repeat(np.arange(len(rows.indptr) - 1), np.diff(rows.indptr))
        negative = rows.row_weights[owners, rows.groups[rows.columns]] * rows.column_weights[rows.columns]
        groups = rows.groups == np.arange(rows.row_weights.shape[1])[:, None]

        def place(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        return cls(
            Ragged.of(place(rows.indptr), place(rows.columns)),
            place(rows.positives),
            place(rows.positives - negative),
            place(rows.row_weights),
            place(rows.column_weights),
            place(groups.astype(rows.positives.dtype)),
            place(np.diff(rows.indptr) > 0)[:, None],
        )


def solve_placed(rows: PlacedRows, x: Tensor, y: Tensor, *, noise: float, reg: Tensor, steps: int) -> float:
    """As ``als.solve_rows``: ``x`` [R, d] is changed in place; ``reg`` [R]. Returns Σ_rows (xᵀ M x - 2 xᵀ b)."""
    grams = torch.stack([(y * (group * rows.column_weights)[:, None]).T @ y for group in rows.groups])
    right_side = pull(rows.ragged, rows.positives, y)
    diagonal = rows.row_weights @ grams.diagonal(dim1=1, dim2=2) + pull(rows.ragged, rows.gaps, y, squares=True)
    extra = noise * diagonal + reg[:, None]
    inverse = torch.where(diagonal + extra > 0, 1 / (diagonal + extra), 0)

    def product(vectors: Tensor) -> Tensor:
        spread = [rows.row_weights[:, g, None] * (vectors @ gram) for g, gram in enumerate(grams)]
        return sum(spread, scored(rows.ragged, rows.gaps, vectors, y).out) + extra * vectors

    if steps > 0:
        x *= rows.filled
    residual = right_side - product(x)
    direction = residual * inverse
    energy = (residual * direction).sum(dim=1, keepdim=True)
    going = energy > 0
    for _ in range(steps):
        image = product(direction)
        curvature = (direction * image).sum(dim=1, keepdim=True)
        going = going & (curvature > 0) & rows.filled
        length = torch.where(going, energy / curvature, 0)
        x += length * direction
        residual = residual - length * image
        towards = residual * inverse
        following = (residual * towards).sum(dim=1, keepdim=True)
        direction = towards + torch.where(going, following / energy, 0) * direction
        energy = following
        going = going & (energy > 0)
    return -float((x * (right_side + residual)).double().sum())


def beside(x: Vectors, rows: Rows) -> Rows | PlacedRows:
    """The rows where the vectors are."""
    return rows if isinstance(x, np.ndarray) else PlacedRows.of(rows, x.device)
