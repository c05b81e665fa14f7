"""Sparse linear methods: one non-negative elastic net for each item, by coordinate descent on the pairs' counts."""

from __future__ import annotations

import numba
import numpy as np
import scipy.sparse as sp

from lethe.core.cores import in_pieces

COLUMNS = 128
"""Columns that are solved in one piece."""


def slim(gram: sp.csr_array, *, l1: float, l2: float, sweeps: int, tolerance: float) -> tuple[sp.csr_array, float]:
    """W [N, N] float32, sparse, and its objective less the constant ½‖Y‖². Column v is

        argmin_{w ≥ 0, w_v = 0}  ½ ‖y_v - Y w‖² + ½ l2 ‖w‖² + l1 ‖w‖₁

    ``gram`` is YᵀY with sorted indices; Y itself isn't needed, because Yᵀ(y_v - Y w) can be carried along as w changes
    (Friedman, Hastie & Tibshirani 2010, "covariance updates"). In a column only items that share users with v can have
    weight. Passes over all of those, most similar first, alternate with passes over the few that have weight, until a
    pass over all moves no weight by more than ``tolerance``, or after ``sweeps`` of them.
    """
    size, norms = gram.shape[0], gram.diagonal().astype(np.float64)
    pairs = gram.indptr.astype(np.int64), gram.indices.astype(np.int32), gram.data

    def solve(first: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        found: tuple[np.ndarray, np.ndarray, np.ndarray, float]
        found = _columns(*pairs, norms, first, end, l1, l2, sweeps, tolerance)
        return found

    # A shard that was emptied has no columns, and so no pieces.
    nothing = np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), 0.0
    counts, rows, values, losses = zip(nothing, *in_pieces(size, COLUMNS, solve), strict=True)
    indptr = np.cumsum(np.concatenate(counts))
    weights = sp.csc_array((np.concatenate(values), np.concatenate(rows), indptr), shape=(size, size))
    return weights.tocsr(), sum(losses)


@numba.njit(nogil=True, cache=True)
def _columns(
    indptr: np.ndarray,
    columns: np.ndarray,
    gram: np.ndarray,
    norms: np.ndarray,
    begin: int,
    end: int,
    l1: float,
    l2: float,
    sweeps: int,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Columns ``begin`` to ``end``: how many weights each has, their rows and values one behind the other, the loss."""
    size = len(indptr) - 1
    counts = np.zeros(end - begin, np.int64)
    out_rows, out_values = np.empty(16 * (end - begin), np.int64), np.empty(16 * (end - begin), np.float32)
    weights, slopes = np.zeros(size), np.zeros(size)
    loss, count = 0.0, 0
    for target in range(begin, end):
        first, last = indptr[target], indptr[target + 1]
        own = columns[first:last]
        # slopes = Yᵀ(y - Y w), kept up for every item.
        slopes[:] = 0
        for k in range(first, last):
            slopes[columns[k]] = gram[k]
        order = own[np.argsort(-gram[first:last] / (norms[own] + l2), kind="mergesort")]
        for _ in range(sweeps):
            moved = 0.0
            for item in order:
                if item == target:
                    continue
                old = weights[item]
                new = max(slopes[item] + norms[item] * old - l1, 0.0) / (norms[item] + l2)
                if new != old:
                    weights[item] = new
                    moved = max(moved, abs(new - old))
                    for k in range(indptr[item], indptr[item + 1]):
                        slopes[columns[k]] -= gram[k] * (new - old)
            if moved <= tolerance:
                break
            active = order[weights[order] > 0]
            _settle(indptr, columns, gram, active, weights, slopes, l1, l2, sweeps, tolerance)
        before = count
        for k in range(first, last):
            item = columns[k]
            weight = weights[item]
            if weight > 0:
                if count == len(out_rows):
                    out_rows = np.concatenate((out_rows, np.empty_like(out_rows)))
                    out_values = np.concatenate((out_values, np.empty_like(out_values)))
                out_rows[count], out_values[count] = item, weight
                count += 1
                # ½ wᵀ YᵀY w - w·Yᵀy, with YᵀY w = Yᵀy - slopes.
                loss += weight * (0.5 * (l2 * weight - gram[k] - slopes[item]) + l1)
                weights[item] = 0
        counts[target - begin] = count - before
    return counts, out_rows[:count].copy(), out_values[:count].copy(), loss


@numba.njit(nogil=True, cache=True)
def _settle(
    indptr: np.ndarray,
    columns: np.ndarray,
    gram: np.ndarray,
    active: np.ndarray,
    weights: np.ndarray,
    slopes: np.ndarray,
    l1: float,
    l2: float,
    sweeps: int,
    tolerance: float,
) -> None:
    """Descend over the ``active`` items alone, on their own small Gram matrix, then bring ``slopes`` up to date."""
    count = len(active)
    small, before = np.zeros((count, count)), weights[active]
    for place in range(count):
        first, last = indptr[active[place]], indptr[active[place] + 1]
        row = columns[first:last]
        for other in range(count):
            k = np.searchsorted(row, active[other])
            if k < len(row) and row[k] == active[other]:
                small[place, other] = gram[first + k]
    current, inner = before.copy(), slopes[active]
    for _ in range(sweeps):
        moved = 0.0
        for place in range(count):
            old, norm = current[place], small[place, place]
            new = max(inner[place] + norm * old - l1, 0.0) / (norm + l2)
            if new != old:
                current[place] = new
                moved = max(moved, abs(new - old))
                for other in range(count):
                    inner[other] -= small[place, other] * (new - old)
        if moved <= tolerance:
            break
    for place in range(count):
        change = current[place] - before[place]
        weights[active[place]] = current[place]
        if change != 0:
            for k in range(indptr[active[place]], indptr[active[place] + 1]):
                slopes[columns[k]] -= gram[k] * change
