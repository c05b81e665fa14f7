"""The digest of a column is that of its values in order, however many of them are the same and however they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lethe.errors import DataError
from lethe.tables import columns
from lethe.tables.columns import digest_columns, distinct, distinct_integers, from_arrow, read_parquet, to_arrow
from lethe.tables.interactions import Interactions

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
