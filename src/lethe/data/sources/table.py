"""Any CSV or Parquet file, by a mapping of its columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lethe.config.source import TableSource
from lethe.config.table import TableFormat
from lethe.data.sources.columns import LEAVE_OUT, cast, is_text, kind_of, must_be_whole, simple
from lethe.data.sources.files import digest, load
from lethe.data.sources.identifiers import plain, read_ids
from lethe.data.sources.place import Place
from lethe.data.sources.times import read_times
from lethe.errors import DataError
from lethe.tables.interactions import Interactions

ROLES = ("user", "item", "rating", "timestamp")


def read(path: Path, how: TableFormat) -> Interactions:
    """The mapped columns of a file. Raises DataError with file, column and rule where one is missing, empty in places,
    or of a wrong type."""
    return interactions(load_columns(path, how), path.name, how)


def read_source(source: TableSource, place: Place) -> Interactions:
    """All rows of a source that is one file."""
    return read(place.root / source.path, source)


def digest_source(source: TableSource, place: Place) -> str:
    """SHA-256 of the file's bytes."""
    return digest(place.root / source.path)


def load_columns(path: Path, how: TableFormat) -> pa.Table:
    """The mapped columns as the file has them, in no other order than its rows."""
    table = load(path, wanted(how), how)
    if table.num_rows == 0:
        raise DataError(f"{path.name}: it has no rows, at least 1 is needed")
    return where(table, path.name, how)


def wanted(how: TableFormat) -> list[str]:
    """Names of the columns that are read, each once."""
    mapped = [name for role in ROLES if (name := getattr(how.columns, role)) is not None]
    return list(dict.fromkeys([*mapped, *how.columns.context, *how.where]))


def where(table: pa.Table, file: str, how: TableFormat) -> pa.Table:
    """The rows whose columns have the values that ``how.where`` asks for."""
    for name, value in how.where.items():
        table = table.filter(_equals(simple(table[name]), value))
        if table.num_rows == 0:
            raise DataError(f"{file}: it has no rows where {name} is {value!r}, at least 1 is needed")
    return table


def _equals(column: pa.ChunkedArray, value: str) -> pa.ChunkedArray:
    """Whether each value is that one, as text or, where both are numbers, as a number."""
    text = pc.equal(pc.utf8_trim_whitespace(column.cast(pa.string())), value.strip())
    numbers, number = cast(column, pa.float64()), cast(pa.chunked_array([[value]]), pa.float64())
    same = text if numbers is None or number is None else pc.or_kleene(text, pc.equal(numbers, number[0]))
    return pc.fill_null(same, False)


def interactions(table: pa.Table, file: str, how: TableFormat) -> Interactions:
    """Rows of the columns that ``load_columns`` gave."""
    columns = how.columns

    def where(name: str) -> str:
        return f"{file}: column {name!r}"

    users, items = (
        read_ids(table[name], kind, where(name), role=role, thousands=how.thousands)
        for role, name, kind in (
            ("user", columns.user, how.ids),
            ("item", columns.item, how.item_ids or how.ids),
        )
    )
    ratings = times = None
    if columns.rating is not None:
        ratings = _rating(_whole(table[columns.rating], where(columns.rating)), how, where(columns.rating))
    if columns.timestamp is not None:
        times = read_times(_whole(table[columns.timestamp], where(columns.timestamp)), how, where(columns.timestamp))
    contexts = {name: _context(table[name], where(name)) for name in columns.context}
    return Interactions.of(users, items, ratings, times, contexts, how.ticks)


def _whole(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    column = simple(column)
    must_be_whole(column, where)
    return column


def _rating(column: pa.ChunkedArray, how: TableFormat, where: str) -> np.ndarray:
    numbers = None if pa.types.is_boolean(column.type) else cast(as_number(column, how), pa.float64())
    if numbers is None:
        hint = "give --decimal or --thousands, or --rating-column - where these are no figures"
        raise DataError(f"{where} must be numbers, got {kind_of(column)}{f'; {hint}' if is_text(column) else ''}")
    values = numbers.to_numpy()
    if bad := int((~np.isfinite(values)).sum()):
        raise DataError(f"{where}: {bad} values are missing or not finite; {LEAVE_OUT}")
    return values


def as_number(column: pa.ChunkedArray, how: TableFormat) -> pa.ChunkedArray:
    """Text of numbers as Arrow reads it: no thousands, a point before the decimals."""
    if not is_text(column):
        return column
    if how.thousands:
        column = pc.replace_substring(column, how.thousands, "")
    return pc.utf8_trim_whitespace(pc.replace_substring(column, how.decimal, "."))


def _context(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """[n] object: values as text, "missing" where there is none."""
    text = plain(column, where).cast(pa.string())
    filled = pc.if_else(pc.equal(pc.fill_null(text, ""), ""), "missing", text)
    return np.array(filled.to_pylist(), dtype=object)
