"""What the gates count of blocks of rows, exactly, each in one look; the counts of several blocks add up.

A value that is missing equals another one that is, and 0 equals -0, as in a table of pandas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lethe.tables.blocks import Block, Source, in_steps, length
from lethe.tables.columns import as_dictionary, from_arrow, holds_text
from lethe.tables.interactions import CONTEXT, idle

_CHUNK = 1 << 20
"""Bytes of two files that are compared at once."""
_WIDEST = 1 << 31
"""Codes below it can be multiplied within int64."""

Column: TypeAlias = np.ndarray | pa.ChunkedArray


@dataclass(frozen=True)
class Keys:
    """What names the rows of a table, and those of others one below the other, as numbers: equal where the keys are."""

    whole: np.ndarray
    parts: np.ndarray

    @classmethod
    def of(cls, whole: Block, parts: Sequence[Block]) -> Keys:
        own, theirs = np.split(_codes([whole, *parts], key_columns(whole)), [length(whole)])
        return cls(own, theirs)

    @cached_property
    def increase(self) -> bool:
        """Whether each row of the table comes after the one before, so that none is there twice."""
        return _increasing(self.whole)


@dataclass(frozen=True)
class ColumnCounts:
    """One column: its type, how many values are missing, and how many of an object column are not text."""

    dtype: np.dtype
    missing: int
    strange: int

    @classmethod
    def of(cls, column: Column) -> ColumnCounts:
        if isinstance(column, pa.ChunkedArray):
            return cls(np.dtype(object), column.null_count, 0)
        missing = _missing(column)
        strange = sum(not isinstance(value, str) for value in column[~missing]) if column.dtype == object else 0
        return cls(column.dtype, int(missing.sum()), strange)

    def __add__(self, other: ColumnCounts) -> ColumnCounts:
        kind = np.result_type(self.dtype, other.dtype)
        return ColumnCounts(kind, self.missing + other.missing, self.strange + other.strange)


@dataclass(frozen=True)
class TableCounts:
    """A table: its rows, its columns, ratings beyond the limits, rows whose keys stand there more than once, and
    weights that are not above 0 or not finite."""

    rows: int
    columns: Mapping[str, ColumnCounts]
    outside: int
    repeated: int
    idle: int = 0

    @classmethod
    def of(cls, block: Block, low: float | None, high: float | None, keys: Keys | None = None) -> TableCounts:
        """``keys``: those of the block and of others, where they are known."""
        columns = {name: ColumnCounts.of(column) for name, column in block.items()}
        outside = _outside(block["rating"], low, high) if "rating" in block else 0
        idle = _idle(block["weight"]) if "weight" in block else 0
        repeated = 0 if keys is not None and keys.increase else _repeated(block)
        return cls(length(block), columns, outside, repeated, idle)

    def __add__(self, other: TableCounts) -> TableCounts:
        columns = {name: counts + other.columns[name] for name, counts in self.columns.items()}
        repeated, idle = self.repeated + other.repeated, self.idle + other.idle
        return TableCounts(self.rows + other.rows, columns, self.outside + other.outside, repeated, idle)


@dataclass(frozen=True)
class CopyCounts:
    """A table and others that are to hold each of its rows once.

    whole    rows of the table
    parts    and of each of the others
    missing  distinct rows of the table that the others hold too seldom
    foreign  distinct rows of the others that the table has not, or less often
    spread   keys that stand in more than one of the others
    """

    whole: int
    parts: tuple[int, ...]
    missing: int
    foreign: int
    spread: int

    @classmethod
    def of(cls, whole: Block, parts: Sequence[Block], keys: Keys | None = None) -> CopyCounts:
        lengths = tuple(map(length, parts))
        keys = keys or Keys.of(whole, parts)
        own, theirs = keys.whole, keys.parts
        order = np.argsort(theirs, kind="stable")
        if keys.increase and np.array_equal(own, theirs[order]) and _same_values(whole, parts, order):
            return cls(len(own), lengths, 0, 0, 0)
        lines = np.unique(_codes([whole, *parts], list(whole)), return_inverse=True)[1]
        excess = np.bincount(lines, np.where(np.arange(len(lines)) < len(own), -1, 1))
        there = np.unique(theirs, return_inverse=True)[1] * len(parts) + np.repeat(np.arange(len(parts)), lengths)
        spread = np.bincount(np.unique(there) // max(1, len(parts)))
        return cls(len(own), lengths, int((excess < 0).sum()), int((excess > 0).sum()), int((spread > 1).sum()))

    def __add__(self, other: CopyCounts) -> CopyCounts:
        return CopyCounts(
            self.whole + other.whole,
            tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)),
            self.missing + other.missing,
            self.foreign + other.foreign,
            self.spread + other.spread,
        )


def copies_of(whole: Source, parts: Sequence[Source]) -> CopyCounts:
    """A table and others that are to hold each of its rows once. Raises DataError where a file can't be read."""
    if len(parts) == 1 and _same_bytes(whole, parts[0]):
        rows = pq.read_metadata(whole).num_rows
        return CopyCounts(rows, (rows,), 0, 0, 0)
    return reduce(add, in_steps(CopyCounts.of, whole, parts))


