"""One sweep of ExpoMF against dense expectation and dense normal equations."""

from __future__ import annotations

import numpy as np
import pytest

from lethe.models.solvers.expomf import expomf
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS, DIM = 9, 7, 3
PRECISION, REG, PRIOR = 2.0, 0.4, (2.0, 3.0)


def matrix() -> InteractionMatrix:
    # User 2 and item 5 have nothing.
    filled = np.random.default_rng(0).random((USERS, ITEMS)) < 0.4
    filled[2], filled[:, 5] = False, False
    return InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))


def expected_exposure(users: np.ndarray, items: np.ndarray, mu: np.ndarray, y: np.ndarray) -> np.ndarray:
    density = np.sqrt(PRECISION / (2 * np.pi)) * np.exp(-0.5 * PRECISION * (users @ items.T) ** 2)
    return np.where(y > 0, 1.0, mu * density / (mu * density + 1 - mu))


def ridge(a: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.stack(
        [
            np.linalg.solve(other.T @ (w[:, None] * other) + REG * np.eye(DIM), other.T @ (w * t))
            for w, t in zip(a, y, strict=True)
        ]
    )


def test_a_sweep_is_expectation_and_weighted_least_squares() -> None:
    data, generator = matrix(), np.random.default_rng(1)
    y = data.csr().toarray().astype(np.float64)
    users, items = generator.normal(size=(USERS, DIM)), generator.normal(size=(ITEMS, DIM))
    mu = np.linspace(0.1, 0.6, ITEMS)

    a = expected_exposure(users, items, mu, y)
    loss = (a * (y - users @ items.T) ** 2).sum()
    new_users = ridge(a, y, items)
    a = expected_exposure(new_users, items, mu, y)
    new_items = ridge(a.T, y.T, new_users)
    new_mu = (a.sum(axis=0) + PRIOR[0] - 1) / (USERS + sum(PRIOR) - 2)

    exposure = mu.copy()
    settings = {"precision": PRECISION, "reg": REG, "prior": PRIOR, "sweeps": 1, "steps": 3 * DIM}
    (value,) = expomf(data, users, items, exposure, **settings)  # type: ignore[arg-type]
    assert value == pytest.approx(loss)
    assert users == pytest.approx(new_users, abs=1e-8)
    assert items == pytest.approx(new_items, abs=1e-8)
    assert exposure == pytest.approx(new_mu)
