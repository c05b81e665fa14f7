"""Alternating least squares against dense linear algebra and against the gradient of the same objective."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lethe.models.parts import losses
from lethe.models.parts.batches import row_batches
from lethe.models.solvers.als import als, solve_users
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS, DIM = 12, 9, 4
WEIGHTS = np.linspace(0.1, 0.9, ITEMS)


def matrix() -> InteractionMatrix:
    # User 2 and item 5 have nothing.
    filled = np.random.default_rng(0).random((USERS, ITEMS)) < 0.4
    filled[2], filled[:, 5] = False, False
    return InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))


def start(kind: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    return generator.normal(size=(USERS, DIM)).astype(kind), generator.normal(size=(ITEMS, DIM)).astype(kind)


def test_rows_solve_their_normal_equations() -> None:
    data, positive, dropout, reg = matrix(), 1.5, 0.3, 0.2
    users, items = start()
    solve_users(
        data,
        users,
        items,
        negative_weights=WEIGHTS,
        positive_weight=positive,
        dropout=dropout,
        reg=reg,
        steps=2 * DIM,
    )
    filled = data.csr().toarray() > 0
    for user in range(USERS):
        costs = np.where(filled[user], positive, WEIGHTS)
        a = items.T @ (costs[:, None] * items)
        a += dropout / (1 - dropout) * np.diag(np.diag(a)) + reg * np.eye(DIM)
        expected = np.linalg.solve(a, positive * items[filled[user]].sum(axis=0))
        assert users[user] == pytest.approx(expected, abs=1e-9)
    assert not users[2].any()


@pytest.mark.parametrize(("dropout", "reg"), [(0.0, 0.1), (0.3, 0.0), (0.5, 0.2)])
def test_it_descends_to_a_stationary_point_of_the_loss(dropout: float, reg: float) -> None:
    data = matrix()
    users, items = start()
    history = list(als(data, users, items, negative_weights=WEIGHTS, dropout=dropout, reg=reg, sweeps=3000, steps=DIM))
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(history))

    (batch,) = row_batches(data, 0, np.random.default_rng(0))
    p, q = (torch.from_numpy(x).requires_grad_() for x in (users, items))
    loss = losses.non_sampling(p, q, batch, negative_weights=torch.from_numpy(WEIGHTS), dropout=dropout)
    loss = loss + reg * (p.square().sum() + q.square().sum())
    assert loss.item() == pytest.approx(history[-1], rel=1e-9)
    for gradient in torch.autograd.grad(loss, (p, q)):
        assert gradient.abs().max() < 1e-5


def test_few_steps_from_a_warm_start_reach_the_same_loss() -> None:
    data = matrix()
    ends = []
    for steps in (3, DIM):
        users, items = start()
        ends.append(list(als(data, users, items, negative_weights=WEIGHTS, reg=0.1, sweeps=200, steps=steps))[-1])
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


def test_rows_without_positives_become_zero_and_single_precision_agrees() -> None:
    data = matrix()
    results = []
    for kind in (np.float32, np.float64):
        users, items = start(kind)
        list(als(data, users, items, negative_weights=WEIGHTS, dropout=0.3, sweeps=5))
        assert not users[2].any()
        assert not items[5].any()
        results.append(users @ items.T)
    assert results[0] == pytest.approx(results[1], abs=1e-3)


def test_a_row_is_held_back_by_the_weight_of_its_cells() -> None:
    data, reg, exponent = matrix(), 0.3, 0.5
    users, items = start()
    *_, last = als(
        data, users, items, negative_weights=WEIGHTS, reg=reg, reg_exponent=exponent, sweeps=400, steps=2 * DIM
    )
    costs = np.where(data.csr().toarray() > 0, 1.0, WEIGHTS)
    for user in range(USERS):
        system = items.T @ (costs[user][:, None] * items) + reg * costs[user].sum() ** exponent * np.eye(DIM)
        expected = np.linalg.solve(system, (costs[user] * (data.csr().toarray()[user] > 0)) @ items)
        assert users[user] == pytest.approx(expected, abs=1e-9)
    errors = costs * np.square((data.csr().toarray() > 0) - users @ items.T)
    squares = costs.sum(axis=1) ** exponent @ np.square(users).sum(axis=1)
    squares += costs.sum(axis=0) ** exponent @ np.square(items).sum(axis=1)
    assert last == pytest.approx(errors.sum() - len(data) + reg * squares, rel=1e-6)


@pytest.mark.parametrize("steps", [1, 3, DIM])
def test_tensors_are_solved_by_the_same_steps_as_arrays(steps: int) -> None:
    """In float64, so that another order of the sums leaves no trace; a row without positives becomes zero in both."""
    users, items = start()
    tensors = [torch.from_numpy(side.copy()) for side in (users, items)]
    settings: dict[str, Any] = {"negative_weights": WEIGHTS, "dropout": 0.3, "reg": 0.2, "reg_exponent": 0.5}
    expected = list(als(matrix(), users, items, sweeps=3, steps=steps, **settings))
    assert list(als(matrix(), *tensors, sweeps=3, steps=steps, **settings)) == pytest.approx(expected, rel=1e-9)
    for tensor, array in zip(tensors, (users, items), strict=True):
        assert tensor.numpy() == pytest.approx(array, rel=1e-7, abs=1e-9)
    assert not tensors[0][2].any()


@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_an_interaction_costs_what_it_weighs(exponent: float) -> None:
    """Hu, Koren & Volinsky's c = 1 + alpha * w, against each row's normal equations in dense matrices."""
    alpha, reg = 2.5, 0.3
    bare = matrix()
    counts = np.random.default_rng(7).integers(1, 9, len(bare)).astype(np.float32)
    data = replace(bare, weights=counts)
    users, items = start()
    settings: dict[str, Any] = {"negative_weights": WEIGHTS, "alpha": alpha, "reg": reg, "steps": 2 * DIM}
    *_, last = als(data, users, items, reg_exponent=exponent, sweeps=400, **settings)
    filled, costs = data.csr().toarray() > 0, np.tile(WEIGHTS, (USERS, 1))
    costs[data.users, data.items] = 1 + alpha * counts
    for row, vectors, others in ((0, users, items), (3, items, users)):
        cells, here = (costs[row], filled[row]) if vectors is users else (costs[:, row], filled[:, row])
        system = others.T @ (cells[:, None] * others) + reg * cells.sum() ** exponent * np.eye(DIM)
        assert vectors[row] == pytest.approx(np.linalg.solve(system, (cells * here) @ others), abs=1e-6)
    errors = (costs * np.square(filled - users @ items.T)).sum() - costs[filled].sum()
    squares = costs.sum(axis=1) ** exponent @ np.square(users).sum(axis=1)
    squares += costs.sum(axis=0) ** exponent @ np.square(items).sum(axis=1)
    assert last == pytest.approx(errors + reg * squares, rel=1e-6)


def test_without_weights_each_interaction_weighs_one() -> None:
    ends = []
    for weights in (None, np.ones(len(matrix()), np.float32)):
        users, items = start()
        list(als(replace(matrix(), weights=weights), users, items, negative_weights=WEIGHTS, alpha=3.0, sweeps=2))
        ends.append((users.tobytes(), items.tobytes()))
    assert ends[0] == ends[1]
