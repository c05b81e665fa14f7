"""Expectation maximisation for matrix factorisation with exposure: responsibilities, then weighted least squares.

Every cell without an interaction has a weight of its own, the probability that the user was exposed to the item,

    a_uv = μ_v φ / (μ_v φ + 1 - μ_v),      φ = √(λ_y / 2π) exp(-½ λ_y ŷ_uv²)

and cells with one have weight 1 (Liang, Charlin, McInerney & Blei, "Modeling User Exposure in Recommendation", WWW
2016, eqs. 3-7). The weights are made row by row where they are used: no users × items matrix exists, but the work is
that of one, O(num_users · num_items · d) a sweep.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np

from lethe.core.cores import in_pieces
from lethe.tables.matrix import InteractionMatrix

_FAST = {"reassoc", "contract", "nsz"}
ROWS = 64
"""Rows that are solved in one piece: each meets all columns."""


def expomf(
    data: InteractionMatrix,
    users: np.ndarray,
    items: np.ndarray,
    exposure: np.ndarray,
    *,
    precision: float,
    reg: float,
    prior: tuple[float, float],
    sweeps: int,
    steps: int,
) -> Iterator[float]:
    """Run ``sweeps`` sweeps (users, then items, then μ) and yield Σ a_uv (y_uv - ŷ_uv)² over the users' half of each.

    ``users`` [num_users, d], ``items`` [num_items, d] and ``exposure`` [num_items] (μ), float32 and contiguous, are
    changed in place. ``precision`` is λ_y, ``reg`` λ_θ / λ_y = λ_β / λ_y, ``prior`` the (α₁, α₂) of μ's beta
    distribution. ``steps`` conjugate-gradient steps solve each row from its last value, each
    by one thread.
    """
    kind = users.dtype.type
    by_item = data.transposed
    numbers = kind(precision), kind(reg), steps
    for _ in range(sweeps):
        loss, _ = _half(data, users, items, exposure, True, numbers)
        _, exposed = _half(by_item, items, users, exposure, False, numbers)
        first, second = prior
        exposure[:] = (exposed + first - 1) / (data.num_users + first + second - 2)
        np.clip(exposure, 1e-6, 1 - 1e-6, out=exposure)
        yield loss


def _half(
    data: InteractionMatrix,
    x: np.ndarray,
    y: np.ndarray,
    exposure: np.ndarray,
    by_columns: bool,
    numbers: tuple[float, float, int],
) -> tuple[float, np.ndarray]:
    """``_solve_rows`` in pieces; ``numbers``: what it takes last."""

    exposed = np.zeros(len(x))

    def solve(first: int, end: int) -> float:
        known = exposure if by_columns else exposure[first:end]
        own = data.indptr[first : end + 1], data.items, x[first:end], y, known, by_columns
        value, exposed[first:end] = _solve_rows(*own, *numbers)
        return float(value)

    return sum(in_pieces(len(x), ROWS, solve)), exposed


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _solve_rows(
    indptr: np.ndarray,
    columns: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    exposure: np.ndarray,
    by_columns: bool,
    precision: float,
    reg: float,
    steps: int,
) -> tuple[float, np.ndarray]:
    """Solve each row of ``x`` [R, d] against ``y`` [C, d]; μ is of the columns or, not ``by_columns``, of the rows.

    Returns Σ a (y - ŷ)² at the rows' old values, and Σ_c a of each row [R].
    """
    rows, d = x.shape
    size = y.shape[0]
    weights, exposed = np.empty(size, x.dtype), np.zeros(rows)
    residual, diagonal = np.empty(d, x.dtype), np.empty(d, x.dtype)
    direction, image = np.empty(d, x.dtype), np.empty(d, x.dtype)
    half = x.dtype.type(0.5) * precision
    scale = np.sqrt(half / x.dtype.type(np.pi))
    value = 0.0
    for r in range(rows):
        own = columns[indptr[r] : indptr[r + 1]]
        solution = x[r]
        for i in range(d):
            residual[i] = -reg * solution[i]
            diagonal[i] = reg
        place = 0
        for c in range(size):
            row = y[c]
            score = x.dtype.type(0)
            for i in range(d):
                score += row[i] * solution[i]
            if place < len(own) and own[place] == c:
                place += 1
                weights[c] = 1
                error = x.dtype.type(1) - score
            else:
                prior = exposure[c] if by_columns else exposure[r]
                likely = prior * scale * np.exp(-half * score * score)
                weights[c] = likely / (likely + x.dtype.type(1) - prior)
                error = -score
            weight = weights[c]
            exposed[r] += weight
            value += weight * error * error
            for i in range(d):
                residual[i] += weight * error * row[i]
                diagonal[i] += weight * row[i] * row[i]
        for i in range(d):
            direction[i] = residual[i] / diagonal[i]
        # Loops that sum store nothing: see rating_sgd.
        energy = x.dtype.type(0)
        for i in range(d):
            energy += residual[i] * direction[i]
        for _ in range(steps):
            if energy <= 0:
                break
            for i in range(d):
                image[i] = reg * direction[i]
            for c in range(size):
                row, product = y[c], x.dtype.type(0)
                for i in range(d):
                    product += row[i] * direction[i]
                product *= weights[c]
                for i in range(d):
                    image[i] += product * row[i]
            curvature = x.dtype.type(0)
            for i in range(d):
                curvature += direction[i] * image[i]
            length = energy / curvature
            previous, energy = energy, x.dtype.type(0)
            for i in range(d):
                solution[i] += length * direction[i]
                residual[i] -= length * image[i]
                image[i] = residual[i] / diagonal[i]
            for i in range(d):
                energy += residual[i] * image[i]
            for i in range(d):
                direction[i] = image[i] + energy / previous * direction[i]
    return value, exposed
