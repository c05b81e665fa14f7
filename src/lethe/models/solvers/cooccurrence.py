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


@numba.njit(nogil=True, cache=True)
def largest(indptr: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """[nnz] bool: the ``count`` largest positive values of each row of a sparse matrix, the first of equal ones."""
    kept = np.zeros(len(values), np.bool_)
    for row in range(len(indptr) - 1):
        first, last = indptr[row], indptr[row + 1]
        for place in np.argsort(-values[first:last], kind="mergesort")[:count]:
            kept[first + place] = values[first + place] > 0
    return kept
