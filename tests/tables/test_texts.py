"""A coded column of text is to everybody what an array of its texts is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.core.random import keyed_hash
from lethe.errors import DataError
from lethe.tables.columns import digest_columns, distinct, hashed, to_arrow
from lethe.tables.ids import Ids, among, canonical_ids, id_fault, near, same_id
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Texts, concatenated

# Two letters beyond the first plane, whose order in UTF-16 would be another.
IDS = st.sampled_from(["a", "b", "B", "é", "\uffee", "\U0001f600", "10", "9", "x y", "\x1c", " ", "", "a\0b"])
COLUMNS = st.lists(IDS, max_size=12)


def texts(values: list[str]) -> Texts:
    return Texts.of(pa.array(values, pa.string()))


def objects(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=object)


@settings(deadline=None)
@given(COLUMNS, st.data())
def test_looks_like_an_array_of_its_texts(values: list[str], data: st.DataObject) -> None:
    column, plain = texts(values), objects(values)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), dtype=bool)
    for some, array in (
        (column, plain),
        (column[mask], plain[mask]),
        (column[1:], plain[1:]),
        (column[::-1], plain[::-1]),
    ):
        assert some.tolist() == list(some) == np.asarray(some).tolist() == array.tolist()
        assert [some[place] for place in range(len(some))] == array.tolist()
        assert to_arrow(some).equals(to_arrow(array))
        assert pa.array(some).equals(pa.array(array, pa.string()))
        assert (some == "a").tolist() == (array == "a").tolist()
        assert (some[1:] != some[:-1]).tolist() == (array[1:] != array[:-1]).tolist()
        assert (some == array).all()
        assert digest_columns([("id", some)]) == digest_columns([("id", array)])


@settings(deadline=None)
@given(COLUMNS, COLUMNS, st.sets(IDS))
def test_is_counted_ordered_hashed_and_found_like_one(values: list[str], others: list[str], ids: set[str]) -> None:
    column = texts(values + others)[: len(values)]
    plain = objects(values)
    for own, array in zip(distinct(column), np.unique(plain, return_inverse=True), strict=True):
        assert own.tolist() == array.tolist()
    assert column.compact().values.to_pylist() == sorted(set(values))
    assert hashed(column, 7, "user").tolist() == [int(keyed_hash(objects([v]), 7, "user")[0]) for v in values]
    assert Ids.of(column, objects(others)).values.tolist() == sorted({*values, *others})
    assert concatenated([column, texts(others)]).tolist() == values + others
    assert Ids(objects(sorted(ids))).encode(column).tolist() == Ids(objects(sorted(ids))).encode(plain).tolist()
    assert Ids(np.arange(8, 12)).encode(column).tolist() == Ids(np.arange(8, 12)).encode(plain).tolist()
    assert among(column, ids).tolist() == [value in ids for value in values]
    assert same_id(column, "9").tolist() == [value == "9" for value in values]
    assert near(column, "b") == len({"B"} & set(values))


@settings(deadline=None)
@given(COLUMNS)
def test_is_refused_as_ids_for_what_an_array_is_refused_for(values: list[str]) -> None:
    column = texts([*values, "one that no row has\0"])[: len(values)]
    if not any(map(id_fault, values)):
        assert canonical_ids("user", column).tolist() == canonical_ids("user", objects(values)).tolist()
        return
    with pytest.raises(DataError) as of_array:
        canonical_ids("user", objects(values))
    with pytest.raises(DataError) as of_texts:
        canonical_ids("user", column)
    assert str(of_texts.value) == str(of_array.value)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 3)), min_size=1, max_size=20))
def test_rows_come_into_the_same_order(rows: list[tuple[str, str, int]]) -> None:
    users, items, times = ([*column] for column in zip(*rows, strict=True))
    plain = Interactions.of(objects(users), objects(items), None, np.array(times))
    coded = Interactions.of(texts(users), texts(items), None, np.array(times))
    assert coded.digest() == plain.digest()
    half = len(rows) // 2
    parts = Interactions.concatenate(coded.take(np.arange(half)), coded.take(np.arange(half, len(rows))))
    assert parts.digest() == plain.digest()
