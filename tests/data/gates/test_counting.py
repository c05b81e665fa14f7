"""What is counted of blocks is what pandas and Great Expectations say of the whole table, on odd tables too."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lethe.config.dataset import Bounds, Dataset
from lethe.config.params import Validation
from lethe.config.source import SyntheticSource
from lethe.data.gates.counting import CopyCounts, TableCounts
from lethe.data.gates.engine import Engine, Rule
from lethe.data.gates.suites import validate_interactions
from lethe.errors import DataError
from lethe.tables.blocks import in_steps
from lethe.tables.interactions import Interactions

NAMES = ["user", "item", "context.place", "rating", "timestamp"]
KEYS = NAMES[:3]

Row = tuple[Any, ...]


def rows_of(ids: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Row]]:
    """Few values of each, so that rows share users, pairs and more; any may be missing."""
    ratings = st.sampled_from([None, float("nan"), -0.0, 0.0, 1.0, 2.5, 9.0])
    times = st.sampled_from([-(2**62), 0, 7, 2**62])
    return st.lists(st.tuples(ids, ids, st.sampled_from(["at home", "out"]), ratings, times), max_size=12)


NUMBERS = st.sampled_from([-(2**62), -1, 0, 1, 2, 2**62])
TEXTS = st.sampled_from(["", "a", "Z", "ß", "𝛼", "10", "9"])
TABLES = st.one_of(
    *(rows_of(ids) for ids in (NUMBERS, TEXTS, st.none() | st.sampled_from([1, 2]), st.none() | TEXTS)),
)


def is_text(rows: list[Row]) -> bool:
    return any(isinstance(value, str) for row in rows for value in row[:2])


def written(rows: list[Row], path: Path, like: list[Row]) -> Path:
    """Rows as a file, with the types of ``like``: none of this is let into a table of ours, all of it can be a file."""
    ids = pa.string() if is_text(like) else pa.int64()
    kinds = [ids, ids, pa.string(), pa.float32(), pa.int64()]
    columns = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(kinds)]
    pq.write_table(pa.table(dict(zip(NAMES, columns, strict=True))), path, row_group_size=5, store_schema=False)
    return path


def frame(path: Path) -> pd.DataFrame:
    return pd.DataFrame({name: column.to_numpy() for name, column in zip(NAMES, pq.read_table(path), strict=True)})


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row[0] is None, 0 if row[0] is None else row[0]))


@settings(deadline=None, max_examples=60)
@given(TABLES, st.booleans(), st.integers(1, 6))
@example([], True, 1)
def test_a_table_counts_as_in_pandas(rows: list[Row], ordered: bool, at_once: int) -> None:
    with TemporaryDirectory() as folder:
        path = written(in_order(rows) if ordered else rows, Path(folder) / "rows.parquet", rows)
        steps = in_steps(lambda block, _: TableCounts.of(block, 0.5, 5.0), path, at_once=at_once)
        table = frame(path)
    counts = reduce(add, steps)
    assert counts.rows == len(rows)
    assert {name: column.missing for name, column in counts.columns.items()} == table.isna().sum().to_dict()
    rated = table["rating"].dropna()
    assert counts.outside == int(((rated < 0.5) | (rated > 5)).sum())
    assert counts.repeated == int(table.duplicated(KEYS, keep=False).sum())


@st.composite
def laid_out(draw: st.DrawFn) -> tuple[list[Row], list[list[Row]]]:
    """Rows, and three parts that hold them but for a few faults; a user's rows may lie in all of them."""
    rows = draw(TABLES)
    places = draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    parts = [[row for row, place in zip(rows, places, strict=True) if place == part] for part in range(3)]
    stranger = "5" if is_text(rows) else 5
    for fault in draw(st.lists(st.sampled_from(["lost", "twice", "changed", "foreign", "in two parts"]), max_size=3)):
        part = parts[draw(st.integers(0, 2))]
        if fault == "foreign":
            part.append((stranger, stranger, "out", 1.0, 7))
        elif part and fault == "lost":
            part.pop()
        elif part and fault == "changed":
            part[-1] = (*part[-1][:3], 4.0, part[-1][4])
        elif part:
            (part if fault == "twice" else parts[0]).append(part[0])
    return rows, parts


