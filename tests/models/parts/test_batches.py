"""Batches as laws: triples are valid and uniform, and depend on nothing but their generator and data."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lethe.models.parts.batches import choosers, negatives, triple_batches
from lethe.tables.matrix import InteractionMatrix, Shape


def matrix(seed: int, density: float) -> InteractionMatrix:
    filled = np.random.default_rng(seed).random((8, 10)) < density
    return InteractionMatrix(Shape(8, 10), *np.nonzero(filled))


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.2, 0.9, 1.0]), st.integers(0, 7))
def test_triples_hold_an_owned_and_a_lacked_item(seed: int, density: float, batch_size: int) -> None:
    data = matrix(seed, density)
    owned = data.csr().toarray() > 0
    drawn = 0
    for batch in triple_batches(data, batch_size, np.random.default_rng(seed)):
        users, positives, lacked = (part.numpy() for part in batch)
        assert owned[users, positives].all()
        assert not owned[users, lacked].any()
        drawn += len(users)
    assert drawn == (len(data) if len(choosers(data)) else 0)


def test_negatives_are_uniform_over_what_a_user_lacks() -> None:
    data = matrix(3, 0.5)
    owned = data.csr().toarray() > 0
    users = choosers(data)
    drawn = np.repeat(users, 4000)
    counts = np.zeros(owned.shape)
    np.add.at(counts, (drawn, negatives(data, drawn, np.random.default_rng(0))), 1)
    for user in users:
        share = counts[user][~owned[user]] / 4000
        assert counts[user][owned[user]].sum() == 0
        assert np.abs(share * (~owned[user]).sum() - 1).max() < 0.2
