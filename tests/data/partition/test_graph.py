"""The graph partitions against naive loops, and what they promise; tests/partition/test_partition.py has the laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.config.sharding import Balance
from lethe.core.random import Stream
from lethe.data.partition import PARTITIONS
from lethe.data.partition.graph import LAYERS, _spread, _ties
from lethe.errors import ConfigError
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

STREAM = Stream(7)
NAMES = ["graph-lpa", "graph-bekm"]


def table(pairs):
    pairs = list(pairs)
    return Interactions.of(np.array([u for u, _ in pairs], np.int64), np.array([i for _, i in pairs], np.int64))


def noise(rows, stream):
    catalogue = Catalogue.of(rows)
    users = stream.numpy("users").normal(size=(len(catalogue.users), 3))
    return catalogue, users, stream.numpy("items").normal(size=(len(catalogue.items), 3))


def lay(name, rows, num_shards=3, slack=1.5, stream=STREAM, embeddings=noise):
    return PARTITIONS[name].assign(rows, num_shards, None, stream, balance=Balance(slack=slack), embeddings=embeddings)


grids = st.sets(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=12, max_size=80)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50, deadline=None)
@given(pairs=grids, num_shards=st.integers(1, 4), slack=st.floats(1.0, 1.6))
def test_users_stay_whole_and_no_shard_is_over_its_cap(name, pairs, num_shards, slack):
    rows = table(pairs)
    cap = int(np.ceil(slack * len(rows) / num_shards))
    users, sizes = np.unique(rows.user_ids, return_counts=True)
    try:
        shards = lay(name, rows, num_shards, slack)
    except ConfigError:
        # Refused only where whole users may really not fit.
        assert num_shards > len(users) or sizes.max() * (num_shards - 1) >= num_shards * (cap + 1) - len(rows)
    else:
        assert np.bincount(shards).max() <= cap
        assert len(set(zip(rows.user_ids, shards, strict=True))) == len(users)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_communities_stay_together(name, seed):
    # Three communities of users with items of their own, and a few rows across; the users' own vectors say nothing.
    generator = np.random.default_rng(seed)
    inside = np.equal.outer(np.arange(60) % 3, np.arange(30) % 3)
    rows = table(zip(*np.nonzero(generator.random((60, 30)) < np.where(inside, 0.7, 0.03)), strict=True))

    def items_known(rows, stream):
        catalogue = Catalogue.of(rows)
        return catalogue, np.zeros((len(catalogue.users), 3)), np.eye(3)[catalogue.items.values % 3]

    shards = lay(name, rows, 3, 1.1, Stream(seed), items_known)
    together = np.zeros((3, 3))
    np.add.at(together, (rows.user_ids % 3, shards), 1)
    assert together.max(axis=1).sum() > 0.85 * len(rows)
    assert np.bincount(shards, minlength=3).min() > 0


def test_ties_are_walks_to_others_per_row_of_the_shard():
    rows = table([(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 3)])
    data = Catalogue.of(rows).encode(rows)
    shards = np.array([0, 0, 1, 1])
    expected = np.zeros((4, 3))
    for user, item in zip(data.users, data.items, strict=True):
        fans = data.users[data.items == item]
        for other in fans[fans != user]:
            expected[user, shards[other]] += 1 / len(fans)
    expected /= [4, 4, 1]
    np.testing.assert_allclose(_ties(data.csr(), shards, 3), expected, atol=1e-6)


def test_spreading_is_the_mean_of_the_steps_through_the_graph():
    generator = np.random.default_rng(0)
    seen = generator.random((6, 4)) < 0.6
    seen[np.arange(6), np.arange(6) % 4] = True
    rows = table(zip(*np.nonzero(seen), strict=True))
    adjacency = np.block([[np.zeros((6, 6)), seen], [seen.T, np.zeros((4, 4))]])
    roots = 1 / np.sqrt(adjacency.sum(axis=1))
    step = roots[:, None] * adjacency * roots
    start = generator.normal(size=(10, 3))
    expected = np.mean([np.linalg.matrix_power(step, k) @ start for k in range(LAYERS + 1)], axis=0)
    users, items = _spread(Catalogue.of(rows).encode(rows).csr(), start[:6], start[6:])
    np.testing.assert_allclose(np.concatenate([users, items]), expected, atol=1e-6)


def test_label_propagation_trains_no_embeddings_and_draws_from_the_stream():
    def none(rows, stream):
        raise AssertionError("label propagation needs no embeddings")

    rows = table((u, i) for u in range(40) for i in range(10) if (u * 7 + i * 3) % 5 < 3)
    shards = lay("graph-lpa", rows, embeddings=none)
    np.testing.assert_array_equal(lay("graph-lpa", rows, embeddings=none), shards)
    assert (lay("graph-lpa", rows, stream=Stream(8), embeddings=none) != shards).any()


@pytest.mark.parametrize("name", NAMES)
def test_refusals_are_one_line_with_field_value_and_rule(name):
    rows = table([(1, 1), (1, 2), (1, 3), (1, 4), (2, 1)])
    with pytest.raises(ConfigError, match=r"num_shards: 3 must not be more than the 2 users of the training rows"):
        lay(name, rows, 3)
    with pytest.raises(ConfigError, match=r"slack: 2 shards of at most 3 interactions can't hold \w+ of up to 4"):
        lay(name, rows, 2, slack=1.2)