@settings(deadline=None, max_examples=60)
@given(laid_out(), st.booleans(), st.integers(1, 6))
def test_copies_count_as_in_pandas(tables: tuple[list[Row], list[list[Row]]], ordered: bool, at_once: int) -> None:
    rows, parts = tables
    order = in_order if ordered else list
    with TemporaryDirectory() as folder:
        whole = written(order(rows), Path(folder) / "whole.parquet", rows)
        paths = [written(order(part), Path(folder) / f"{n}.parquet", rows) for n, part in enumerate(parts)]
        counts = reduce(add, in_steps(CopyCounts.of, whole, paths, at_once=at_once))
        held = in_steps(CopyCounts.of, Interactions.read(whole), [Interactions.read(path) for path in paths])
        labelled = [frame(path).assign(part=n, there=1) for n, path in enumerate(paths)]
        laid = pd.concat([*labelled, frame(whole).assign(there=-1)])
    excess = laid.groupby(NAMES, dropna=False)["there"].sum()
    parts_of = pd.concat(labelled).groupby(KEYS, dropna=False)["part"].nunique()
    counted = (counts.missing, counts.foreign, counts.spread)
    assert counted == ((excess < 0).sum(), (excess > 0).sum(), (parts_of > 1).sum())
    assert (counts.whole, counts.parts) == (len(rows), tuple(map(len, parts)))
    assert held == [counts]


def test_parts_of_other_columns_and_types_are_not_taken_for_the_rows() -> None:
    whole = Interactions.of(np.array([1, 2]), np.array([3, 4]), np.array([1.0, 2.0]), np.array([5, 6]))
    text = Interactions.of(np.array(["1", "2"]), np.array(["3", "4"]), whole.ratings, whole.timestamps)
    unrated = Interactions(whole.user_ids, whole.item_ids, None, whole.timestamps)
    finer = Interactions(whole.user_ids, whole.item_ids, whole.ratings, whole.timestamps, ticks=1000)
    for part in (text, unrated, finer):
        (counts,) = in_steps(CopyCounts.of, whole, [part])
        assert (counts.missing, counts.foreign, counts.spread) == (2, 2, 0)


def test_one_changed_value_among_many_is_counted() -> None:
    whole = Interactions.of(np.array([1, 2]), np.array([3, 4]), np.array([1.0, 2.0]), np.array([5, 6]))
    changed = Interactions.of(np.array([1, 2]), np.array([3, 4]), np.array([1.0, 3.0]), np.array([5, 6]))
    (counts,) = in_steps(CopyCounts.of, whole, [changed])
    assert (counts.missing, counts.foreign, counts.spread) == (1, 1, 0)


def test_ids_far_apart_in_many_columns_stay_apart() -> None:
    """Their codes, multiplied out, would be more than 64 bits hold: users 1 and 2 would be the same."""
    far = 2**30 - 1
    contexts = {"a": np.array([0, 0, far]), "b": np.array([0, 0, far])}
    rows = Interactions.of(np.array([1, 2, 3]), np.array([0, 0, 15]), contexts=contexts)
    (counts,) = in_steps(lambda block, _: TableCounts.of(block, None, None), rows)
    assert counts.repeated == 0


def test_a_user_who_comes_again_later_in_the_file_is_counted_together(tmp_path: Path) -> None:
    rows = [(user, 1, "out", 1.0, 7) for user in (2, 3, 2)]
    path = written(rows, tmp_path / "rows.parquet", rows)
    assert sum(counts.repeated for counts in in_steps(lambda b, _: TableCounts.of(b, 0, 5), path, at_once=1)) == 2


