"""The positives' part of ``losses.non_sampling`` on a CPU, compiled: one pass over them, in one thread."""

from __future__ import annotations

import numba
import numpy as np


# Sums may be reassociated so that they vectorise; the order is then fixed by the build, and one thread runs it.
@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def add_positives(
    left: np.ndarray,
    right: np.ndarray,
    indptr: np.ndarray,
    columns: np.ndarray,
    row_weights: np.ndarray,
    weights: np.ndarray,
    positive: float,
    noise: float,
    left_grad: np.ndarray,
    right_grad: np.ndarray,
) -> float:
    d = left.shape[1]
    value = 0.0
    energy, loud = np.empty(d, left.dtype), np.empty(d, left.dtype)
    for b in range(left.shape[0]):
        p, p_grad = left[b], left_grad[b]
        for i in range(d):
            energy[i], loud[i] = 0, noise * p[i] * p[i]
        for k in range(indptr[b], indptr[b + 1]):
            v = columns[k]
            q, q_grad = right[v], right_grad[v]
            score = left.dtype.type(0)
            for i in range(d):
                score += p[i] * q[i]
            gap = positive - row_weights[b] * weights[v]
            value += score * (gap * score - positive - positive)
            slope = gap * score - positive
            if noise > 0:
                for i in range(d):
                    p_grad[i] += slope * q[i]
                    energy[i] += gap * q[i] * q[i]
                    q_grad[i] += slope * p[i] + gap * loud[i] * q[i]
            else:
                for i in range(d):
                    p_grad[i] += slope * q[i]
                    q_grad[i] += slope * p[i]
        # A loop that sums stores nothing: see rating_sgd.
        for i in range(d):
            value += loud[i] * energy[i]
        for i in range(d):
            p_grad[i] += noise * p[i] * energy[i]
    return value
