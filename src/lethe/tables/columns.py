"""Columns of numbers or text: their digest, and Parquet whose bytes are a function of the content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.core.files import temporary_beside
from lethe.core.random import Name, hash_of_each, keyed_hash
from lethe.errors import DataError
from lethe.tables.texts import Column, Texts

_AT_ONCE = 1 << 20
"""Rows of text that are laid out together."""

_NOTHING = pa.Array.from_buffers(pa.large_binary(), 1, [None, pa.py_buffer(bytes(16)), pa.py_buffer(b"")])[0]
"""No bytes, made of buffers: for a value of Python pyarrow asks pandas, which takes a while to load."""

_SPREAD = 8
"""Integers lie close together where between the least and the most there is room for this many times as many."""

ROW_GROUP = 1 << 20
"""Rows of a file that Parquet lays out together; the bytes of every table hang on it."""

_SMALL, _LARGE = 1 << 20, 1 << 23
"""Bytes of a column's distinct values in a row group, above which Parquet spells the rest of its rows out: what it does
by itself, and what it is told where there is much text (``_dictionaries``)."""

_LOOKED_AT = 1 << 18
"""Rows by which is told whether the values of a column recur."""


def digest_columns(columns: Iterable[tuple[str, Column | pa.ChunkedArray]]) -> str:
    """SHA-256 of names, types and values of columns of numbers or (object) text; as Arrow has them, the same."""
    return digest_pieces((name, len(column), [column]) for name, column in columns)


def digest_pieces(columns: Iterable[tuple[str, int, Iterable[Column | pa.ChunkedArray]]]) -> str:
    """``digest_columns`` of columns that come in pieces, at least one: each with its name and its length in all."""
    state = hashlib.sha256()
    for name, count, pieces in columns:
        for place, column in enumerate(pieces):
            text = holds_text(column)
            numbers = from_arrow(column) if not text and isinstance(column, pa.ChunkedArray) else column
            if not place:
                state.update(f"{name}:{'str' if text else numbers.dtype.name}:{count};".encode())
            if text:
                for start in range(0, len(column), _AT_ONCE):
                    state.update(_framed(column[start : start + _AT_ONCE]))
            else:
                state.update(np.ascontiguousarray(np.asarray(numbers)).data)
    return state.hexdigest()


def _framed(texts: Column | pa.ChunkedArray) -> pa.Buffer:
    """The bytes of texts in order, each behind its length in four bytes. Distinct ones are framed, and laid out in
    order by Arrow: a table has ten times more rows than ids."""
    import pyarrow.compute as pc  # Not at the top: it takes as long to import as a request takes to be counted.

    coded = as_dictionary(texts)
    distinct = coded.dictionary.cast(pa.large_binary())
    lengths = pc.binary_length(distinct).cast(pa.uint32()).view(pa.binary(4)).cast(pa.large_binary())
    laid = pc.binary_join_element_wise(lengths, distinct, _NOTHING).take(coded.indices)
    return laid.buffers()[2].slice(0, int(np.frombuffer(laid.buffers()[1], dtype=np.int64)[len(laid)]))


def as_dictionary(texts: Column | pa.ChunkedArray) -> pa.DictionaryArray:
    """Texts as places among the distinct ones."""
    if isinstance(texts, Texts):
        return texts.coded()
    column = pa.array(texts.tolist(), pa.string()) if isinstance(texts, np.ndarray) else texts
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.unify_dictionaries().combine_chunks()
    # A slice of a column keeps all of its dictionary.
    return coded.dictionary_decode().dictionary_encode() if len(coded.dictionary) > len(coded) else coded


def holds_text(column: Column | pa.ChunkedArray) -> bool:
    return is_text(column.type) if isinstance(column, pa.ChunkedArray) else column.dtype == object


def is_text(kind: pa.DataType) -> bool:
    """Whether Arrow has text in columns of a type, spelled out or as places among the distinct ones."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


