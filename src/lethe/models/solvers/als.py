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

import numba
import numpy as np
import torch
from torch import Tensor

from lethe.models.solvers.als_device import PlacedRows, beside, solve_placed
from lethe.models.solvers.vectors import Vectors, kind_of, squared
from lethe.tables.matrix import InteractionMatrix

_FAST = {"reassoc", "contract", "nsz"}


def als(
    data: InteractionMatrix,
    users: Vectors,
    items: Vectors,
    *,
    negative_weights: np.ndarray,
    positive_weight: float = 1.0,
    dropout: float = 0.0,
    reg: float = 0.0,
    reg_exponent: float = 0.0,
    sweeps: int = 8,
    steps: int = 3,
) -> Iterator[float]:
    """Run ``sweeps`` sweeps, items first, then users, and yield the objective after each, less its constant.

    ``users`` [num_users, d] and ``items`` [num_items, d] (float32 or float64, contiguous) are changed in place; only
    the start values of ``users`` matter, ``items`` are a warm start. ``negative_weights`` [num_items] is c⁻. ``steps``
    conjugate-gradient steps solve each row from its last value; d steps solve it exactly. Rows without positives
    become zero. One thread, fixed order: the same inputs give the same bytes.

    The L2 of a row is ``reg`` · (Σ of the weights of its cells)^``reg_exponent`` (Rendle et al., "Revisiting the
    Performance of iALS on Item Recommendation Benchmarks", RecSys 2022: 1 goes by frequency, 0 is the same for all).
    """
    kind, ones = kind_of(users), np.ones(data.num_users)
    by_item = beside(users, Rows.of(data.transposed, negative_weights, ones, positive_weight, kind))
    by_user = beside(users, Rows.of(data, ones, negative_weights, positive_weight, kind))
    of_items = reg * _mass(data.transposed, positive_weight, ones, negative_weights) ** reg_exponent
    of_users = reg * _mass(data, positive_weight, negative_weights, ones) ** reg_exponent
    for _ in range(sweeps):
        solve_rows(by_item, items, users, dropout=dropout, reg=of_items, steps=steps)
        loss = solve_rows(by_user, users, items, dropout=dropout, reg=of_users, steps=steps)
        squares = squared(items)
        yield loss + (float(of_items @ squares.sum(axis=1)) if reg_exponent else reg * float(squares.sum()))


