"""GRU4Rec: its loss, the state it carries and resets, the histories it scores from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.gru4rec import GRU4Rec, NextItemBatch
from lethe.models.parts.base import Given
from lethe.models.parts.sequences import Sequences
from lethe.tables.matrix import InteractionMatrix, Shape

LENGTHS = (4, 3, 6, 2, 3, 1, 0)
ITEMS = 9


def matrix() -> InteractionMatrix:
    """The five users of the RA_LST paper's figure, one with a single item and one with none."""
    generator = np.random.default_rng(2)
    rows = [
        (user, item, time)
        for user, length in enumerate(LENGTHS)
        for item, time in zip(
            np.sort(generator.permutation(ITEMS)[:length]), generator.permutation(length), strict=True
        )
    ]
    users, items, times = np.array(rows).T
    return InteractionMatrix(Shape(len(LENGTHS), ITEMS), users, items, timestamps=times)


def model(**values: Any) -> GRU4Rec:
    data = matrix()
    settings = {"embedding_dim": 4, "num_negatives": 0, "batch_size": 3, "num_steps": 100}
    built = GRU4Rec(configure("gru4rec", settings | values), data.shape)
    built.prepare(data, Stream(1))
    with torch.no_grad():
        for offset in (*built.offsets, built.biases):
            offset.normal_(generator=torch.Generator().manual_seed(3))
    return built


def naive_states(built: GRU4Rec, items: list[int]) -> list[torch.Tensor]:
    """The states after each item, one sequence and one step at a time."""
    states = [torch.zeros(4) for _ in built.gates]
    tops = []
    for item in items:
        below = torch.tanh(built.inputs[item])
        for layer, h in enumerate(states):
            x_r, x_z, x_h = (below @ built.projections[layer] + built.offsets[layer]).split(4)
            u_r, u_z = built.gates[layer].split(4, dim=1)
            r, z = torch.sigmoid(x_r + h @ u_r), torch.sigmoid(x_z + h @ u_z)
            states[layer] = below = (1 - z) * h + z * torch.tanh(x_h + (r * h) @ built.candidates[layer])
        tops.append(below)
    return tops


def histories(built: GRU4Rec) -> list[list[int]]:
    indptr, items = built.sequences
    return [items[indptr[u] : indptr[u + 1]].tolist() for u in range(len(indptr) - 1)]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("steps", [100, 2])
def test_an_epoch_is_every_sequence_alone_from_a_state_of_zero(layers: int, steps: int) -> None:
    """Five users in three slots: cut into batches or not, each sequence starts anew and goes on to its end."""
    built = model(num_layers=layers, num_steps=steps)
    total = sum(built.loss(batch).item() for batch in built.batches(matrix(), Stream(5)))
    expected = 0.0
    for items in histories(built):
        for state, target in zip(naive_states(built, items)[:-1], items[1:], strict=True) if len(items) > 1 else ():
            scores = built.outputs @ state + built.biases
            expected += functional.cross_entropy(scores, torch.tensor(target)).item()
    assert total == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("negatives", [[1, 4, 6], [2, 5, 7]])
def test_sampled_items_stand_for_all_others(negatives: list[int]) -> None:
    """ln(1 + mean of e^(ŷ_j - ŷ_v) over the sample without v, times the N - 1 items there are)."""
    built = model()
    inputs, targets = torch.tensor([[3], [4]]), torch.tensor([[4], [8]])
    starts = torch.tensor([[True], [False]])
    batch = NextItemBatch(torch.tensor([0]), inputs, targets, starts, torch.tensor(negatives))
    expected = 0.0
    for state, target in zip(naive_states(built, [3, 4]), (4, 8), strict=True):
        scores = (built.outputs @ state + built.biases).detach()
        rest = scores[[j for j in negatives if j != target]]
        expected += torch.log1p((ITEMS - 1) * torch.exp(rest - scores[target]).mean()).item()
    assert built.loss(batch).item() == pytest.approx(expected, rel=1e-5)


