"""The digest of a column is that of its values in order, however many of them are the same and however they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lethe.core.random import keyed_hash
from lethe.errors import DataError
from lethe.tables import columns
from lethe.tables.columns import (
    coded_in,
    digest_columns,
    distinct,
    distinct_integers,
    from_arrow,
    hashed,
    read_parquet,
    to_arrow,
    write_parquet,
)
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Texts

TEXTS = np.array(["b", "", "a", "b", "é", "人", "a", "ab", "b"], dtype=object)


def by_definition(name: str, texts: np.ndarray) -> str:
    content = f"{name}:str:{len(texts)};".encode()
    for text in texts:
        content += len(text.encode()).to_bytes(4, "little") + text.encode()
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:0], TEXTS[:1]], ids=["some", "none", "one"])
def test_the_digest_of_text_is_that_of_each_behind_its_length(
    texts: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = by_definition("user", texts)
    monkeypatch.setattr(columns, "_AT_ONCE", 2)
    chunked = pa.chunked_array([to_arrow(texts[:3]), to_arrow(texts[3:])])
    for column in (texts, chunked, chunked.dictionary_encode()):
        assert digest_columns([("user", column)]) == expected


def test_a_table_has_the_digest_of_its_interactions() -> None:
    ids = TEXTS + "x"
    rows = Interactions.of(ids, ids[::-1], np.arange(9.0), np.arange(9), {"where": ids}, ticks=1000)
    table = pa.table({name: to_arrow(column) for name, column in rows.columns()})
    assert Interactions.digest_of(table) == Interactions.of_table(table).digest() == rows.digest()


@pytest.mark.parametrize("column", [TEXTS, TEXTS[:0], np.array([3, -1, 3, 2])], ids=["text", "none", "numbers"])
def test_distinct_values_are_sorted_and_give_the_column_again(column: np.ndarray) -> None:
    values, places = distinct(column)
    assert values.tolist() == sorted(set(column.tolist()))
    assert values[places].tolist() == column.tolist()


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [7],
        [5, 5, 4, 4, 5, 6],
        [-3, 2, -3, 0],
        [2**63 - 1, -(2**63), 0, 0],
        [2**63 - 1, 2**63 - 2],
        [-(2**63), 1 - 2**63],
    ],
    ids=["none", "one", "runs", "negative", "far apart", "the most", "the least"],
)
def test_distinct_integers_are_those_that_numpy_tells(numbers: list[int]) -> None:
    column = np.array(numbers, dtype=np.int64)
    told = distinct_integers(column)
    assert told.dtype == column.dtype
    assert told.tolist() == np.unique(column).tolist()


def test_text_with_gaps_keeps_them() -> None:
    assert from_arrow(pa.chunked_array([["a", None, "a"]])).tolist() == ["a", None, "a"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_damaged_table_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet: not a readable Parquet file"):
        read_parquet(tmp_path / "t.parquet")


ROWS = 300_000
LONG = "an id of forty bytes, as many a source has"


def long_ids(count: int) -> pa.Array:
    return pa.array([f"{LONG}{number % count}" for number in range(ROWS)])


def by_itself(table: pa.Table, path: Path) -> bytes:
    """What Parquet's writer makes of a table where it is told nothing of dictionaries."""
    with pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=3, store_schema=False) as writer:
        writer.write_table(table, row_group_size=columns.ROW_GROUP)
    return path.read_bytes()


def test_text_that_recurs_is_in_a_file_once(tmp_path: Path) -> None:
    table = pa.table({"item": long_ids(60_000), "timestamp": pa.array(range(ROWS))})
    write_parquet(table, tmp_path / "rows.parquet")
    by_itself(table, tmp_path / "other.parquet")
    item, times = (pq.read_metadata(tmp_path / "rows.parquet").row_group(0).column(place) for place in (0, 1))
    spelled = pq.read_metadata(tmp_path / "other.parquet").row_group(0).column(0)
    assert 2 * item.total_uncompressed_size < spelled.total_uncompressed_size
    assert (item.has_dictionary_page, times.has_dictionary_page) == (True, False)
    assert read_parquet(tmp_path / "rows.parquet").equals(table)


@pytest.mark.parametrize("what", ["numbers", "small text", "text that does not recur", "nothing"])
def test_any_other_table_has_the_bytes_that_parquet_gives_it(what: str, tmp_path: Path) -> None:
    made = {
        "numbers": {"item": pa.array(range(ROWS)), "timestamp": pa.array(range(ROWS))},
        "small text": {"item": long_ids(5_000), "timestamp": pa.array(range(ROWS))},
        "text that does not recur": {"id": long_ids(ROWS)},
        "nothing": {"id": pa.array([], pa.string())},
    }
    table = pa.table(made[what])
    write_parquet(table, tmp_path / "rows.parquet")
    assert (tmp_path / "rows.parquet").read_bytes() == by_itself(table, tmp_path / "other.parquet")


def test_columns_are_read_as_they_are_held(tmp_path: Path) -> None:
    table = pa.table({"user": ["a", "b"], "item": ["c", "d"], "rating": [1, 2]})
    pq.write_table(table, tmp_path / "rows.parquet", use_dictionary=["item", "rating"])
    with pq.ParquetFile(tmp_path / "rows.parquet") as file:
        assert coded_in(file, table.column_names) == ["item"]


def test_text_is_hashed_alike_whatever_else_is_among_its_values() -> None:
    texts = Texts(np.array([2, 0, 2, 3], dtype=np.int32), pa.array(["b", "no row has it", "a", "é"]))
    assert np.array_equal(hashed(texts, 7, "key"), keyed_hash(np.array(["a", "b", "a", "é"], dtype=object), 7, "key"))
