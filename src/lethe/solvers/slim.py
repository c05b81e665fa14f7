"""Sparse linear methods: one non-negative elastic net for each item, by coordinate descent on the pairs' counts."""

from __future__ import annotations

import numba
import numpy as np
import scipy.sparse as sp


def slim(gram: sp.csr_array, *, l1: float, l2: float, sweeps: int, tolerance: float) -> tuple[sp.csr_array, float]:
    """W [N, N] float32, sparse, and its objective less the constant ½‖Y‖². Column v is

        argmin_{w ≥ 0, w_v = 0}  ½ ‖y_v - Y w‖² + ½ l2 ‖w‖² + l1 ‖w‖₁

    ``gram`` is YᵀY with sorted indices; Y itself isn't needed, because YᵀY w can be carried along as w changes (Friedman,
    Hastie & Tibshirani 2010, "covariance updates"). Of a column, only items that share users with v can have weight: the
    others stay 0. After a pass over all of them, passes go over those with weight until nothing moves, then over all
    again, and it ends when that moves no weight by ``tolerance`` or after ``sweeps`` passes.
    """
    size = gram.shape[0]
    indptr, rows, values, loss = _columns(
        gram.indptr.astype(np.int64), gram.indices.astype(np.int64), gram.data, l1, l2, sweeps, tolerance
    )
    return sp.csc_array((values, rows, indptr), shape=(size, size)).tocsr(), loss


@numba.njit(nogil=True, cache=True)
def _columns(
    indptr: np.ndarray, columns: np.ndarray, gram: np.ndarray, l1: float, l2: float, sweeps: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    size = len(indptr) - 1
    norms = np.zeros(size)
    for item in range(size):
        for k in range(indptr[item], indptr[item + 1]):
            if columns[k] == item:
                norms[item] = gram[k]
    out_indptr = np.zeros(size + 1, np.int64)
    out_rows, out_values = np.empty(max(len(gram) // 8, 16), np.int64), np.empty(max(len(gram) // 8, 16), np.float32)
    weights, slopes = np.zeros(size), np.zeros(size)
    loss = 0.0
    for target in range(size):
        own = columns[indptr[target] : indptr[target + 1]]
        # slopes = Yᵀ(y - Y w) at w = 0; it is kept up at every item, so also where it is never read.
        slopes[:] = 0
        for k in range(indptr[target], indptr[target + 1]):
            slopes[columns[k]] = gram[k]
        full = True
        for _ in range(sweeps):
            moved = 0.0
            for item in own:
                old = weights[item]
                if item == target or (old == 0 and not full):
                    continue
                new = max(slopes[item] + norms[item] * old - l1, 0.0) / (norms[item] + l2)
                if new != old:
                    weights[item] = new
                    moved = max(moved, abs(new - old))
                    for k in range(indptr[item], indptr[item + 1]):
                        slopes[columns[k]] -= gram[k] * (new - old)
            if moved <= tolerance:
                if full:
                    break
                full = True
            else:
                full = False
        count = out_indptr[target]
        for k in range(indptr[target], indptr[target + 1]):
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
        out_indptr[target + 1] = count
    return out_indptr, out_rows[: out_indptr[size]].copy(), out_values[: out_indptr[size]].copy(), loss
