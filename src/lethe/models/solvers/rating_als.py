"""Alternating least squares for explicit ratings: every row is the exact solution of a small ridge regression.

On a CPU each row's system is written down and decomposed; elsewhere all rows take as many conjugate-gradient steps as
they have unknowns (``als_device``), which ends in the same solution but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numba
import numpy as np
import torch
from torch import Tensor

from lethe.core.cores import in_pieces
from lethe.models.solvers.als import ROWS, Rows
from lethe.models.solvers.als_device import PlacedRows, solve_placed
from lethe.models.solvers.vectors import Vectors, kind_of, squared
from lethe.tables.matrix import InteractionMatrix

_FAST = {"reassoc", "contract", "nsz"}


def rating_als(data: InteractionMatrix, users: Vectors, items: Vectors, *, reg: float, sweeps: int) -> Iterator[float]:
    """Run ``sweeps`` sweeps, items first, then users, and yield after each the objective it lowers,

        Σ (r_ui - p_u·q_i)² + reg (‖p_u‖² + ‖q_i‖²), the sum over the ratings: a row's own λ grows with its ratings,

    as in Zhou et al., "Large-Scale Parallel Collaborative Filtering for the Netflix Prize", AAIM 2008. ``users`` [M, d]
    and ``items`` [N, d] (float32 or float64, contiguous) are changed in place; only the start values of ``users``
    matter. Rows without ratings stay as they are. ``reg`` must be above 0. Each row is solved by one
    thread: the same inputs give the same bytes.
    """
    solve_items, solve_users = (_half(side, users, reg) for side in (data.transposed, data))
    for _ in range(sweeps):
        solve_items(items, users)
        loss = solve_users(users, items)
        yield loss + reg * float(data.item_counts @ squared(items).sum(axis=1))


def _half(data: InteractionMatrix, beside: Vectors, reg: float) -> Callable[[Vectors, Vectors], float]:
    """What solves the rows of x in place against y and returns their Σ (r - x_r·y_c)² + reg Σ n ‖x_r‖²."""
    assert data.ratings is not None
    kind = kind_of(beside)
    stars: np.ndarray = data.ratings.astype(kind)
    if isinstance(beside, Tensor):
        return _half_there(data, stars, kind(reg) * np.diff(data.indptr).astype(kind), beside.device)

    def solve(x: Vectors, y: Vectors) -> float:
        def piece(first: int, end: int) -> float:
            own = data.indptr[first : end + 1], data.items, stars, x[first:end], y
            return float(_solve_rows(*own, kind(reg)))

        return sum(in_pieces(len(x), ROWS, piece))

    return solve


def _half_there(
    data: InteractionMatrix, stars: np.ndarray, regs: np.ndarray, device: torch.device
) -> Callable[[Vectors, Vectors], float]:
    # No cell without a rating has a weight, and one with a rating weighs 1, however many stars it has.
    nothing = np.zeros((data.num_users, 1), stars.dtype), np.zeros(data.num_items, stars.dtype)
    placed = PlacedRows.of(Rows(data.indptr, data.items, stars, *nothing, np.zeros(data.num_items, np.int64)), device)
    rows, own = replace(placed, gaps=torch.ones_like(placed.gaps)), torch.from_numpy(regs).to(device)
    squares = float(np.square(stars, dtype=np.float64).sum())

    def solve(x: Vectors, y: Vectors) -> float:
        assert isinstance(x, Tensor)
        assert isinstance(y, Tensor)
        before = x.clone()
        value = solve_placed(rows, x, y, noise=0.0, reg=own, steps=x.shape[1])
        x.copy_(torch.where(rows.filled, x, before))
        return value + squares

    return solve


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _solve_rows(
    indptr: np.ndarray, columns: np.ndarray, ratings: np.ndarray, x: np.ndarray, y: np.ndarray, reg: float
) -> float:
    """x_r = (Σ y_c y_cᵀ + n reg I)⁻¹ Σ r y_c over a row's n cells. Returns Σ (r - x_r·y_c)² + reg Σ n ‖x_r‖²."""
    d = x.shape[1]
    gram, right_side = np.empty((d, d), x.dtype), np.empty(d, x.dtype)
    value = 0.0
    for r in range(x.shape[0]):
        first, last = indptr[r], indptr[r + 1]
        if first == last:
            continue
        gram[:] = 0
        right_side[:] = 0
        for k in range(first, last):
            row, rating = y[columns[k]], ratings[k]
            for i in range(d):
                right_side[i] += rating * row[i]
                scale = row[i]
                for j in range(i + 1):
                    gram[i, j] += scale * row[j]
        own = reg * x.dtype.type(last - first)
        for i in range(d):
            gram[i, i] += own
        solution = x[r]
        _solve(gram, right_side, solution)
        for k in range(first, last):
            gap = ratings[k] - _dot(y[columns[k]], solution, d)
            value += gap * gap
        value += own * _dot(solution, solution, d)
    return value


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _solve(lower: np.ndarray, right_side: np.ndarray, out: np.ndarray) -> None:
    """out = A⁻¹ right_side for a positive definite A, whose lower triangle ``lower`` becomes its Cholesky factor."""
    # Written out: for systems this small a library call costs as much, and its bytes may depend on its threads.
    d = len(out)
    for i in range(d):
        for j in range(i):
            lower[i, j] = (lower[i, j] - _dot(lower[i], lower[j], j)) / lower[j, j]
        lower[i, i] = np.sqrt(lower[i, i] - _dot(lower[i], lower[i], i))
        out[i] = (right_side[i] - _dot(lower[i], out, i)) / lower[i, i]
    for i in range(d - 1, -1, -1):
        out[i] /= lower[i, i]
        for j in range(i):
            out[j] -= lower[i, j] * out[i]


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _dot(a: np.ndarray, b: np.ndarray, length: int) -> float:
    total = a.dtype.type(0)
    for i in range(length):
        total += a[i] * b[i]
    return total
