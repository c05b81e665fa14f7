"""Alternating least squares for the whole-matrix square loss: one row at a time, exactly or nearly so.

The objective is that of ``lethe.losses.non_sampling`` with h = 1, its dropout on the user vectors integrated out
(ρ = dropout / (1 - dropout)), and L2. For a user, with c⁻ the items' negative weights,

    (A + ρ diag A + reg I) p_u = c⁺ Σ_{v∈V_u⁺} q_v,      A = Σ_v c⁻_v q_v q_vᵀ + Σ_{v∈V_u⁺} (c⁺ - c⁻_v) q_v q_vᵀ

and an item's row has the same form with the roles swapped, because E[p̃ p̃ᵀ] = p pᵀ + ρ diag(p²). There is no learning
rate, no batch and no mask. (Hu, Koren & Volinsky 2008; conjugate gradients as in Takács, Pilászy & Tikk 2011.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np

from lethe.data.catalogue import InteractionMatrix

_FAST = {"reassoc", "contract", "nsz"}


def als(
    data: InteractionMatrix,
    users: np.ndarray,
    items: np.ndarray,
    *,
    negative_weights: np.ndarray,
    positive_weight: float = 1.0,
    dropout: float = 0.0,
    reg: float = 0.0,
    sweeps: int = 8,
    steps: int = 3,
) -> Iterator[float]:
    """Run ``sweeps`` sweeps, items first, then users, and yield the objective after each, less its constant.

    ``users`` [num_users, d] and ``items`` [num_items, d] (float32 or float64, contiguous) are changed in place; only
    the start values of ``users`` matter, ``items`` are a warm start. ``negative_weights`` [num_items] is c⁻. ``steps``
    conjugate-gradient steps solve each row from its last value; d steps solve it exactly. Rows without positives
    become zero. One thread, fixed order: the same inputs give the same bytes.
    """
    kind = users.dtype.type
    weights, ones = negative_weights.astype(kind), np.ones(data.num_users, kind)
    by_item = data.transposed
    numbers = kind(positive_weight), kind(dropout / (1.0 - dropout)), kind(reg)
    for _ in range(sweeps):
        _solve_rows(by_item.indptr, by_item.items, items, users, weights, ones, *numbers, steps)
        loss = _solve_rows(data.indptr, data.items, users, items, ones, weights, *numbers, steps)
        yield loss + reg * float(np.square(items, dtype=np.float64).sum())


def solve_users(
    data: InteractionMatrix,
    users: np.ndarray,
    items: np.ndarray,
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
    kind = users.dtype.type
    weights, ones = negative_weights.astype(kind), np.ones(data.num_users, kind)
    numbers = kind(positive_weight), kind(dropout / (1.0 - dropout)), kind(reg)
    return float(_solve_rows(data.indptr, data.items, users, items, ones, weights, *numbers, steps))


# Sums may be reassociated so that they vectorise; the order is then fixed by the build, and one thread runs it.
@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _gram(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Σ_c weights_c y_c y_cᵀ -> [d, d]. Not by BLAS, whose sums differ with the number of its threads."""
    d = y.shape[1]
    gram = np.zeros((d, d), y.dtype)
    for c in range(y.shape[0]):
        for i in range(d):
            scale = weights[c] * y[c, i]
            for j in range(d):
                gram[i, j] += scale * y[c, j]
    return gram


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _solve_rows(
    indptr: np.ndarray,
    columns: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    row_weights: np.ndarray,
    column_weights: np.ndarray,
    positive: float,
    noise: float,
    reg: float,
    steps: int,
) -> float:
    """Solve each row of ``x`` [R, d] against ``y`` [C, d]; the negative weight of a cell is row_weight · column_weight.

    Conjugate gradients with the diagonal as preconditioner: ``steps`` + 2 passes over a row's positives. Returns
    Σ_rows (xᵀ M x - 2 xᵀ b), M x = b being the rows' equations.
    """
    rows, d = x.shape
    gram = _gram(y, column_weights)
    residual, right_side, diagonal = np.empty(d, x.dtype), np.empty(d, x.dtype), np.empty(d, x.dtype)
    direction, image, extra = np.empty(d, x.dtype), np.empty(d, x.dtype), np.empty(d, x.dtype)
    value = 0.0
    for r in range(rows):
        own = columns[indptr[r] : indptr[r + 1]]
        solution, weight = x[r], row_weights[r]
        if len(own) == 0:
            solution[:] = 0
            continue
        _sums(y, own, weight, column_weights, positive, right_side, diagonal)
        _product(gram, y, own, weight, column_weights, positive, solution, image)
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
            _product(gram, y, own, weight, column_weights, positive, direction, image)
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
    y: np.ndarray,
    own: np.ndarray,
    weight: float,
    column_weights: np.ndarray,
    positive: float,
    vector: np.ndarray,
    out: np.ndarray,
) -> None:
    """out = weight · gram · vector + Σ_{c∈own} (positive - weight · column_weight_c) (y_c · vector) y_c.

    ``gram`` is symmetric.
    """
    d = len(vector)
    out[:] = 0
    for j in range(0, d // 4 * 4, 4):
        a, b, c, e = vector[j], vector[j + 1], vector[j + 2], vector[j + 3]
        _add_four(gram, j, j + 1, j + 2, j + 3, weight * a, weight * b, weight * c, weight * e, out)
    for j in range(d // 4 * 4, d):
        _add_one(gram, j, weight * vector[j], out)
    for k in range(0, len(own) // 4 * 4, 4):
        c0, c1, c2, c3 = own[k], own[k + 1], own[k + 2], own[k + 3]
        row0, row1, row2, row3 = y[c0], y[c1], y[c2], y[c3]
        s0, s1, s2, s3 = y.dtype.type(0), y.dtype.type(0), y.dtype.type(0), y.dtype.type(0)
        for i in range(d):
            s0 += row0[i] * vector[i]
            s1 += row1[i] * vector[i]
            s2 += row2[i] * vector[i]
            s3 += row3[i] * vector[i]
        s0 *= positive - weight * column_weights[c0]
        s1 *= positive - weight * column_weights[c1]
        s2 *= positive - weight * column_weights[c2]
        s3 *= positive - weight * column_weights[c3]
        _add_four(y, c0, c1, c2, c3, s0, s1, s2, s3, out)
    for k in range(len(own) // 4 * 4, len(own)):
        c0 = own[k]
        _add_one(y, c0, (positive - weight * column_weights[c0]) * _dot(y[c0], vector), out)


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _sums(
    y: np.ndarray,
    own: np.ndarray,
    weight: float,
    column_weights: np.ndarray,
    positive: float,
    right_side: np.ndarray,
    diagonal: np.ndarray,
) -> None:
    """right_side = positive Σ_{c∈own} y_c, diagonal = Σ_{c∈own} (positive - weight · column_weight_c) y_c²."""
    right_side[:] = 0
    diagonal[:] = 0
    for k in range(0, len(own) // 4 * 4, 4):
        c0, c1, c2, c3 = own[k], own[k + 1], own[k + 2], own[k + 3]
        row0, row1, row2, row3 = y[c0], y[c1], y[c2], y[c3]
        gap0, gap1 = positive - weight * column_weights[c0], positive - weight * column_weights[c1]
        gap2, gap3 = positive - weight * column_weights[c2], positive - weight * column_weights[c3]
        for i in range(len(right_side)):
            a, b, c, e = row0[i], row1[i], row2[i], row3[i]
            right_side[i] += positive * ((a + b) + (c + e))
            diagonal[i] += (gap0 * a * a + gap1 * b * b) + (gap2 * c * c + gap3 * e * e)
    for k in range(len(own) // 4 * 4, len(own)):
        row, gap = y[own[k]], positive - weight * column_weights[own[k]]
        for i in range(len(right_side)):
            right_side[i] += positive * row[i]
            diagonal[i] += gap * row[i] * row[i]


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _add_four(
    y: np.ndarray, c0: int, c1: int, c2: int, c3: int, s0: float, s1: float, s2: float, s3: float, out: np.ndarray
) -> None:
    row0, row1, row2, row3 = y[c0], y[c1], y[c2], y[c3]
    for i in range(len(out)):
        out[i] += (s0 * row0[i] + s1 * row1[i]) + (s2 * row2[i] + s3 * row3[i])


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _add_one(y: np.ndarray, c: int, s: float, out: np.ndarray) -> None:
    row = y[c]
    for i in range(len(out)):
        out[i] += s * row[i]


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    total = a.dtype.type(0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total
