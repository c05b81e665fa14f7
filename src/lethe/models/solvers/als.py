"""Alternating least squares for the whole-matrix square loss: one row at a time, exactly or nearly so.

The objective is that of ``models.parts.losses.non_sampling`` with h = 1, its dropout on the user vectors integrated out
(ρ = dropout / (1 - dropout)), and L2. For a user, with c⁻ the items' negative weights,

    (A + ρ diag A + reg I) p_u = c⁺ Σ_{v∈V_u⁺} q_v,      A = Σ_v c⁻_v q_v q_vᵀ + Σ_{v∈V_u⁺} (c⁺ - c⁻_v) q_v q_vᵀ

and an item's row has the same form with the roles swapped, because E[p̃ p̃ᵀ] = p pᵀ + ρ diag(p²). There is no learning
rate, no batch and no mask. (Hu, Koren & Volinsky 2008; conjugate gradients as in Takács, Pilászy & Tikk 2011.)

``solve_rows``, half a sweep, also serves ``models.solvers.collective``, where a row meets the rows of several tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lethe.core.cores import in_pieces
from lethe.models.solvers.als_compiled import add_grams, solve_compiled
from lethe.models.solvers.als_device import PlacedRows, beside, solve_placed
from lethe.models.solvers.vectors import Vectors, kind_of, squared
from lethe.tables.matrix import InteractionMatrix

ROWS = 512
"""Rows that are solved in one piece; the objective is the sum of its pieces."""
_GRAM_ROWS = 8
"""Rows of a Gram matrix that are summed in one piece."""


def als(
    data: InteractionMatrix,
    users: Vectors,
    items: Vectors,
    *,
    negative_weights: np.ndarray,
    positive_weight: float = 1.0,
    alpha: float = 0.0,
    dropout: float = 0.0,
    reg: float = 0.0,
    reg_exponent: float = 0.0,
    sweeps: int = 8,
    steps: int = 3,
) -> Iterator[float]:
    """Run ``sweeps`` sweeps, items first, then users, and yield the objective after each, less its constant.

    ``users`` [num_users, d] and ``items`` [num_items, d] (float32 or float64, contiguous) are changed in place; only
    the start values of ``users`` matter, ``items`` are a warm start. ``negative_weights`` [num_items] is c⁻, and c⁺ is
    ``positive_weight`` + ``alpha`` · what the interaction weighs (Hu, Koren & Volinsky's confidence). ``steps``
    conjugate-gradient steps solve each row from its last value; d steps solve it exactly. Rows without positives
    become zero. Each row is solved by one thread: the same inputs give the same bytes.

    The L2 of a row is ``reg`` · (Σ of the weights of its cells)^``reg_exponent`` (Rendle et al., "Revisiting the
    Performance of iALS on Item Recommendation Benchmarks", RecSys 2022: 1 goes by frequency, 0 is the same for all).
    """
    kind, ones = kind_of(users), np.ones(data.num_users)
    of_item, of_user = (_costs(side, positive_weight, alpha) for side in (data.transposed, data))
    by_item = beside(users, Rows.of(data.transposed, negative_weights, ones, of_item, kind))
    by_user = beside(users, Rows.of(data, ones, negative_weights, of_user, kind))
    of_items = of_users = None
    if reg_exponent:
        of_items = reg * _mass(data.transposed, of_item, ones, negative_weights) ** reg_exponent
        of_users = reg * _mass(data, of_user, negative_weights, ones) ** reg_exponent
    for _ in range(sweeps):
        solve_rows(by_item, items, users, dropout=dropout, reg=reg if of_items is None else of_items, steps=steps)
        loss = solve_rows(
            by_user, users, items, dropout=dropout, reg=reg if of_users is None else of_users, steps=steps
        )
        squares = squared(items)
        yield loss + (reg * float(squares.sum()) if of_items is None else float(of_items @ squares.sum(axis=1)))


def _costs(data: InteractionMatrix, positive_weight: float, alpha: float) -> np.ndarray | float:
    """c⁺ [nnz] float64 of each interaction, or one for all; an interaction without a weight weighs 1."""
    return positive_weight + alpha * (1.0 if data.weights is None else data.weights.astype(np.float64))


def _mass(data: InteractionMatrix, positive: np.ndarray | float, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Σ of the weights of each row's cells [R] float64, the negatives' being rows ⊗ columns: what its L2 goes by."""
    gaps = positive - rows[data.users] * columns[data.items]
    return rows * float(columns.sum()) + np.bincount(data.users, gaps, minlength=data.num_users)


def solve_users(
    data: InteractionMatrix,
    users: Vectors,
    items: Vectors,
    *,
    negative_weights: np.ndarray,
    positive_weight: float = 1.0,
    alpha: float = 0.0,
    dropout: float = 0.0,
    reg: float = 0.0,
    steps: int = 3,
) -> float:
    """The users' half of a sweep alone (fold-in): solve every row of ``users`` in place against fixed ``items``.

    Shapes and meanings as in ``als``. Returns the rows' objective, less its constant.
    """
    costs = _costs(data, positive_weight, alpha)
    rows = Rows.of(data, np.ones(data.num_users), negative_weights, costs, kind_of(users))
    return solve_rows(beside(users, rows), users, items, dropout=dropout, reg=reg, steps=steps)


class Rows(NamedTuple):
    """What a table's rows are solved from. Columns fall into G groups, within which a row's negative weight is one.

    Row r has positives ``columns[indptr[r]:indptr[r + 1]]`` that cost ``positives`` each; its other cells cost
    ``row_weights[r, groups[c]] · column_weights[c]``.

    indptr  [R + 1] int64    columns  [nnz] int64    positives  [nnz]    row_weights  [R, G]    column_weights  [C]
    groups  [C] int64; all floats are of the type of the vectors
    """

    indptr: np.ndarray
    columns: np.ndarray
    positives: np.ndarray
    row_weights: np.ndarray
    column_weights: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(
        cls,
        data: InteractionMatrix,
        row_weights: np.ndarray,
        column_weights: np.ndarray,
        positive_weights: np.ndarray | float,
        kind: type,
    ) -> Rows:
        """The rows (users) of one matrix, all columns in one group; ``positive_weights`` [nnz] or one for all."""
        return cls(
            data.indptr,
            data.items,
            np.full(len(data), positive_weights, dtype=kind),
            row_weights.astype(kind)[:, None],
            column_weights.astype(kind),
            np.zeros(data.num_items, np.int64),
        )

    def part(self, first: int, end: int) -> Rows:
        """The rows from ``first`` on and before ``end``, of the same columns."""
        return self._replace(indptr=self.indptr[first : end + 1], row_weights=self.row_weights[first:end])


def solve_rows(
    rows: Rows | PlacedRows, x: Vectors, y: Vectors, *, dropout: float, reg: float | np.ndarray, steps: int
) -> float:
    """Solve each row of ``x`` [R, d] in place against ``y`` [C, d]. Returns Σ_rows (xᵀ M x - 2 xᵀ b).

    ``reg`` is the L2's factor, one for all rows or of each [R]. With 0 ``steps`` nothing is changed, only the value
    computed.
    """
    kind = kind_of(x)
    regs: np.ndarray = np.full(len(x), reg, dtype=kind)
    if isinstance(rows, PlacedRows):
        assert isinstance(x, Tensor)
        assert isinstance(y, Tensor)
        placed = torch.from_numpy(regs).to(x.device)
        return solve_placed(rows, x, y, noise=dropout / (1.0 - dropout), reg=placed, steps=steps)
    assert isinstance(x, np.ndarray)
    assert isinstance(y, np.ndarray)
    noise, d = kind(dropout / (1.0 - dropout)), x.shape[1]
    grams: np.ndarray = np.zeros((rows.row_weights.shape[1], d, d), kind)
    in_pieces(d, _GRAM_ROWS, lambda first, end: add_grams(y, rows.column_weights, rows.groups, first, end, grams))

    def solve(first: int, end: int) -> float:
        own = rows.part(first, end)
        return float(solve_compiled(*own, grams, x[first:end], y, noise, regs[first:end], steps))

    return sum(in_pieces(len(x), ROWS, solve))
