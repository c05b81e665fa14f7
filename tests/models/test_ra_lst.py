"""RA_LST: θ's steps by hand, what it learns from, and the scores it puts together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.parts.base import Given
from lethe.models.ra_lst import RALST, fuse, held_out
from lethe.models.ra_lst_exact import RALSTExact
from lethe.models.wmf import WMF
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS, EACH = 30, 12, 7
SETTINGS: dict[str, Any] = {
    "embedding_dim": 6,
    "num_negatives": 5,
    "learning_rate": 0.02,
    "epochs": 6,
    "batch_size": 8,
    "newest": 0.3,
    "long": {"embedding_dim": 3, "init_std": 0.5, "epochs": 8},
}


def matrix() -> InteractionMatrix:
    """Everybody goes around a ring of items, from their own place."""
    users, times = np.repeat(np.arange(USERS), EACH), np.tile(np.arange(EACH), USERS)
    items = (users + times) % ITEMS
    order = np.lexsort((items, users))
    return InteractionMatrix(Shape(USERS, ITEMS), users[order], items[order], timestamps=times[order])


def trained(**values: Any) -> RALST:
    model = RALST(configure("ra-lst", SETTINGS | values), matrix().shape)
    train(model, matrix(), Stream(1))
    return model


def unit(scores: Tensor) -> Tensor:
    least, greatest = scores.min(dim=1, keepdim=True).values, scores.max(dim=1, keepdim=True).values
    return (scores - least) / (greatest - least)


def test_one_step_for_one_user_by_hand() -> None:
    """θ = .5 - .1 · mean of (.5 · .8 + .5 · .4 - 1)(.8 - .4) = -.16 and (.5 · .2 + .5 · .6 - 0)(.2 - .6) = -.16."""
    cells = np.zeros(2, int), np.array([0.8, 0.2]), np.array([0.4, 0.6]), np.array([1.0, 0.0])
    assert fuse(*cells, Stream(1), rate=0.1, epochs=1) == pytest.approx(0.516)
    # And the next from there: .516 - .1 · mean of (.6064 - 1) · .4 and (.3936) · -.4.
    assert fuse(*cells, Stream(1), rate=0.1, epochs=2) == pytest.approx(0.516 + 0.1 * 0.3936 * 0.4)


def test_users_come_one_after_another_each_from_where_the_last_left_theta() -> None:
    generator = np.random.default_rng(1)
    users = np.array([4, 9, 4, 7, 9, 9])
    short, long, labels = generator.random(6), generator.random(6), generator.integers(0, 2, 6).astype(float)
    theta = 0.5
    for epoch in range(3):
        for place in Stream(2).numpy("users", epoch).permutation(3):
            own = users == (4, 7, 9)[place]
            error = theta * short[own] + (1 - theta) * long[own] - labels[own]
            theta -= 0.3 * (error * (short[own] - long[own])).mean()
    assert fuse(users, short, long, labels, Stream(2), rate=0.3, epochs=3) == pytest.approx(theta)


@pytest.mark.parametrize("right", ["short", "long"])
def test_theta_goes_to_the_part_that_is_right_and_no_further(right: str) -> None:
    labels = np.tile([1.0, 0.0], 50)
    cells = {"short": np.full(100, 0.5), "long": np.full(100, 0.5), right: labels}
    theta = fuse(np.arange(100) // 2, cells["short"], cells["long"], labels, Stream(1), rate=0.5, epochs=50)
    assert theta == pytest.approx(float(right == "short"), abs=1e-3)
    assert 0 <= theta <= 1


def test_no_cells_leave_theta_where_it_was() -> None:
    nothing = np.empty(0)
    assert fuse(nothing.astype(int), nothing, nothing, nothing, Stream(1), rate=0.1, epochs=5) == 0.5


def test_theta_learns_from_the_newest_items_which_the_short_part_never_sees_as_targets() -> None:
    model, data = RALST(configure("ra-lst", SETTINGS), matrix().shape), matrix()
    model.prepare(data, Stream(1))
    newest = {(user, (user + time) % ITEMS) for user in range(USERS) for time in (EACH - 2, EACH - 1)}
    users, items, labels = (part.numpy() for part in model._cells)
    assert set(zip(users[labels == 1], items[labels == 1], strict=True)) == newest
    assert (np.bincount(users[labels == 0]) == 2).all()
    assert ((items[labels == 0] - users[labels == 0]) % ITEMS >= EACH).all()
    targets = 0
    for batch in model.batches(data, Stream(2)):
        targets += int((batch.targets >= 0).sum())
    assert targets == USERS * (EACH - 2 - 1)


def test_where_theta_is_given_all_items_are_learned_from() -> None:
    model, data = RALST(configure("ra-lst", SETTINGS | {"theta": 0.7}), matrix().shape), matrix()
    model.prepare(data, Stream(1))
    assert sum(int((batch.targets >= 0).sum()) for batch in model.batches(data, Stream(2))) == USERS * (EACH - 1)


def test_held_out_cells_of_users_who_have_everything_are_left_out() -> None:
    data = InteractionMatrix(Shape(2, 3), np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 2]))
    kept = InteractionMatrix(Shape(2, 3), np.array([0, 0, 1]), np.array([0, 1, 0]))
    cells = held_out(data, kept, Stream(1))
    assert [part.tolist() for part in cells] == [[1, 1], [2, 1], [1.0, 0.0]]


def test_scores_weigh_the_parts_each_in_its_users_range() -> None:
    model = trained()
    everybody = torch.arange(USERS)
    x1, x2 = unit(model.short.score(everybody)), unit(model.long.score(everybody))
    theta = model.figures()["theta"]
    assert 0 < theta < 1
    assert theta != 0.5
    assert torch.allclose(model.score(everybody), theta * x1 + (1 - theta) * x2, atol=1e-5)
    short, long = trained(theta=1.0), trained(theta=0.0)
    assert torch.allclose(short.score(everybody), unit(short.short.score(everybody)), atol=1e-5)
    assert torch.allclose(long.score(everybody), x2, atol=1e-5)


def test_the_history_reports_theta_in_its_last_row() -> None:
    model = RALST(configure("ra-lst", SETTINGS), matrix().shape)
    history = train(model, matrix(), Stream(1))
    assert history[-1]["theta"] == float(model.theta)
    assert [list(row) for row in history[:-1]] == [["epoch", "loss"]] * 5


def test_on_a_ring_the_short_part_is_trusted() -> None:
    assert trained(epochs=30, theta_rate=0.2).figures()["theta"] > 0.8


def test_a_given_history_speaks_for_the_short_part_alone() -> None:
    model = trained()
    theta = float(model.theta)
    history = torch.tensor([0, 2, 5]), torch.tensor([3, 4, 8, 9, 10])
    users = torch.tensor([5, -1])
    scores = model.score_given(users, Given(history=history))
    x1 = unit(model.short.score_given(users, Given(history=history)))
    x2 = unit(model.long.score(torch.tensor([5])))
    assert torch.allclose(scores[0], theta * x1[0] + (1 - theta) * x2[0], atol=1e-5)
    assert torch.allclose(scores[1], x1[1], atol=1e-6)
    assert torch.equal(model.score_given(users[:1], Given()), model.score(users[:1]))


def test_the_exact_long_part_is_a_wmf_of_all_rows() -> None:
    values, everybody = SETTINGS | {"long": {"embedding_dim": 3, "sweeps": 4}}, torch.arange(USERS)
    model = RALSTExact(configure("ra-lst-exact", values), matrix().shape)
    train(model, matrix(), Stream(1))
    alone = WMF(configure("wmf", values["long"]), matrix().shape)
    stream = Stream(1)("prepare")("long", "all")
    alone.prepare(matrix(), stream("start"))
    list(alone.solve(matrix(), stream("train")))
    assert torch.equal(model.long.score(everybody), alone.score(everybody))
    theta = model.figures()["theta"]
    assert 0 < theta < 1
    parts = unit(model.short.score(everybody)), unit(model.long.score(everybody))
    assert torch.allclose(model.score(everybody), theta * parts[0] + (1 - theta) * parts[1], atol=1e-5)


def test_a_long_part_that_diverges_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^RALST: the loss of the long part is \w+ in its epoch \d+; lower long"):
        trained(long={"learning_rate": 5.0, "epochs": 50})


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"newest": 1.0}, r"newest: 1\.0"),
        ({"theta": 1.5}, r"theta: 1\.5"),
        ({"long": {"embedding_dim": 0}}, r"long\.embedding_dim: 0"),
        ({"long": {"dim": 3}}, r"long\.dim: unknown key"),
    ],
)
def test_impossible_values_are_named(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^models\.ra-lst\.{rule}"):
        configure("ra-lst", values)


def test_the_exact_long_part_takes_no_gradients() -> None:
    with pytest.raises(ConfigError, match=r"^models\.ra-lst-exact\.long\.solver: 'gradient'"):
        configure("ra-lst-exact", {"long": {"solver": "gradient"}})
