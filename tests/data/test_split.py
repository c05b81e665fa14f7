"""Splits: complete, disjoint, and local (deleting a row moves no row of another user)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.config.dataset import LeaveOneOutSplit, NewestSplit, RandomSplit, ReadySplit, Split
from lethe.core.random import Stream
from lethe.data.split import PARTS, deduplicate, pair_hash, split
from lethe.errors import DataError
from lethe.tables.interactions import Interactions

STREAM = Stream(7)("split", "tiny")

Row = tuple[int, int, int, int]  # user, item, rating, time

KINDS: list[Split] = [
    RandomSplit(valid=0.2, test=0.3),
    LeaveOneOutSplit(by="leave-one-out"),
    LeaveOneOutSplit(by="leave-one-out", valid=False),
    LeaveOneOutSplit(by="leave-one-out", order="random"),
    NewestSplit(by="newest", valid=0.2, test=0.3),
    NewestSplit(by="newest", valid_from=3, test_from=5),
    NewestSplit(by="newest", test_from=4),
    ReadySplit(by="ready", valid=0.3),
]


def table(rows: list[Row], *, text: bool = False) -> Interactions:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    users = np.array([f"u{v}" for v in columns[0]], dtype=object) if text else columns[0]
    return Interactions.of(users, columns[1], columns[2].astype(np.float32), columns[3])


def halves(rows: Interactions) -> dict[str, Interactions]:
    """A source's own split: odd items are for training, even ones for testing."""
    return {"train": rows.take(rows.item_ids % 2 == 1), "test": rows.take(rows.item_ids % 2 == 0)}


def lay(rows: Interactions, config: Split) -> dict[str, Interactions]:
    return split(rows, config, STREAM, parts=halves(rows))


def as_set(rows: Interactions) -> set[tuple]:
    return set(zip(*(column.tolist() for _, column in rows.columns()), strict=True))


ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 5), st.integers(0, 7)),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[:2],
)


@pytest.mark.parametrize("config", KINDS, ids=str)
@settings(max_examples=40, deadline=None)
@given(rows=ROWS, text=st.booleans())
def test_every_row_is_in_exactly_one_part(config: Split, rows: list[Row], text: bool) -> None:
    whole = table(rows, text=text)
    parts = lay(whole, config)
    assert tuple(parts) == PARTS
    assert sum(len(part) for part in parts.values()) == len(whole)
    assert set().union(*map(as_set, parts.values())) == as_set(whole)


@pytest.mark.parametrize("config", KINDS, ids=str)
@settings(max_examples=40, deadline=None)
@given(rows=ROWS, data=st.data())
def test_deleting_rows_moves_rows_of_their_own_users_only(config: Split, rows: list[Row], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.sampled_from(rows), min_size=1, unique=True))
    touched = {row[0] for row in gone}
    before = lay(table(rows), config)
    after = lay(table([row for row in rows if row not in gone]), config)
    for name in PARTS:
        assert {r for r in as_set(before[name]) if r[0] not in touched} == {
            r for r in as_set(after[name]) if r[0] not in touched
        }


@pytest.mark.parametrize("config", KINDS, ids=str)
@settings(max_examples=40, deadline=None)
@given(rows=ROWS, data=st.data())
def test_deleting_a_user_moves_nothing_and_row_order_is_no_input(
    config: Split, rows: list[Row], data: st.DataObject
) -> None:
    user = data.draw(st.sampled_from(rows))[0]
    shuffled = data.draw(st.permutations(rows))
    before = lay(table(rows), config)
    after = lay(table([row for row in shuffled if row[0] != user]), config)
    for name in PARTS:
        assert as_set(after[name]) == {r for r in as_set(before[name]) if r[0] != user}


def test_random_split_has_the_shares_asked_for() -> None:
    rows = table([(u, i, 1, 0) for u in range(100) for i in range(100)])
    parts = split(rows, RandomSplit(valid=0.1, test=0.2), STREAM)
    assert abs(len(parts["test"]) - 2000) < 160
    assert abs(len(parts["valid"]) - 1000) < 120
    other = split(rows, RandomSplit(valid=0.1, test=0.2), Stream(8)("split", "tiny"))
    assert as_set(other["test"]) != as_set(parts["test"])


def test_leave_one_out_holds_out_the_latest_of_who_has_enough() -> None:
    rows = table([(1, 5, 3, 30), (1, 6, 3, 10), (1, 7, 3, 20), (2, 5, 3, 1), (2, 6, 3, 2)])
    parts = split(rows, LeaveOneOutSplit(by="leave-one-out"), STREAM)
    assert as_set(parts["test"]) == {(1, 5, 3, 30)}
    assert as_set(parts["valid"]) == {(1, 7, 3, 20)}
    assert as_set(parts["train"]) == {(1, 6, 3, 10), (2, 5, 3, 1), (2, 6, 3, 2)}
    parts = split(rows, LeaveOneOutSplit(by="leave-one-out", valid=False), STREAM)
    assert as_set(parts["test"]) == {(1, 5, 3, 30), (2, 6, 3, 2)}
    assert len(parts["valid"]) == 0


def test_random_leave_one_out_needs_no_times_and_differs_by_user() -> None:
    rows = table([(u, i, 1, 0) for u in range(60) for i in range(6)])
    rows = Interactions.of(rows.user_ids, rows.item_ids)
    parts = split(rows, LeaveOneOutSplit(by="leave-one-out", order="random"), STREAM)
    assert parts["test"].user_ids.tolist() == list(range(60))
    counts = np.bincount(parts["test"].item_ids, minlength=6)
    assert counts.min() > 0
    assert counts.max() < 25