class ParquetWriter:
    """Writes a table piece by piece: byte-stably (fixed codec, no metadata, one writer) and atomically.

    The bytes are a function of the rows, however they were cut. As many are held as Parquet lays out together. After a
    fault inside of the ``with`` nothing is there.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._temporary = path, temporary_beside(path)
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pa.Table] = []
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Append rows; all tables have the same columns."""
        self._held.append(table.replace_schema_metadata(None))
        before, self.rows = self.rows // ROW_GROUP, self.rows + len(table)
        for _ in range(self.rows // ROW_GROUP - before):
            self._lay(ROW_GROUP)

    def _lay(self, rows: int) -> None:
        # In one piece: where the pieces of a column end, its pages might too.
        table = pa.concat_tables(self._held)
        group = table.slice(0, rows).combine_chunks()
        if self._writer is None:
            how = {"compression": "zstd", "compression_level": 3, "store_schema": False, **_dictionaries(group)}
            self._writer = pq.ParquetWriter(self._temporary, table.schema, **how)
        self._writer.write_table(group, row_group_size=ROW_GROUP)
        self._held = [table.slice(rows)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._held:
            return
        try:
            if kind is None and (self.rows % ROW_GROUP or not self.rows):
                self._lay(ROW_GROUP)
            if self._writer is not None:
                self._writer.close()
            if kind is None:
                os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _dictionaries(rows: pa.Table) -> dict[str, Any]:
    """How Parquet is to hold distinct values, by the first rows of a table: by itself, unless they hold text that
    recurs and is more than a small dictionary takes.

    Such text, spelled out, would be hashed anew row by row by whoever reads it. A large dictionary is in vain, and
    costs bytes and time, for columns whose values hardly recur: these have none.
    """
    first = rows.slice(0, _LOOKED_AT)
    distinct = {name: first[name].unique() for name in rows.column_names if is_text(rows[name].type)}
    share = max(1, len(first)) / max(1, len(rows))
    if not any(2 * len(some) <= len(first) and some.nbytes > _SMALL * share for some in distinct.values()):
        return {}
    distinct |= {name: first[name].unique() for name in rows.column_names if name not in distinct}
    kept = [name for name, some in distinct.items() if some.nbytes <= _SMALL or 2 * len(some) <= len(first)]
    return {"dictionary_pagesize_limit": _LARGE, "use_dictionary": kept}


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a whole table; see ``ParquetWriter``."""
    with ParquetWriter(path) as writer:
        writer.write(table)


def to_arrow(column: Column) -> pa.Array:
    """A column of numbers, or of text ids."""
    if isinstance(column, Texts):
        return column.spelled()
    return pa.array(column, pa.string() if column.dtype == object else None)


def column_of(column: pa.ChunkedArray) -> Column:
    """As ``from_arrow``, but that text stays coded."""
    return Texts.of(column) if holds_text(column) and not column.null_count else from_arrow(column)


def from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    if holds_text(column):
        if column.null_count:
            return np.array(column.to_pylist(), dtype=object)
        # An id that stands in a million rows is one object.
        return Texts.of(column).objects
    if column.null_count or not column.num_chunks or not pa.types.is_primitive(column.type):
        return column.to_numpy()
    # The same without pandas, which to_numpy and asarray import: a quarter of a second of every command.
    return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])


def coded_in(file: pq.ParquetFile, names: Iterable[str]) -> list[str]:
    """Those of a file's columns of text that are to be read as they are held: as places among distinct values. What is
    spelled out in the file is sooner told apart once it is read."""
    about = [file.metadata.row_group(group).to_dict()["columns"] for group in range(file.num_row_groups)]
    coded = {column["path_in_schema"] for columns in about for column in columns if column["has_dictionary_page"]}
    texts = [name for name in names if is_text(file.schema_arrow.field(name).type)]
    return [name for name in texts if not about or name in coded]


def read_parquet(path: Path | BinaryIO) -> pa.Table:
    """A whole file; without pyarrow's datasets, which import pandas too. Raises DataError for one that is damaged."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read()
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        if not isinstance(path, Path):
            raise
        raise DataError(f"{path}: not a readable Parquet file ({type(error).__name__})") from None


def pieces_of(path: Path, rows: int) -> Iterator[pa.Table]:
    """A file, so many rows at a time; at least once, though there be none. Raises DataError for one that is damaged."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield file.schema_arrow.empty_table()
            for batch in file.iter_batches(rows):
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({type(error).__name__})") from None


def distinct(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values of a column of numbers or text, sorted; and for each row [n] int64 which of them it holds."""
    if column.dtype != object:
        return np.unique(np.asarray(column), return_inverse=True)
    # Sorting what is distinct, and hashing the rest, is many times faster than sorting all.
    texts = ranked(column)
    return np.array(texts.values.to_pylist(), dtype=object), texts.codes.astype(np.int64)


def distinct_integers(numbers: np.ndarray) -> np.ndarray:
    """The distinct ones of integers [n], sorted, as ``np.unique`` gives them, which takes ten times as long."""
    # Ids mostly stand in runs, or lie close together.
    first = np.ones(len(numbers), dtype=bool)
    np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
    numbers = numbers[first]
    if not len(numbers):
        return numbers
    least, most = int(numbers.min()), int(numbers.max())
    if most - least > _SPREAD * len(numbers):
        return np.unique(numbers)
    there = np.zeros(most - least + 1, dtype=bool)
    there[numbers - least] = True
    return np.flatnonzero(there).astype(numbers.dtype, copy=False) + numbers.dtype.type(least)


def ranked(column: Column) -> Texts:
    """A column of text with its distinct values sorted, so that its codes have their order."""
    texts = column if isinstance(column, Texts) else Texts.of(pa.array(column.tolist(), pa.string()))
    return texts.compact()


def sortable(column: Column) -> np.ndarray:
    """Integers [n] in the order of the column's values."""
    return ranked(column).codes.astype(np.int64) if holds_text(column) else np.asarray(column)


def hashed(column: Column, *key: Name) -> np.ndarray:
    """``keyed_hash`` of each row, [n] uint64; of text, what is distinct is hashed."""
    if not isinstance(column, Texts):
        return keyed_hash(column, *key)
    texts = column.used()
    return hash_of_each(texts.values.cast(pa.binary()).to_pylist(), *key)[texts.codes]
