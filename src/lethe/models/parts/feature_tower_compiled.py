"""``feature_tower.tower`` on a CPU, compiled: one pass over the features each way, in one thread."""

from __future__ import annotations

import numba
import numpy as np

_FAST = {"reassoc", "contract", "nsz"}


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def forward(
    table: np.ndarray, h: np.ndarray, indptr: np.ndarray, columns: np.ndarray, weights: np.ndarray, out: np.ndarray
) -> None:
    d = len(h)
    squares = np.empty(d, table.dtype)
    for b in range(out.shape[0]):
        row = out[b]
        row[:] = 0
        squares[:] = 0
        for k in range(indptr[b], indptr[b + 1]):
            feature, x = table[columns[k]], weights[k]
            for i in range(d):
                value = x * feature[i]
                row[i] += value
                squares[i] += value * value
            row[d] += x * feature[d]
        own = table.dtype.type(0)
        for i in range(d):
            own += h[i] * (row[i] * row[i] - squares[i])
        row[d] += table.dtype.type(0.5) * own


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def backward(
    table: np.ndarray,
    h: np.ndarray,
    indptr: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    out: np.ndarray,
    grad: np.ndarray,
    table_grad: np.ndarray,
    h_grad: np.ndarray,
) -> None:
    d = len(h)
    half = table.dtype.type(0.5)
    for b in range(out.shape[0]):
        row, slope, own = out[b], grad[b], grad[b, d]
        for i in range(d):
            h_grad[i] += half * own * row[i] * row[i]
        for k in range(indptr[b], indptr[b + 1]):
            feature, feature_grad, x = table[columns[k]], table_grad[columns[k]], weights[k]
            for i in range(d):
                value = x * feature[i]
                h_grad[i] -= half * own * value * value
                feature_grad[i] += x * (slope[i] + own * h[i] * (row[i] - value))
            feature_grad[d] += x * own