def test_numbers_in_one_file_and_text_in_another_are_never_equal(tmp_path: Path) -> None:
    numbers, texts = [(1, 1, "out", 1.0, 7)], [("1", "1", "out", 1.0, 7)]
    whole = written(numbers, tmp_path / "whole.parquet", numbers)
    part = written(texts, tmp_path / "part.parquet", texts)
    (counts,) = in_steps(CopyCounts.of, whole, [part])
    assert (counts.missing, counts.foreign) == (1, 1)


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    rows = [(user, 1, "out", 1.0, 7) for user in range(2000)]
    path = written(rows, tmp_path / "rows.parquet", rows)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"rows\.parquet: not a readable Parquet file"):
        in_steps(lambda block, _: 0, path)


def rules(table: pd.DataFrame) -> list[Rule]:
    """The rules over a frame of all rows, as Great Expectations itself would count them."""
    kinds = {"user": "int64", "item": "int64", "rating": "float32", "timestamp": "int64"}
    return [
        *(Rule("ExpectColumnValuesToNotBeNull", "have no missing values", name) for name in table),
        *(Rule("ExpectColumnValuesToBeOfType", "be", name, {"type_": kinds[name]}) for name in table),
        Rule("ExpectColumnValuesToBeBetween", "be between", "rating", {"min_value": 1.0, "max_value": 5.0}),
        Rule("ExpectCompoundColumnsToBeUnique", "be unique", "", {"column_list": ["user", "item"]}),
        Rule("ExpectTableRowCountToBeBetween", "have rows", "", {"min_value": 2, "max_value": 8}),
    ]


INT, FLOAT, NAN = np.int64, np.float32, float("nan")


@pytest.mark.parametrize(
    ("users", "items", "ratings"),
    [
        (np.array([1, 2, 3], INT), np.array([1, 1, 2], INT), np.array([1, 2, 5], FLOAT)),
        (np.array([1, 1, 1, 2], INT), np.array([7, 7, 7, 7], INT), np.array([1, 1, 2, 3], FLOAT)),
        (np.array([1, 2, 3], INT), np.array([1, 1, 2], INT), np.array([NAN, 9, 0.5], FLOAT)),
        (np.array([1, 2, 3], INT), np.array([1, 1, 2], INT), np.array([1, 2, 5], np.float64)),
        (np.array([1.0, NAN, NAN]), np.array([1, 1, 1], INT), np.array([1, 2, 5], FLOAT)),
        (np.array([NAN, NAN, 3.0]), np.array([NAN, NAN, 1.0]), np.array([1, 2, 5], FLOAT)),
        (np.array([], INT), np.array([], INT), np.array([], FLOAT)),
        (np.arange(9), np.arange(9), np.ones(9, FLOAT)),
    ],
    ids=["good", "repeated", "out of range", "another type", "no user", "no keys", "empty", "too many"],
)
def test_the_record_says_what_the_expectations_say(users: np.ndarray, items: np.ndarray, ratings: np.ndarray) -> None:
    rows = Interactions(users, items, ratings, np.arange(len(users), dtype=INT))
    table = pd.DataFrame(dict(rows.columns()))
    engine = Engine()
    expected = engine.judge("rows", table, rules(table))
    dataset = Dataset(source=SyntheticSource(kind="synthetic"), rating=Bounds(min=1, max=5))
    report = validate_interactions(rows, dataset, Validation(min_fraction=0.5, max_fraction=2.0), 4, engine=engine)
    assert [(c.expectation, c.column, c.failed, c.success) for c in report.checks] == [
        (c.expectation, c.column, c.failed, c.success) for c in expected.checks
    ]
    # Types and numbers of rows are said as Great Expectations says them.
    assert [c.rule.rpartition(", got ")[2] for c in report.checks if ", got " in c.rule] == [
        c.rule.rpartition(", got ")[2] for c in expected.checks if ", got " in c.rule
    ]
