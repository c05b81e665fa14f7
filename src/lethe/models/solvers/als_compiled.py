"""``solve_rows`` of ``models.solvers.als`` on a CPU, compiled: some rows, one after the other in one thread."""

from __future__ import annotations

import numba
import numpy as np

_FAST = {"reassoc", "contract", "nsz"}


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def add_grams(y: np.ndarray, weights: np.ndarray, groups: np.ndarray, first: int, end: int, grams: np.ndarray) -> None:
    """Rows ``first`` to ``end`` of Σ_c weights_c y_c y_cᵀ over the columns of each group, into ``grams`` [G, d, d]."""
    for c in range(y.shape[0]):
        gram = grams[groups[c]]
        for i in range(first, end):
            scale = weights[c] * y[c, i]
            for j in range(y.shape[1]):
                gram[i, j] += scale * y[c, j]


# Sums may be reassociated so that they vectorise; the order is then fixed by the build.
@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def solve_compiled(
    indptr: np.ndarray,
    columns: np.ndarray,
    positives: np.ndarray,
    row_weights: np.ndarray,
    column_weights: np.ndarray,
    groups: np.ndarray,
    grams: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    noise: float,
    regs: np.ndarray,
    steps: int,
) -> float:
    """``solve_rows``, by conjugate gradients with the diagonal as preconditioner; ``grams``: see ``add_grams``."""
    rows, d = x.shape
    count = row_weights.shape[1]
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
