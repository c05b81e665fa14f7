"""How many users two items share: all that the item-item models read of the data."""

from __future__ import annotations

import numba
import numpy as np
import scipy.sparse as sp

from lethe.tables.matrix import InteractionMatrix


def cooccurrence(data: InteractionMatrix) -> sp.csr_array:
    """YᵀY [num_items, num_items] float32 with sorted indices: shared users of each pair, an item's own on the diagonal.

    The counts are whole numbers, exact up to 2²⁴ users, so the order of the rows leaves no trace. Memory is that of the
    pairs that occur together.
    """
    incidence = data.csr()
    counts = (incidence.T @ incidence).tocsr()
    counts.sort_indices()
    return counts


UNIT = 2.0**-32
"""What the weights of users are whole multiples of, so that their sums are exact."""


def weighted_cooccurrence(data: InteractionMatrix, power: float) -> sp.csr_array:
    """Σ_u n_u^(-power) y_u y_uᵀ [num_items, num_items] int64, in units of ``UNIT``, with sorted indices.

    n_u are the user's interactions. In whole numbers, so neither the order of the users nor how they are divided into
    shards leaves a trace. A pair's sum is below 2³¹ users.
    """
    incidence = data.csr().astype(np.int64)
    weights = np.rint(np.maximum(np.diff(data.indptr), 1).astype(np.float64) ** -power / UNIT).astype(np.int64)
    weighted = incidence.copy()
    weighted.data = np.repeat(weights, np.diff(incidence.indptr))
    sums = (incidence.T @ weighted).tocsr()
    sums.sort_indices()
    return sums


def filtered_gram(data: InteractionMatrix, *, user_power: float, item_power: float) -> sp.csr_array:
    """R̃ᵀR̃ [num_items, num_items] float64 of the normalised incidence R̃ = D_u^(-user_power/2) Y D^(-item_power)."""
    return normalized(weighted_cooccurrence(data, user_power), data.item_counts, item_power)


def normalized(sums: sp.csr_array, counts: np.ndarray, power: float) -> sp.csr_array:
    """n_v^(-power) S_vw n_w^(-power) float64, from the ``weighted_cooccurrence`` S and the items' counts n [N]."""
    scale = scaled(counts, power)
    rows = np.repeat(np.arange(len(counts)), np.diff(sums.indptr))
    values = sums.data * UNIT * (scale[rows] * scale[sums.indices])
    return sp.csr_array((values, sums.indices, sums.indptr), shape=sums.shape)


def scaled(counts: np.ndarray, power: float) -> np.ndarray:
    """n_v^(-power) [N] float64 of the items' counts n."""
    scale: np.ndarray = np.maximum(counts, 1).astype(np.float64) ** -power
    return scale


@numba.njit(nogil=True, cache=True)
def largest(indptr: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """[nnz] bool: the ``count`` largest positive values of each row of a sparse matrix, the first of equal ones."""
    kept = np.zeros(len(values), np.bool_)
    for row in range(len(indptr) - 1):
        first, last = indptr[row], indptr[row + 1]
        for place in np.argsort(-values[first:last], kind="mergesort")[:count]:
            kept[first + place] = values[first + place] > 0
    return kept
