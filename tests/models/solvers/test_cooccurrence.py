"""Counts of shared users, and the selection of the largest of each row."""

from __future__ import annotations

import numpy as np

from lethe.models.solvers.cooccurrence import cooccurrence, largest
from lethe.tables.matrix import InteractionMatrix, Shape


def test_counts_are_the_dense_product() -> None:
    filled = np.random.default_rng(0).random((20, 9)) < 0.3
    counts = cooccurrence(InteractionMatrix(Shape(20, 9), *np.nonzero(filled)))
    dense = filled.astype(int)
    assert (counts.toarray() == dense.T @ dense).all()
    assert counts.has_sorted_indices


def test_largest_takes_the_first_of_equal_ones_and_nothing_that_is_not_positive() -> None:
    indptr = np.array([0, 4, 4, 7])
    values = np.array([2.0, 1.0, 2.0, 2.0, 0.0, -1.0, 3.0])
    assert largest(indptr, values, 2).tolist() == [True, False, True, False, False, False, True]