def test_newest_takes_the_share_of_each_user_or_the_cut_off_times() -> None:
    rows = table([(u, i, 1, 100 * u + i) for u in (1, 2) for i in range(10)])
    parts = split(rows, NewestSplit(by="newest", valid=0.2, test=0.1), STREAM)
    assert as_set(parts["test"]) == {(1, 9, 1, 109), (2, 9, 1, 209)}
    assert {r[1] for r in as_set(parts["valid"])} == {7, 8}
    parts = split(rows, NewestSplit(by="newest", valid_from=109, test_from=205), STREAM)
    assert {r[3] for r in as_set(parts["test"])} == {205, 206, 207, 208, 209}
    assert {r[3] for r in as_set(parts["valid"])} == {109, 200, 201, 202, 203, 204}


def test_newest_share_is_not_lost_to_rounding() -> None:
    rows = table([(1, i, 1, i) for i in range(100)])
    assert len(split(rows, NewestSplit(by="newest", valid=0.0, test=0.29), STREAM)["test"]) == 29


@pytest.mark.parametrize("config", [KINDS[1], KINDS[4], KINDS[5]], ids=str)
def test_splits_by_time_need_times(config: Split) -> None:
    rows = Interactions.of(np.array([1, 1, 1]), np.array([1, 2, 3]))
    with pytest.raises(DataError, match="column 'timestamp'"):
        split(rows, config, STREAM)


def test_ready_parts_stay_as_the_source_has_them() -> None:
    parts = {
        "train": table([(1, 1, 1, 1), (2, 1, 1, 1)]),
        "valid": table([(1, 2, 1, 2)]),
        "test": table([(1, 3, 1, 3)]),
    }
    whole = Interactions.concatenate(*parts.values())
    laid = split(whole, ReadySplit(by="ready"), STREAM, parts=parts)
    assert {name: rows.digest() for name, rows in laid.items()} == {n: p.digest() for n, p in parts.items()}
    # What was suppressed is in `parts` perhaps, in `whole` no more.
    laid = split(whole.take(whole.user_ids != 2), ReadySplit(by="ready"), STREAM, parts=parts)
    assert laid["train"].user_ids.tolist() == [1]


def test_a_row_that_is_ready_in_two_parts_is_for_learning() -> None:
    parts = {"train": table([(1, 1, 1, 1)]), "test": table([(1, 1, 1, 1), (1, 2, 1, 1)])}
    whole = deduplicate(Interactions.concatenate(*parts.values()), "latest")
    laid = split(whole, ReadySplit(by="ready", valid=0.0), STREAM, parts=parts)
    assert as_set(laid["train"]) == {(1, 1, 1, 1)}
    assert as_set(laid["test"]) == {(1, 2, 1, 1)}


def test_ready_faults_are_counted() -> None:
    rows = table([(1, 1, 1, 1), (1, 2, 1, 1)])
    with pytest.raises(DataError, match="needs a source with parts"):
        split(rows, ReadySplit(by="ready"), STREAM)
    with pytest.raises(DataError, match="1 rows are in no part"):
        split(rows, ReadySplit(by="ready"), STREAM, parts={"train": rows.take(np.array([0]))})


def test_deduplicate_keeps_the_latest_then_the_best_rated() -> None:
    rows = table([(1, 1, 5, 1), (1, 1, 2, 9), (1, 1, 3, 9), (1, 2, 1, 1), (2, 1, 1, 1)])
    assert as_set(deduplicate(rows, "latest")) == {(1, 1, 3, 9), (1, 2, 1, 1), (2, 1, 1, 1)}
    with pytest.raises(DataError, match="2 rows repeat one"):
        deduplicate(rows, "error")
    assert deduplicate(table([(1, 1, 1, 1)]), "error").user_ids.tolist() == [1]
    assert len(deduplicate(table([]), "error")) == 0


def test_pair_hash_has_no_structure_of_rows_and_columns() -> None:
    rows = table([(u, i, 1, 0) for u in range(50) for i in range(50)])
    hashes = pair_hash(rows, STREAM)
    assert len(np.unique(hashes)) == 2500
    grid = (hashes >> np.uint64(63)).reshape(50, 50).astype(int)
    # Were it additive, each row of bits would be one pattern or its complement.
    assert len({tuple(line) for line in grid}) == 50
    assert 2500 / 2 - 150 < grid.sum() < 2500 / 2 + 150


def test_a_repeated_pair_weighs_what_all_its_rows_do() -> None:
    users, items, times = np.array([1, 1, 1, 2]), np.array([5, 5, 6, 5]), np.array([3, 9, 4, 1])
    counted = deduplicate(Interactions.of(users, items, timestamps=times), "sum")
    assert counted.user_ids.tolist() == [1, 1, 2]
    assert counted.timestamps is not None
    assert counted.timestamps.tolist() == [9, 4, 1]
    assert counted.weights is not None
    assert counted.weights.tolist() == [2.0, 1.0, 1.0]
    weighed = Interactions.of(users, items, timestamps=times, weights=np.array([2.5, 4, 1, 7]))
    summed, latest = (deduplicate(weighed, rule).weights for rule in ("sum", "latest"))
    assert summed is not None
    assert summed.tolist() == [6.5, 1.0, 7.0]
    assert latest is not None
    assert latest.tolist() == [4.0, 1.0, 7.0]
    none = deduplicate(counted.take(np.zeros(3, dtype=bool)), "sum").weights
    assert none is not None
    assert len(none) == 0
