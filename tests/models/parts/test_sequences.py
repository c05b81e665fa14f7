"""Sequences and their session-parallel batches, on the example of the figure of the RA_LST paper (figure 5)."""

from __future__ import annotations

import numpy as np
import pytest

from lethe.core.random import Stream
from lethe.models.parts.sequences import Sequences, by_time, older, session_batches
from lethe.tables.matrix import InteractionMatrix, Shape


class InOrder:
    """Stands for a generator that shuffles nothing, as the figure doesn't."""

    def permutation(self, values: np.ndarray) -> np.ndarray:
        return values


def of(*lengths: int) -> Sequences:
    """User u's t-th item is 10 u + t, both from 1: the figure's i_{u,t}."""
    items = [10 * user + t for user, length in enumerate(lengths, start=1) for t in range(1, length + 1)]
    return Sequences(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), np.array(items, dtype=np.int64))


def columns(sequences: Sequences, slots: int, steps: int) -> list[list[list[tuple[int, int, bool]]]]:
    """Per batch and slot the (input, target, reset) of the steps that aren't idle."""
    return [
        [
            [(i, t, s) for i, t, s in zip(*(part[:, w].tolist() for part in batch[1:]), strict=True) if t >= 0]
            for w in range(len(batch.slots))
        ]
        for batch in session_batches(sequences, slots, steps, InOrder())  # type: ignore[arg-type]
    ]


def test_the_figure_five_users_in_three_slots() -> None:
    """User 4 takes the slot of user 2, user 5 that of user 1, each with its state reset; user 3 runs through."""
    (batch,) = columns(of(4, 3, 6, 2, 3), slots=3, steps=100)
    assert batch == [
        [(11, 12, True), (12, 13, False), (13, 14, False), (51, 52, True), (52, 53, False)],
        [(21, 22, True), (22, 23, False), (41, 42, True)],
        [(31, 32, True), (32, 33, False), (33, 34, False), (34, 35, False), (35, 36, False)],
    ]


def test_steps_are_cut_into_batches_and_sequences_go_on_in_the_next() -> None:
    whole = columns(of(4, 3, 6, 2, 3), slots=3, steps=100)[0]
    cut = columns(of(4, 3, 6, 2, 3), slots=3, steps=2)
    assert [len(batch) for batch in cut] == [3, 3, 2]  # the second slot is idle in the last and left out
    assert cut[0][0] + cut[1][0] + cut[2][0] == whole[0]
    assert cut[0][1] + cut[1][1] == whole[1]
    assert cut[0][2] + cut[1][2] + cut[2][1] == whole[2]
    slots = [batch.slots.tolist() for batch in session_batches(of(4, 3, 6, 2, 3), 3, 2, InOrder())]  # type: ignore[arg-type]
    assert slots == [[0, 1, 2], [0, 1, 2], [0, 2]]


@pytest.mark.parametrize(("slots", "steps"), [(1, 1), (4, 3), (64, 50)])
def test_every_next_item_is_predicted_once(slots: int, steps: int) -> None:
    lengths = np.random.default_rng(3).integers(0, 12, 40)
    sequences = of(*lengths)
    expected = [
        (int(a), int(b))
        for u in range(40)
        for a, b in zip(
            sequences.items[sequences.indptr[u] : sequences.indptr[u + 1] - 1],
            sequences.items[sequences.indptr[u] + 1 : sequences.indptr[u + 1]],
            strict=False,
        )
    ]
    seen, resets = [], 0
    for batch in session_batches(sequences, slots, steps, np.random.default_rng(1)):
        active = batch.targets >= 0
        seen += list(zip(batch.inputs[active].tolist(), batch.targets[active].tolist(), strict=True))
        resets += int(batch.starts.sum())
        assert len(batch.inputs) <= steps
        assert len(batch.slots) <= slots
    assert sorted(seen) == sorted(expected)
    assert resets == (lengths > 1).sum()


def test_epochs_differ_in_order_alone_and_the_same_generator_gives_the_same() -> None:
    first, again, other = (
        [batch.inputs.tolist() for batch in session_batches(of(*range(2, 30)), 4, 5, np.random.default_rng(seed))]
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("lengths", [(), (0,), (1, 0, 1)])
def test_nothing_to_predict_is_no_batch(lengths: tuple[int, ...]) -> None:
    assert list(session_batches(of(*lengths), 3, 2, np.random.default_rng(1))) == []


def test_sequences_go_by_time_whatever_the_order_of_items() -> None:
    data = InteractionMatrix(
        Shape(3, 5),
        np.array([0, 0, 0, 2, 2]),
        np.array([1, 2, 4, 0, 3]),
        timestamps=np.array([30, 10, 20, 6, 5]),
    )
    sequences = by_time(data, Stream(1))
    assert sequences.indptr.tolist() == [0, 3, 3, 5]
    assert sequences.items.tolist() == [2, 4, 1, 3, 0]


def test_equal_times_go_by_a_key_of_the_pair() -> None:
    """Each user's ties have an order of their own, which the other rows don't touch and the stream does."""
    users, items = (part.ravel() for part in np.meshgrid(np.arange(50), np.arange(4), indexing="ij"))
    data = InteractionMatrix(Shape(50, 4), users, items, timestamps=np.zeros(200, np.int64))
    ordered = by_time(data, Stream(1)).items.reshape(50, 4)
    assert len({tuple(row) for row in ordered.tolist()}) > 10
    rest = InteractionMatrix(Shape(50, 4), users[4:], items[4:], timestamps=np.zeros(196, np.int64))
    assert (by_time(rest, Stream(1)).items.reshape(49, 4) == ordered[1:]).all()
    assert (by_time(data, Stream(2)).items.reshape(50, 4) != ordered).any()


def test_older_leaves_out_each_users_newest_share() -> None:
    kept = older(of(10, 3, 0, 20), 0.1)
    assert kept.indptr.tolist() == [0, 9, 12, 12, 30]
    assert kept.items[:12].tolist() == [*range(11, 20), 21, 22, 23]
    assert kept.items[-1] == 40 + 18