def _same_bytes(whole: Source, part: Source) -> bool:
    """Whether two files of Parquet are the same byte by byte, and so the same rows."""
    if not (isinstance(whole, Path) and isinstance(part, Path) and whole.is_file() and part.is_file()):
        return False
    with whole.open("rb") as file, part.open("rb") as other:
        while chunk := file.read(_CHUNK):
            if chunk != other.read(_CHUNK):
                return False
        return not other.read(1)


def key_columns(names: Iterable[str]) -> list[str]:
    """Those columns that together name a row: user, item and the contexts."""
    return [name for name in names if name in ("user", "item") or name.startswith(CONTEXT)]


def _outside(ratings: Column, low: float | None, high: float | None) -> int:
    if (low, high) == (None, None):
        return 0
    if isinstance(ratings, pa.ChunkedArray) or ratings.dtype.kind not in "biuf":
        return len(ratings)
    # What is missing lies on neither side.
    beyond = np.zeros(len(ratings), dtype=bool)
    for limit, breaks in ((low, np.less), (high, np.greater)):
        beyond |= False if limit is None else breaks(ratings, limit)
    return int(beyond.sum())


def _idle(weights: Column) -> int:
    return idle(weights) if isinstance(weights, np.ndarray) and _is_numeric(weights) else len(weights)


def _repeated(block: Block) -> int:
    """Rows that share their keys with another; those without any key don't count."""
    names = key_columns(block)
    keys = _codes([block], names)
    if _increasing(keys):
        return 0
    _, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
    named = ~np.all([_missing(block[name]) for name in names], axis=0)
    return int(((counts[places] > 1) & named).sum())


def _same_values(whole: Block, parts: Sequence[Block], order: np.ndarray) -> bool:
    """Whether the rows of the parts, put in an order, have the numbers of the whole beside equal keys."""
    for name in set(whole) - set(key_columns(whole)):
        columns = [whole[name], *(part[name] for part in parts if name in part)]
        if len(columns) <= len(parts) or not all(_is_numeric(column) for column in columns):
            return False
        own, theirs = columns[0], np.concatenate([columns[0][:0], *columns[1:]])[order]
        if not np.all((own == theirs) | ((own != own) & (theirs != theirs))):
            return False
    return True


def _codes(blocks: Sequence[Block], names: Sequence[str]) -> np.ndarray:
    """[rows of all blocks] int64: equal where all the named columns are; in the order of the columns, if it can be."""
    codes, width = np.zeros(sum(map(length, blocks)), dtype=np.int64), 1
    for name in names:
        values = _column_codes([block.get(name) for block in blocks], [length(block) for block in blocks])
        span = int(values.max(initial=0)) + 1
        if width >= _WIDEST:
            distinct, codes = np.unique(codes, return_inverse=True)
            width = len(distinct)
        codes, width = codes * span + values, width * span
    return codes


def _column_codes(columns: Sequence[Column | None], lengths: Sequence[int]) -> np.ndarray:
    """The values of one column of several blocks as numbers from 0 to 2^31."""
    arrays = [column for column in columns if isinstance(column, np.ndarray) and _is_numeric(column)]
    if len(arrays) == len(columns):
        numbers = np.concatenate(arrays)
        if numbers.dtype.kind not in "iu":
            return _factorized(numbers)
        if not len(numbers) or int(numbers.max()) - int(numbers.min()) >= _WIDEST:
            return np.unique(numbers, return_inverse=True)[1]
        return (numbers - numbers.min()).astype(np.int64)
    texts = [column for column in columns if column is not None and holds_text(column)]
    if len(texts) == len(columns):
        try:
            return _text_codes(texts)
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            pass  # An object column that holds something else too.
    return _factorized(np.concatenate([_objects(c, length) for c, length in zip(columns, lengths, strict=True)]))


def _text_codes(columns: Sequence[Column]) -> np.ndarray:
    # Dictionaries as they come: to make them anew of the rows costs more than what no row holds.
    chunks = [chunk for column in columns for chunk in _coded(column)]
    coded = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
    texts, places = coded.dictionary, coded.indices
    places = np.from_dlpack(places if not places.null_count else places.fill_null(-1)) + 1
    if len(texts) > 1 and not pc.all(pc.less(texts[:-1], texts[1:])).as_py():
        ranks = np.zeros(len(texts) + 1, dtype=np.int64)
        ranks[1 + np.asarray(pc.sort_indices(texts))] = np.arange(1, len(texts) + 1)
        return ranks[places]
    return places.astype(np.int64)


def _coded(column: Column) -> list[pa.DictionaryArray]:
    if isinstance(column, np.ndarray):
        return [as_dictionary(column)]
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return list(coded.chunks) or [as_dictionary(column)]


def _factorized(values: np.ndarray) -> np.ndarray:
    import pandas as pd

    return pd.factorize(values)[0].astype(np.int64) + 1


def _objects(column: Column | None, length: int) -> np.ndarray:
    if column is None:
        return np.full(length, None, dtype=object)
    return (from_arrow(column) if isinstance(column, pa.ChunkedArray) else column).astype(object)


def _missing(column: Column) -> np.ndarray:
    import pandas as pd

    if isinstance(column, pa.ChunkedArray):
        return column.is_null().to_numpy()
    return pd.isna(column) if column.dtype.kind in "OfmM" else np.zeros(len(column), dtype=bool)


def _is_numeric(column: Column) -> bool:
    return isinstance(column, np.ndarray) and column.dtype.kind in "biuf"


def _increasing(codes: np.ndarray) -> bool:
    return bool(np.all(codes[1:] > codes[:-1]))