def test_drawn_negatives_are_distinct_and_differ_from_batch_to_batch() -> None:
    built = model(num_negatives=4, num_steps=1)
    drawn = [batch.negatives.tolist() for batch in built.batches(matrix(), Stream(5))]
    assert {len(set(items)) for items in drawn} == {4}
    assert len({tuple(items) for items in drawn}) > 1
    assert drawn == [batch.negatives.tolist() for batch in built.batches(matrix(), Stream(5))]


@pytest.mark.parametrize("layers", [1, 2])
def test_a_users_vector_is_the_state_after_their_whole_history(layers: int) -> None:
    built = model(num_layers=layers, num_steps=2)
    with torch.no_grad():
        built.finish()
        for user, items in enumerate(histories(built)):
            expected = naive_states(built, items)[-1] if items else torch.zeros(4)
            assert torch.allclose(built.states[user], expected, atol=1e-6)
    users, items_tower = built.factors()
    assert torch.allclose(users @ items_tower.T, built.states @ built.outputs.T + built.biases, atol=1e-6)


def test_scores_from_a_given_history_for_anybody() -> None:
    """Known users and unknown, and where the history is empty what is known of the user, or nothing."""
    built = model()
    with torch.no_grad():
        built.finish()
        history = torch.tensor([0, 2, 5, 5, 5]), torch.tensor([7, 1, 2, 0, 8])
        scores = built.score_given(torch.tensor([0, -1, 0, -1]), Given(history=history))
        for row, items in enumerate(([7, 1], [2, 0, 8])):
            expected = built.outputs @ naive_states(built, items)[-1] + built.biases
            assert torch.allclose(scores[row], expected, atol=1e-6)
        assert torch.allclose(scores[2], built.score(torch.tensor([0]))[0], atol=1e-6)
        assert torch.allclose(scores[3], built.biases, atol=1e-6)
        own = histories(built)[2]
        again = built.score_given(torch.tensor([-1]), Given(history=(torch.tensor([0, 6]), torch.tensor(own))))
        assert torch.allclose(again, built.score(torch.tensor([2])), atol=1e-6)
        assert torch.equal(built.score_given(torch.tensor([1]), Given()), built.score(torch.tensor([1])))


def test_histories_longer_and_more_than_a_block_end_where_they_end() -> None:
    built = model(num_steps=5)
    generator = np.random.default_rng(4)
    lengths = generator.integers(0, 23, 600)
    items = generator.integers(0, ITEMS, lengths.sum())
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    with torch.no_grad():
        ends = built.run(Sequences(indptr, items))
        for row in (0, 17, 255, 256, 400, 599):
            own = items[indptr[row] : indptr[row + 1]].tolist()
            expected = naive_states(built, own)[-1] if own else torch.zeros(4)
            assert torch.allclose(ends[row], expected, atol=1e-6)


def test_learns_what_follows_what() -> None:
    """Everybody goes around a ring of items: the next one on is the best for each of them."""
    users = np.repeat(np.arange(60), 6)
    times = np.tile(np.arange(6), 60)
    items = (users + times) % 12
    order = np.lexsort((items, users))
    data = InteractionMatrix(Shape(60, 12), users[order], items[order], timestamps=times[order])
    values = {"embedding_dim": 16, "num_negatives": 5, "learning_rate": 0.02, "epochs": 30, "batch_size": 8}
    built = GRU4Rec(configure("gru4rec", values), data.shape)
    train(built, data, Stream(1))
    assert (built.score(torch.arange(60)).argmax(dim=1).numpy() == (np.arange(60) + 6) % 12).all()


def test_data_without_times_are_refused() -> None:
    data = InteractionMatrix(Shape(1, 2), np.array([0, 0]), np.array([0, 1]))
    with pytest.raises(ConfigError, match=r"^GRU4Rec: needs timestamps, and the dataset has none$"):
        train(GRU4Rec(configure("gru4rec", {}), data.shape), data, Stream(1))


@pytest.mark.parametrize(
    ("values", "rule"),
    [({"num_layers": 0}, "num_layers: 0"), ({"num_negatives": -1}, "num_negatives: -1"), ({"num_steps": 0}, "num_s")],
)
def test_impossible_values_are_named(values: dict[str, int], rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^models\.gru4rec\.{rule}"):
        configure("gru4rec", values)
