"""Start vectors by power iterations, against a dense singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from lethe.models.solvers.als import als
from lethe.models.solvers.spectral import turn_to_spectrum
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS, DIM = 40, 30, 4


def matrix(seed: int = 0) -> InteractionMatrix:
    """Four groups of taste and some noise; user 2 and item 5 have nothing."""
    chances = np.where(np.equal.outer(np.arange(USERS) % 4, np.arange(ITEMS) % 4), 0.8, 0.1)
    filled = np.random.default_rng(seed).random((USERS, ITEMS)) < chances
    filled[2], filled[:, 5] = False, False
    return InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))


def start(scale: float = 1e-6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(USERS, DIM)) * scale


def normalised(data: InteractionMatrix) -> np.ndarray:
    dense = data.csr().toarray().astype(np.float64)
    rows, columns = (np.maximum(dense.sum(axis=axis), 1) for axis in (1, 0))
    return dense / np.sqrt(rows)[:, None] / np.sqrt(columns)


def test_they_span_the_leading_singular_vectors() -> None:
    data, users = matrix(), start()
    turn_to_spectrum(data, users, 30)
    leading = np.linalg.svd(normalised(data))[0][:, :DIM]
    left_over = users - leading @ (leading.T @ users)
    assert np.abs(left_over).max() < 1e-4 * np.abs(users).max()
    assert np.square(users).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)
    assert np.linalg.matrix_rank(users) == DIM


def test_one_iteration_is_one_product_to_and_fro() -> None:
    data, users = matrix(), start(1.0)
    before, incidence = users.copy(), normalised(matrix())
    turn_to_spectrum(data, users, 1)
    items = incidence.T @ before
    values, vectors = np.linalg.eigh(items.T @ items)
    expected = incidence @ items @ vectors / np.sqrt(values)
    expected *= np.sqrt(USERS / np.square(expected).sum())
    # The basis of the orthonormal columns is free; what is added spans the same, with the same lengths.
    added = users - before
    assert added @ added.T == pytest.approx(expected @ expected.T, abs=1e-9)


def test_data_of_low_rank_leave_the_other_directions_to_chance() -> None:
    everything = InteractionMatrix(Shape(USERS, 3), np.repeat(np.arange(USERS), 3), np.tile(np.arange(3), USERS))
    users = start(0.01)
    turn_to_spectrum(everything, users, 3)
    assert np.isfinite(users).all()
    sizes = np.linalg.svd(users)[1]
    assert sizes[0] > np.sqrt(USERS) * 0.9
    assert sizes[-1] > 1e-3


def test_least_squares_gain_sweeps_by_it() -> None:
    data, losses = matrix(), {}
    for iterations in (0, 3):
        users, items = start(0.01), np.zeros((ITEMS, DIM))
        turn_to_spectrum(data, users, iterations)
        losses[iterations] = list(als(data, users, items, negative_weights=np.full(ITEMS, 0.2), sweeps=3))
    assert losses[3][0] < losses[0][0]
    assert losses[3][1] <= losses[0][2]


def test_nothing_to_do_changes_nothing() -> None:
    empty = InteractionMatrix(Shape(USERS, ITEMS), np.empty(0, np.int64), np.empty(0, np.int64))
    for data, iterations in ((matrix(), 0), (empty, 3)):
        users = start()
        turn_to_spectrum(data, users, iterations)
        assert (users == start()).all()
