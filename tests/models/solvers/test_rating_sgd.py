"""The rating solvers against the updates written out, dense linear algebra, and the gradient of the objective."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.models.parts.batches import negatives
from lethe.models.solvers.rating_als import rating_als
from lethe.models.solvers.rating_momentum import rating_momentum
from lethe.models.solvers.rating_sgd import Factors, implicit_sgd, rating_sgd
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS, DIM = 9, 7, 3


def matrix() -> InteractionMatrix:
    # User 2 and item 5 have nothing.
    generator = np.random.default_rng(0)
    filled = generator.random((USERS, ITEMS)) < 0.6
    filled[2], filled[:, 5] = False, False
    users, items = np.nonzero(filled)
    return InteractionMatrix(Shape(USERS, ITEMS), users, items, generator.integers(1, 6, len(users)).astype(np.float32))


def start(kind: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    return generator.normal(size=(USERS, DIM)).astype(kind), generator.normal(size=(ITEMS, DIM)).astype(kind)


def factors(*, biased: bool) -> Factors:
    generator = np.random.default_rng(2)
    offsets = (generator.normal(size=n).astype(np.float32) for n in (USERS, ITEMS))
    return Factors(*start(), *offsets, mean=3.0, biased=biased)


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("decay", ["constant", "linear"])
def test_each_step_is_the_summed_gradient_of_its_ratings(batch_size: int, biased: bool, decay: str) -> None:
    data, found, rate, reg, epochs = matrix(), factors(biased=biased), 0.03, 0.1, 3
    assert data.ratings is not None
    p, q, b, c = (np.array(x, np.float64) for x in found[:4])
    stream, expected = Stream(5), []
    for epoch in range(epochs):
        order = stream.numpy("epoch", epoch).permutation(len(data))
        now = rate * (1 - epoch / epochs) if decay == "linear" else rate
        expected.append(0.0)
        for first in range(0, len(order), batch_size):
            changes = [np.zeros_like(x) for x in (p, q, b, c)]
            for k in order[first : first + batch_size]:
                u, v = data.users[k], data.items[k]
                error = data.ratings[k] - p[u] @ q[v] - (3.0 + b[u] + c[v] if biased else 0.0)
                expected[-1] += error**2
                changes[0][u] += error * q[v] - reg * p[u]
                changes[1][v] += error * p[u] - reg * q[v]
                if biased:
                    changes[2][u] += error - reg * b[u]
                    changes[3][v] += error - reg * c[v]
            for x, change in zip((p, q, b, c), changes, strict=True):
                x += now * change
    settings = {"epochs": epochs, "learning_rate": rate, "reg": reg, "batch_size": batch_size, "decay": decay}
    history = list(rating_sgd(data, found, stream, **settings))
    assert history == pytest.approx(expected, rel=1e-4)
    for ours, wanted in zip(found[:4], (p, q, b, c), strict=True):
        assert ours == pytest.approx(wanted, abs=1e-4)


def test_the_stream_decides_the_order() -> None:
    ends = []
    for seed in (1, 1, 2):
        found = factors(biased=True)
        list(rating_sgd(matrix(), found, Stream(seed), epochs=2, learning_rate=0.1, reg=0.0))
        ends.append(found.users.tobytes())
    assert ends[0] == ends[1] != ends[2]


@pytest.mark.parametrize("each", [1, 3])
def test_implicit_steps_are_those_of_ones_and_newly_drawn_zeros(each: int) -> None:
    data, rate, reg = matrix(), 0.03, 0.1
    found = start()
    p, q = (part.astype(np.float64) for part in found)
    stream, expected, zeros = Stream(5), [], []
    people = np.repeat(data.users, each)
    for epoch in range(2):
        generator = stream.numpy("epoch", epoch)
        lacked = list(zip(people.tolist(), negatives(data, people, generator).tolist(), strict=True))
        assert not set(lacked) & set(zip(data.users.tolist(), data.items.tolist(), strict=True))
        zeros.append(lacked)
        cells = [*zip(data.users.tolist(), data.items.tolist(), strict=True), *lacked]
        expected.append(0.0)
        for place in generator.permutation(len(cells)):
            u, v = cells[place]
            error = float(place < len(data)) - p[u] @ q[v]
            expected[-1] += error**2
            p[u], q[v] = p[u] + rate * (error * q[v] - reg * p[u]), q[v] + rate * (error * p[u] - reg * q[v])
    losses = list(implicit_sgd(data, *found, stream, epochs=2, learning_rate=rate, reg=reg, num_negatives=each))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(found[0], p, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], q, rtol=1e-4, atol=1e-5)
    assert zeros[0] != zeros[1]


def test_who_has_every_item_or_none_is_no_lesson_in_lacking() -> None:
    data = InteractionMatrix(Shape(3, 2), np.array([0, 0, 2]), np.array([0, 1, 1]))
    users, items = np.ones((3, 2), np.float32), np.ones((2, 2), np.float32)
    losses = list(implicit_sgd(data, users, items, Stream(1), epochs=1, learning_rate=0.1, reg=0.0))
    assert len(losses) == 1
    assert (users[:2] == 1).all()
    assert (users[2] != 1).all()


def test_als_rows_solve_their_normal_equations() -> None:
    data, reg = matrix(), 0.3
    users, items = start(np.float64)
    old_users = users.copy()
    before = items[5].copy()
    list(rating_als(data, users, items, reg=reg, sweeps=1))
    assert data.ratings is not None
    for own, other, rows, columns in (
        (items, old_users, data.items, data.users),
        (users, items, data.users, data.items),
    ):
        for row in np.unique(rows):
            y, r = other[columns[rows == row]], data.ratings[rows == row]
            expected = np.linalg.solve(y.T @ y + len(y) * reg * np.eye(DIM), y.T @ r)
            assert own[row] == pytest.approx(expected, abs=1e-9)
    assert (users[2] == old_users[2]).all()
    assert (items[5] == before).all()


def test_als_descends_to_a_stationary_point_of_its_objective() -> None:
    data, reg = matrix(), 0.1
    users, items = start(np.float64)
    history = list(rating_als(data, users, items, reg=reg, sweeps=3000))
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(history))
    p, q = (torch.from_numpy(x).requires_grad_() for x in (users, items))
    left, right = p[data.users], q[data.items]
    loss = (torch.from_numpy(data.ratings) - (left * right).sum(1)).square().sum()
    loss = loss + reg * (left.square().sum() + right.square().sum())
    assert loss.item() == pytest.approx(history[-1], rel=1e-9)
    for gradient in torch.autograd.grad(loss, (p, q)):
        assert gradient.abs().max() < 1e-5


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_als_of_tensors_ends_where_that_of_arrays_does(kind: type) -> None:
    """By conjugate gradients for all rows at once, as on a GPU."""
    data, arrays = matrix(), start(kind)
    tensors = tuple(torch.from_numpy(x.copy()) for x in arrays)
    expected = list(rating_als(data, *arrays, reg=0.1, sweeps=5))
    assert list(rating_als(data, *tensors, reg=0.1, sweeps=5)) == pytest.approx(expected, rel=1e-5)
    for ours, array, before in zip(tensors, arrays, start(kind), strict=True):
        assert ours.numpy() == pytest.approx(array, abs=1e-3 if kind is np.float32 else 1e-9)
        assert (array != before).any()
    assert (tensors[0][2].numpy() == start(kind)[0][2]).all()
    assert (tensors[1][5].numpy() == start(kind)[1][5]).all()


def test_als_in_single_precision_agrees() -> None:
    products = []
    for kind in (np.float32, np.float64):
        users, items = start(kind)
        list(rating_als(matrix(), users, items, reg=0.1, sweeps=5))
        products.append(users @ items.T)
    assert products[0] == pytest.approx(products[1], abs=1e-3)


def test_momentum_follows_the_gradient_of_its_objective() -> None:
    data, rate, reg, momentum = matrix(), 0.5, 0.02, 0.8
    users, items = start(np.float64)
    p, q = (torch.from_numpy(x.copy()).requires_grad_() for x in (users, items))
    expected, velocity = [], None
    for _ in range(4):
        errors = torch.from_numpy(data.ratings) - (p[data.users] * q[data.items]).sum(1)
        expected.append(errors.square().sum().item())
        loss = errors.square().mean() + reg * (p.square().sum() + q.square().sum())
        gradients = torch.autograd.grad(loss, (p, q))
        velocity = velocity or gradients
        velocity = tuple(momentum * v + (1 - momentum) * g for v, g in zip(velocity, gradients, strict=True))
        with torch.no_grad():
            p -= rate * velocity[0]
            q -= rate * velocity[1]
    settings = {"iterations": 4, "learning_rate": rate, "reg": reg, "momentum": momentum}
    history = list(rating_momentum(data, users, items, **settings))
    assert history == pytest.approx(expected, rel=1e-9)
    assert users == pytest.approx(p.detach().numpy(), abs=1e-9)
    assert items == pytest.approx(q.detach().numpy(), abs=1e-9)


def test_no_ratings_are_nothing_to_learn() -> None:
    empty = InteractionMatrix(Shape(USERS, ITEMS), *np.empty((2, 0), np.int64), np.empty(0, np.float32))
    found = factors(biased=True)
    users, items = start()
    assert list(rating_sgd(empty, found, Stream(1), epochs=2, learning_rate=0.1, reg=0.1)) == [0, 0]
    assert list(rating_momentum(empty, users, items, iterations=2, learning_rate=0.1, reg=0.1)) == []
    assert list(rating_als(empty, users, items, reg=0.1, sweeps=1)) == [0]
    for ours, untouched in zip((users, items, *found[:4]), (*start(), *factors(biased=True)[:4]), strict=True):
        assert (ours == untouched).all()
