"""Coordinate descent on counts against scikit-learn's ElasticNet."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet

from lethe.models.solvers import slim_device
from lethe.models.solvers.cooccurrence import cooccurrence
from lethe.models.solvers.pull import Form, has_triton, using
from lethe.models.solvers.slim import slim
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS = 60, 12

interpreted = has_triton() and os.environ.get("TRITON_INTERPRET") == "1"


FORMS = [
    "torch",
    pytest.param("triton", marks=pytest.mark.skipif(not interpreted, reason="no Triton, or one for a GPU")),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("l1", "l2"), [(0.5, 1.0), (0.05, 5.0), (100.0, 1.0), (0.0, 1.0)])
def test_all_columns_at_once_come_to_the_same(
    form: Form, l1: float, l2: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, in blocks of which the last is broken."""
    monkeypatch.setattr(slim_device, "BLOCK", 5)
    filled = np.random.default_rng(3).random((USERS, ITEMS)) < np.linspace(0.1, 0.6, ITEMS)
    filled[:, 7] = False
    gram = cooccurrence(InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled)))
    expected, objective = slim(gram, l1=l1, l2=l2, sweeps=1000, tolerance=1e-9)
    with using(form):
        dense = torch.from_numpy(gram.toarray())
        weights, loss = slim_device.slim_there(dense, l1=l1, l2=l2, sweeps=100, tolerance=1e-6)
    assert slim_device.sparse(weights).toarray() == pytest.approx(expected.toarray(), abs=2e-5)
    assert loss == pytest.approx(objective, rel=1e-6, abs=1e-4)


@pytest.mark.parametrize(("l1", "l2"), [(0.5, 1.0), (2.0, 0.1), (0.05, 5.0), (100.0, 1.0)])
def test_each_column_is_an_elastic_net(l1: float, l2: float) -> None:
    filled = np.random.default_rng(3).random((USERS, ITEMS)) < np.linspace(0.1, 0.6, ITEMS)
    filled[:, 7] = False
    y = filled.astype(np.float64)
    gram = cooccurrence(InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled)))
    weights, loss = slim(gram, l1=l1, l2=l2, sweeps=1000, tolerance=1e-9)
    expected = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        net = ElasticNet(
            alpha=(l1 + l2) / USERS,
            l1_ratio=l1 / (l1 + l2),
            positive=True,
            fit_intercept=False,
            max_iter=100_000,
            tol=1e-12,
        )
        others = np.delete(np.arange(ITEMS), item)
        expected[others, item] = net.fit(y[:, others], y[:, item]).coef_
    assert weights.toarray() == pytest.approx(expected, abs=1e-5)
    value = 0.5 * np.square(y - y @ expected).sum() + 0.5 * l2 * np.square(expected).sum() + l1 * expected.sum()
    assert loss == pytest.approx(value - 0.5 * y.sum(), abs=1e-4)


def test_no_pass_at_all_moves_past_its_bound() -> None:
    filled = np.random.default_rng(3).random((USERS, ITEMS)) < 0.4
    gram = cooccurrence(InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled)))
    losses = [slim(gram, l1=0.5, l2=1.0, sweeps=sweeps, tolerance=0.0)[1] for sweeps in (1, 2, 4, 50)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]