def _mass(data: InteractionMatrix, positive: float, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
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
    dropout: float = 0.0,
    reg: float = 0.0,
    steps: int = 3,
) -> float:
    """The users' half of a sweep alone (fold-in): solve every row of ``users`` in place against fixed ``items``.

    Shapes and meanings as in ``als``. Returns the rows' objective, less its constant.
    """
    rows = Rows.of(data, np.ones(data.num_users), negative_weights, positive_weight, kind_of(users))
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
    return float(_solve_rows(*rows, x, y, kind(dropout / (1.0 - dropout)), regs, steps))


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _grams(y: np.ndarray, weights: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Σ_c weights_c y_c y_cᵀ over the columns of each group -> [count, d, d]."""
    d = y.shape[1]
    grams = np.zeros((count, d, d), y.dtype)
    for c in range(y.shape[0]):
        gram = grams[groups[c]]
        for i in range(d):
            scale = weights[c] * y[c, i]
            for j in range(d):
                gram[i, j] += scale * y[c, j]
    return grams


# Sums may be reassociated so that they vectorise; the order is then fixed by the build, and one thread runs it.
@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _solve_rows(
    indptr: np.ndarray,
    columns: np.ndarray,
    positives: np.ndarray,
    row_weights: np.ndarray,
    column_weights: np.ndarray,
    groups: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    noise: float,
    regs: np.ndarray,
    steps: int,
) -> float:
    """``solve_rows``, by conjugate gradients with the diagonal as preconditioner."""
    rows, d = x.shape
    count = row_weights.shape[1]
    grams = _grams(y, column_weights, groups, count)
    gram = grams[0].copy()
    residual, right_side, diagonal = np.empty(d, x.dtype), np.empty(d, x.dtype), np.empty(d, x.dtype)
    direction, image, extra = np.empty(d, x.dtype), np.empty(d, x.dtype), np.empty(d, x.dtype)
    all_gaps = np.empty(np.diff(indptr).max() if rows else 0, x.dtype)
    value = 0.0
    for r in range(rows):
        own, costs = columns[indptr[r] : indptr[r + 1]], positives[indptr[r] : indptr[r + 1]]
        solution, weight, gaps = x[r], row_weights[r, 0], all_gaps[: len(own)]
        reg = regs[r]
        if len(own) == 0 and steps > 0:
            solution[:] = 0
            continue
        if count > 1:
            weight = x.dtype.type(1)
            gram[:] = 0
            for g in range(count):
                for i in range(d):
                    for j in range(d):
                        gram[i, j] += row_weights[r, g] * grams[g, i, j]
        for k in range(len(own)):
            gaps[k] = costs[k] - row_weights[r, groups[own[k]]] * column_weights[own[k]]
        _sums(y, own, costs, gaps, right_side, diagonal)
        _product(gram, weight, y, own, gaps, solution, image)
        for i in range(d):
            diagonal[i] += weight * gram[i, i]
            extra[i] = noise * diagonal[i] + reg
            diagonal[i] += extra[i]
            residual[i] = right_side[i] - image[i] - extra[i] * solution[i]
            direction[i] = residual[i] / diagonal[i] if diagonal[i] > 0 else 0
        energy = _dot(residual, direction)
        for _ in range(steps):
            if energy <= 0:
                break
            _product(gram, weight, y, own, gaps, direction, image)
            for i in range(d):
                image[i] += extra[i] * direction[i]
            curvature = _dot(direction, image)
            if curvature <= 0:
                break
            length = energy / curvature
            previous, energy = energy, x.dtype.type(0)
            for i in range(d):
                solution[i] += length * direction[i]
                residual[i] -= length * image[i]
                image[i] = residual[i] / diagonal[i] if diagonal[i] > 0 else 0
                energy += residual[i] * image[i]
            for i in range(d):
                direction[i] = image[i] + energy / previous * direction[i]
        for i in range(d):
            value -= solution[i] * (right_side[i] + residual[i])
    return value


# Four rows at a time below: what is summed into is loaded and stored a quarter as often.
@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _product(
    gram: np.ndarray,
    weight: float,
    y: np.ndarray,
    own: np.ndarray,
    gaps: np.ndarray,
    vector: np.ndarray,
    out: np.ndarray,
) -> None:
    """out = weight · gram · vector + Σ_k gap_k (y_own[k] · vector) y_own[k], for a symmetric gram."""
    d, kind = len(vector), y.dtype.type
    out[:] = 0
    for j in range(0, d // 4 * 4, 4):
        a, b, c, e = weight * vector[j], weight * vector[j + 1], weight * vector[j + 2], weight * vector[j + 3]
        _add_four(gram[j], gram[j + 1], gram[j + 2], gram[j + 3], a, b, c, e, out)
    for j in range(d // 4 * 4, d):
        _add_one(gram[j], weight * vector[j], out)
    for k in range(0, len(own) // 4 * 4, 4):
        row0, row1, row2, row3 = y[own[k]], y[own[k + 1]], y[own[k + 2]], y[own[k + 3]]
        a, b, c, e = kind(0), kind(0), kind(0), kind(0)
        for i in range(d):
            a += row0[i] * vector[i]
            b += row1[i] * vector[i]
            c += row2[i] * vector[i]
            e += row3[i] * vector[i]
        _add_four(row0, row1, row2, row3, a * gaps[k], b * gaps[k + 1], c * gaps[k + 2], e * gaps[k + 3], out)
    for k in range(len(own) // 4 * 4, len(own)):
        _add_one(y[own[k]], gaps[k] * _dot(y[own[k]], vector), out)


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _sums(
    y: np.ndarray,
    own: np.ndarray,
    costs: np.ndarray,
    gaps: np.ndarray,
    right_side: np.ndarray,
    diagonal: np.ndarray,
) -> None:
    """right_side = Σ_k cost_k y_own[k], diagonal = Σ_k gap_k y_own[k]²."""
    right_side[:] = 0
    diagonal[:] = 0
    for k in range(0, len(own) // 4 * 4, 4):
        row0, row1, row2, row3 = y[own[k]], y[own[k + 1]], y[own[k + 2]], y[own[k + 3]]
        a, b, c, e = gaps[k], gaps[k + 1], gaps[k + 2], gaps[k + 3]
        _add_four(row0, row1, row2, row3, costs[k], costs[k + 1], costs[k + 2], costs[k + 3], right_side)
        for i in range(len(diagonal)):
            diagonal[i] += (a * row0[i] * row0[i] + b * row1[i] * row1[i]) + (
                c * row2[i] * row2[i] + e * row3[i] * row3[i]
            )
    for k in range(len(own) // 4 * 4, len(own)):
        row = y[own[k]]
        _add_one(row, costs[k], right_side)
        for i in range(len(diagonal)):
            diagonal[i] += gaps[k] * row[i] * row[i]


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _add_four(
    row0: np.ndarray,
    row1: np.ndarray,
    row2: np.ndarray,
    row3: np.ndarray,
    a: float,
    b: float,
    c: float,
    e: float,
    out: np.ndarray,
) -> None:
    for i in range(len(out)):
        out[i] += (a * row0[i] + b * row1[i]) + (c * row2[i] + e * row3[i])


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _add_one(row: np.ndarray, a: float, out: np.ndarray) -> None:
    for i in range(len(out)):
        out[i] += a * row[i]


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    total = a.dtype.type(0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total
