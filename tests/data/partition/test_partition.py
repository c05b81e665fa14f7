"""Laws of the partitions: each row in one shard, caps, determinism, and that a deletion moves nobody else."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lethe.config.sharding import Balance, Sharding
from lethe.core.random import Stream
from lethe.data.partition import PARTITIONS, Assignment, balanced
from lethe.errors import ConfigError, DataError
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

FROZEN = [name for name, partition in PARTITIONS.items() if partition.frozen]
HASHED = ["user-hash", "interaction-hash"]
STREAM = Stream(7, ("partition",))


def table(pairs):
    pairs = list(pairs)
    return Interactions.of(np.array([u for u, _ in pairs], np.int64), np.array([i for _, i in pairs], np.int64))


def embeddings(rows, stream):
    catalogue = Catalogue.of(rows)
    users = stream.numpy("users").normal(size=(len(catalogue.users), 3))
    return catalogue, users, stream.numpy("items").normal(size=(len(catalogue.items), 3))


def lay(name, rows, num_shards=3, previous=None, slack=1.5, stream=STREAM, embeddings=embeddings, **values):
    balance = Balance(slack=slack, **values)
    return PARTITIONS[name].assign(rows, num_shards, previous, stream, balance=balance, embeddings=embeddings)


def assigned(rows, shards):
    return Assignment(rows.user_ids, rows.item_ids, shards)


def cells(rows, shards):
    return {(u, i): s for u, i, s in zip(rows.user_ids, rows.item_ids, shards, strict=True)}


def no_embeddings(rows, stream):
    raise AssertionError("only a new epoch of a balanced partition trains embeddings")


grids = st.sets(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=12, max_size=80)


@pytest.mark.parametrize("name", PARTITIONS)
@settings(max_examples=30, deadline=None)
@given(pairs=grids, num_shards=st.integers(1, 4), order=st.randoms(use_true_random=False))
def test_each_row_is_in_one_shard_whatever_the_order(name, pairs, num_shards, order):
    rows = table(pairs)
    try:
        shards = lay(name, rows, num_shards)
    except ConfigError:
        assume(False)
    assert shards.dtype == np.int64
    assert shards.shape == (len(rows),)
    assert ((shards >= 0) & (shards < num_shards)).all()
    shuffled = sorted(pairs)
    order.shuffle(shuffled)
    np.testing.assert_array_equal(lay(name, table(shuffled), num_shards), shards)
    if name == "whole":
        assert not shards.any()
    if name in ("user-hash", "ubp"):
        assert len(set(zip(rows.user_ids, shards, strict=True))) == len(set(rows.user_ids))
    if name == "ibp":
        assert len(set(zip(rows.item_ids, shards, strict=True))) == len(set(rows.item_ids))


@pytest.mark.parametrize("name", FROZEN)
@settings(max_examples=50, deadline=None)
@given(pairs=grids, num_shards=st.integers(1, 4), slack=st.floats(1.0, 1.6))
def test_no_shard_is_over_its_cap(name, pairs, num_shards, slack):
    rows = table(pairs)
    cap = int(np.ceil(slack * len(rows) / num_shards))
    try:
        sizes = np.bincount(lay(name, rows, num_shards, slack=slack))
    except ConfigError:
        # Refused only where whole entities may really not fit, never for single rows.
        assert name != "inbp"
        largest = np.unique(
            rows.user_ids if name in ("ubp", "graph-lpa", "graph-bekm") else rows.item_ids, return_counts=True
        )[1].max()
        assert largest * (num_shards - 1) >= num_shards * (cap + 1) - len(rows)
    else:
        assert sizes.max() <= cap


@pytest.mark.parametrize("name", HASHED)
@given(pairs=grids, gone=st.integers(0, 15))
def test_hash_deletion_changes_nobody_else(name, pairs, gone):
    rows, kept = table(pairs), table(p for p in pairs if p[0] != gone)
    before, after = cells(rows, lay(name, rows)), cells(kept, lay(name, kept))
    assert after == {pair: shard for pair, shard in before.items() if pair[0] != gone}


@pytest.mark.parametrize("name", HASHED)
def test_hash_depends_on_the_stream_and_spreads(name):
    rows = table((u, i) for u in range(300) for i in range(4))
    shards = lay(name, rows, 3)
    assert (lay(name, rows, 3, stream=Stream(8)) != shards).mean() > 0.5
    counts = np.bincount(shards)
    assert counts.min() > 0.8 * len(rows) / 3
    if name == "interaction-hash":
        for ids in (rows.user_ids, rows.item_ids):
            assert len(set(zip(ids, shards, strict=True))) > 2 * len(set(ids))


@pytest.mark.parametrize("name", FROZEN)
@settings(max_examples=30, deadline=None)
@given(pairs=grids, gone=st.integers(0, 15), new=st.sets(st.tuples(st.integers(0, 20), st.integers(0, 20))))
def test_a_kept_assignment_moves_nobody(name, pairs, gone, new):
    rows = table(pairs)
    try:
        shards = lay(name, rows, slack=3.0)
    except ConfigError:
        assume(False)
    previous = assigned(rows, shards)
    later = table({p for p in pairs if p[0] != gone} | new)
    after = cells(later, lay(name, later, previous=previous, embeddings=no_embeddings))
    before = cells(rows, shards)
    assert {pair: after[pair] for pair in before if pair in after} == {p: s for p, s in before.items() if p in after}
    # Once laid, the new rows are known too: they stay when others go.
    laid = assigned(later, np.array(list(after.values())))
    last = table(p for p in cells(later, laid.shards) if p[0] != 1)
    np.testing.assert_array_equal(
        lay(name, last, previous=laid, embeddings=no_embeddings), [after[p] for p in cells(last, last.user_ids)]
    )


def test_new_entities_fill_the_room_that_is_left():
    rows = table((u, i) for u in range(4) for i in range(5))
    previous = assigned(rows, np.array([0] * 15 + [1] * 5))
    more = table((u, i) for u in range(8) for i in range(5))
    # 40 rows at slack 1 leave room for 20 a shard: one more user in shard 0, three in shard 1.
    assert np.bincount(lay("ubp", more, 2, previous, slack=1.0, embeddings=no_embeddings)).tolist() == [20, 20]


def test_new_entities_go_to_the_emptiest_shard_when_none_has_room():
    rows = table((u, i) for u in range(4) for i in range(5))
    previous = assigned(rows, np.array([0] * 15 + [1] * 5))
    crowded = table([*((u, i) for u in range(4) for i in range(5)), *((9, i) for i in range(30))])
    shards = lay("ubp", crowded, 2, previous, slack=1.0, embeddings=no_embeddings)
    assert set(shards[crowded.user_ids == 9]) == {1}


@pytest.mark.parametrize("name", FROZEN)
def test_clusters_follow_the_vectors(name):
    # Two tight groups of users and of items; each user has the items of the own group only.
    rows = table((u, i) for u in range(20) for i in range(20) if u % 2 == i % 2)

    def grouped(rows, stream):
        catalogue = Catalogue.of(rows)
        noise = stream.numpy().normal(scale=0.01, size=(20, 1))
        vectors = (np.arange(20)[:, None] % 2) * 10 + noise
        return catalogue, vectors, vectors

    shards = lay(name, rows, 2, slack=1.2, stream=Stream(1), embeddings=grouped)
    assert len(set(zip(rows.user_ids % 2, shards, strict=True))) == 2


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), num_shards=st.integers(1, 5))
def test_matching_equals_filling_nearest_first(seed, num_shards):
    generator = np.random.default_rng(seed)
    users, items = generator.integers(0, 12, (2, 60))
    to_users, to_items = generator.random((2, 12, num_shards))
    cap = int(np.ceil(1.1 * 60 / num_shards))
    order = np.argsort((to_users[users] * to_items[items]).ravel(), kind="stable")
    expected = balanced._fill(order, np.ones(60, np.int64), num_shards, cap, False)
    np.testing.assert_array_equal(balanced._match(users, items, to_users, to_items, cap), expected)


def clustered(vectors, sizes, num_shards, cap, stream, scalar, overshoot):
    """The listing in plain Python: pairs nearest first, the first shard with room, centres anew."""
    centres = [list(vectors[c]) for c in stream.numpy("centres").choice(len(vectors), num_shards, replace=False)]
    shards = None
    for _ in range(balanced.ROUNDS):
        pairs = [
            (sum((x - c) ** 2 for x, c in zip(vector, centre, strict=True)), entity, shard)
            for entity, vector in enumerate(vectors)
            for shard, centre in enumerate(centres)
        ]
        moved, held = {}, [0] * num_shards
        for _, entity, shard in sorted(pairs):
            room = held[shard] < cap if overshoot else held[shard] + sizes[entity] <= cap
            if entity not in moved and room:
                moved[entity] = shard
                held[shard] += sizes[entity]
        if moved == shards:
            break
        shards = moved
        for shard in range(num_shards):
            if members := [vectors[entity] for entity in shards if shards[entity] == shard]:
                mean = np.mean(members) if scalar else np.mean(members, axis=0)
                centres[shard] = list(np.broadcast_to(mean, len(vectors[0])))
    return [shards[entity] for entity in range(len(vectors))]


@pytest.mark.parametrize("centroids", ["mean", "scalar"])
@pytest.mark.parametrize("cap", ["strict", "overshoot"])
def test_the_published_clustering_can_be_asked_for(centroids, cap):
    rows = table((u, i) for u in range(30) for i in range(12) if (u * 7 + i * 5) % 11 < 4 + u % 3)
    users, sizes = np.unique(rows.user_ids, return_counts=True)
    shards = lay("ubp", rows, 3, slack=1.25, centroids=centroids, cap=cap)
    _, vectors, _ = embeddings(rows, STREAM("embeddings"))
    limit = balanced.cap_of(len(rows), 3, Balance(slack=1.25))
    expected = clustered(vectors, sizes, 3, limit, STREAM, centroids == "scalar", cap == "overshoot")
    assert [shards[rows.user_ids == user][0] for user in users] == expected
    other = lay("ubp", rows, 3, slack=1.25, centroids="scalar" if centroids == "mean" else "mean", cap=cap)
    assert (other != shards).any()


def test_centres_of_pairs_may_be_numbers_too():
    rows = table((u, i) for u in range(12) for i in range(12) if (u * 5 + i * 3) % 4)
    assert (lay("inbp", rows, centroids="scalar") != lay("inbp", rows)).any()


def test_only_the_last_to_join_lifts_a_shard_over_its_cap():
    # Nine rows of one user don't fit a cap of seven: refused by the strict cap, laid by the other.
    rows = table([*((1, i) for i in range(9)), (2, 1), (3, 2), (4, 3), (5, 1), (6, 1)])
    with pytest.raises(ConfigError, match="slack: "):
        lay("ubp", rows, 2, slack=1.0)
    shards = lay("ubp", rows, 2, slack=1.0, cap="overshoot")
    of_users = {user: set(shards[rows.user_ids == user]) for user in range(1, 7)}
    assert all(len(held) == 1 for held in of_users.values())
    assert np.bincount(shards).max() - 7 < 9


def test_what_is_not_asked_for_stands_in_no_plain_form():
    layout = Sharding(partition="ubp", num_shards=3, aggregator="mean")
    assert set(layout.plain()) == {"partition", "num_shards", "aggregator", "slack", "slices", "placement"}
    assert layout.model_copy(update={"cap": "overshoot"}).plain()["cap"] == "overshoot"


def test_refusals_are_one_line_with_field_value_and_rule():
    rows = table([(1, 1), (1, 2), (1, 3), (1, 4), (2, 1)])
    with pytest.raises(ConfigError, match=r"num_shards: 3 must not be more than the 2 users of the training rows"):
        lay("ubp", rows, 3)
    with pytest.raises(ConfigError, match=r"slack: 2 shards of at most 3 interactions can't hold users of up to 4"):
        lay("ubp", rows, 2, slack=1.2)
    with pytest.raises(ConfigError, match=r"num_shards: 2 is less than the kept assignment has"):
        lay("ubp", rows, 2, previous=assigned(rows, np.array([2, 2, 2, 2, 0])))


@pytest.mark.parametrize("text", [False, True])
def test_assignment_round_trip_is_byte_stable(tmp_path, text):
    rows = table((u, i) for u in range(5) for i in range(3))
    if text:
        rows = Interactions.of(rows.user_ids.astype(str), rows.item_ids.astype(str))
    one = assigned(rows, lay("user-hash", rows))
    one.write(tmp_path / "one.parquet")
    two = Assignment.read(tmp_path / "one.parquet")
    two.write(tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    for name in ("user_ids", "item_ids", "shards"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    np.testing.assert_array_equal(lay("ubp", rows, previous=two, embeddings=no_embeddings), one.shards)


def test_a_file_without_shards_is_no_assignment(tmp_path):
    table([(1, 2)]).write(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="column 'shard' is missing"):
        Assignment.read(tmp_path / "rows.parquet")
