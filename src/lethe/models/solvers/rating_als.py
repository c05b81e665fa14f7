"""Alternating least squares for explicit ratings: every row is the exact solution of a small ridge regression."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np

from lethe.tables.matrix import InteractionMatrix

_FAST = {"reassoc", "contract", "nsz"}


def rating_als(
    data: InteractionMatrix, users: np.ndarray, items: np.ndarray, *, reg: float, sweeps: int
) -> Iterator[float]:
    """Run ``sweeps`` sweeps, items first, then users, and yield after each the objective it lowers,

        Σ (r_ui - p_u·q_i)² + reg (‖p_u‖² + ‖q_i‖²), the sum over the ratings: a row's own λ grows with its ratings,

    as in Zhou et al., "Large-Scale Parallel Collaborative Filtering for the Netflix Prize", AAIM 2008. ``users`` [M, d]
    and ``items`` [N, d] (float32 or float64, contiguous) are changed in place; only the start values of ``users``
    matter. Rows without ratings stay as they are. ``reg`` must be above 0. One thread, fixed order: the same inputs
    give the same bytes.
    """
    assert data.ratings is not None
    by_item = data.transposed
    stars, stars_by_item = (x.ratings.astype(users.dtype) for x in (data, by_item))  # type: ignore[union-attr]
    own_weight = users.dtype.type(reg)
    for _ in range(sweeps):
        _solve_rows(by_item.indptr, by_item.items, stars_by_item, items, users, own_weight)
        loss = _solve_rows(data.indptr, data.items, stars, users, items, own_weight)
        yield loss + reg * float(data.item_counts @ np.square(items, dtype=np.float64).sum(axis=1))


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
