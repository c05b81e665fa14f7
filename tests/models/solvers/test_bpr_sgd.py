"""BPR by SGD against the update written out, where every draw is forced, and against what it may draw."""

from __future__ import annotations

import numpy as np
import pytest

from lethe.models.solvers.bpr_sgd import bpr_sgd
from lethe.tables.matrix import InteractionMatrix, Shape


def forced() -> InteractionMatrix:
    """One user who has item 0 and lacks item 1 (a second user has both and is never drawn)."""
    return InteractionMatrix(Shape(2, 2), np.array([0, 1, 1]), np.array([0, 0, 1]))


def test_each_step_is_the_papers_update() -> None:
    users, items = (np.random.default_rng(s).normal(size=(2, 3)).astype(np.float32) for s in (0, 1))
    p, q, n, other = (x.astype(np.float64) for x in (users[0], items[0], items[1], users[1]))
    rate, reg, epochs = 0.1, 0.05, 2
    history = list(bpr_sgd(forced(), users, items, seed=7, epochs=epochs, learning_rate=rate, reg=reg))
    expected, steps = [], 3
    for epoch in range(epochs):
        expected.append(0.0)
        for step in range(steps):
            margin = p @ (q - n)
            expected[-1] += np.log1p(np.exp(-margin))
            slope = 1 / (1 + np.exp(margin))
            now = rate * (1 - (epoch * steps + step) / (epochs * steps))
            p, q, n = (
                p + now * (slope * (q - n) - reg * p),
                q + now * (slope * p - reg * q),
                n + now * (-slope * p - reg * n),
            )
    assert history == pytest.approx(expected, rel=1e-5)
    assert users[0] == pytest.approx(p, abs=1e-5)
    assert items == pytest.approx(np.stack([q, n]), abs=1e-5)
    assert users[1] == pytest.approx(other, abs=1e-7)


def test_it_draws_every_owned_item_as_positive_and_every_lacked_one_as_negative() -> None:
    # With all items at zero only the user's vector acts: owned items move along it, lacked ones against it.
    data = InteractionMatrix(Shape(1, 50), np.zeros(20, np.int64), np.arange(1, 40, 2))
    users, items = np.ones((1, 2), np.float32), np.zeros((50, 2), np.float32)
    list(bpr_sgd(data, users, items, seed=1, epochs=40, learning_rate=1e-3, reg=0.0))
    owned = np.zeros(50, bool)
    owned[data.items] = True
    assert (items[owned] > 0).all()
    assert (items[~owned] < 0).all()
    # Uniform within each kind: no item gets more than a small multiple of its fair share.
    assert items[owned].max() < 3 * items[owned].mean()
    assert items[~owned].min() > 3 * items[~owned].mean()


def test_the_seed_decides() -> None:
    data = InteractionMatrix(Shape(1, 50), np.zeros(20, np.int64), np.arange(1, 40, 2))
    ends = []
    for seed in (1, 1, 2):
        users, items = np.ones((1, 2), np.float32), np.zeros((50, 2), np.float32)
        list(bpr_sgd(data, users, items, seed=seed, epochs=3, learning_rate=0.1, reg=0.0))
        ends.append(items.tobytes())
    assert ends[0] == ends[1] != ends[2]


def test_nothing_to_compare_is_nothing_to_learn() -> None:
    full = InteractionMatrix(Shape(1, 1), np.array([0]), np.array([0]))
    users, items = np.ones((1, 2), np.float32), np.ones((1, 2), np.float32)
    assert list(bpr_sgd(full, users, items, seed=1, epochs=3, learning_rate=0.1, reg=0.1)) == []
    assert (users == 1).all()


def test_extreme_margins_stay_finite() -> None:
    users, items = np.full((2, 1), 300, np.float32), np.array([[-300], [300]], np.float32)
    history = list(bpr_sgd(forced(), users, items, seed=7, epochs=1, learning_rate=0.0, reg=0.0))
    assert history == pytest.approx([3 * 300 * 600])
