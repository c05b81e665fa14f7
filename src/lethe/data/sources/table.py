"""Any CSV or Parquet file, by a mapping of its columns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from lethe.config.dataset import TableFormat
from lethe.core.canonical import digest_file
from lethe.errors import DataError
from lethe.tables.interactions import Interactions


def read(path: Path, how: TableFormat) -> Interactions:
    """The mapped columns of a file: Parquet by its suffix (.parquet, .pq), anything else as CSV with a header.

    Raises DataError with file, column and rule where a column is missing, empty in places, or of a wrong type.
    """
    roles = ("user", "item", "rating", "timestamp")
    wanted = {role: name for role in roles if (name := getattr(how.columns, role)) is not None}
    table = load(path, list(dict.fromkeys([*wanted.values(), *how.columns.context])), how.separator)
    if table.num_rows == 0:
        raise DataError(f"{path.name}: it has no rows, at least 1 is needed")
    columns = {role: table[name] for role, name in wanted.items()}
    for role, column in columns.items():
        missing = column.null_count + (pc.sum(pc.equal(column, "")).as_py() or 0 if _is_text(column) else 0)
        if missing:
            raise DataError(f"{path.name}: column {wanted[role]!r} must have no empty values, {missing} are empty")
    try:
        return Interactions.of(
            read_ids(columns["user"], how.ids, f"{path.name}: column {wanted['user']!r}"),
            read_ids(columns["item"], how.ids, f"{path.name}: column {wanted['item']!r}"),
            _rating(columns["rating"], f"{path.name}: column {wanted['rating']!r}") if "rating" in columns else None,
            _time(columns["timestamp"], how.timestamp_unit, f"{path.name}: column {wanted['timestamp']!r}")
            if "timestamp" in columns
            else None,
            {name: _context(table[name], f"{path.name}: column {name!r}") for name in how.columns.context},
        )
    except DataError as error:
        # Interactions knows the roles of columns, not the file they came from.
        text = str(error)
        raise error if text.startswith(path.name) else DataError(f"{path.name}: {text}") from None


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    _must_be_file(path)
    return digest_file(path)


def _must_be_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name}: the file is empty, at least a header and 1 row are needed")


def load(path: Path, names: list[str], separator: str) -> pa.Table:
    """The named columns of a file; of CSV all as text. Raises DataError with file, column and rule."""
    _must_be_file(path)
    parquet = path.suffix in (".parquet", ".pq")
    parsing = pa.csv.ParseOptions(delimiter=separator)
    try:
        if parquet:
            present = pq.read_schema(path).names
        else:
            with pa.csv.open_csv(path, parse_options=parsing) as reader:
                present = reader.schema.names
        for name in names:
            if name not in present:
                raise DataError(f"{path.name}: column {name!r} is missing, it has {', '.join(present)}")
        if parquet:
            return pq.read_table(path, columns=names)
        # Everything as text: what a column is must not hang on its first rows.
        types = dict.fromkeys(names, pa.string())
        options = pa.csv.ConvertOptions(
            include_columns=names, column_types=types, strings_can_be_null=True, null_values=[""]
        )
        return pa.csv.read_csv(path, parse_options=parsing, convert_options=options)
    except pa.ArrowInvalid as error:
        # Arrow's own text would quote the row.
        width = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
        rule = f"a row has {width[2]} columns, must be {width[1]}" if width else "it is not readable"
        kind = "Parquet" if parquet else f"CSV with separator {separator!r}"
        raise DataError(f"{path.name}: as {kind}, {rule}") from None


def _is_text(column: pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


def read_ids(column: pa.ChunkedArray, ids: str, where: str) -> np.ndarray:
    """[n] int64, or an object array of str; ``ids`` as in ``TableFormat``. A DataError opens with ``where``."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not _is_text(column) and not pa.types.is_integer(column.type) and not pa.types.is_floating(column.type):
        raise DataError(f"{where} must be integers or text, got {column.type}")
    if ids == "text" or (ids == "auto" and _is_text(column) and not _all_integers(column)):
        return np.array(column.cast(pa.string()).to_pylist(), dtype=object)
    numbers = _cast(column, pa.int64())
    if numbers is None:
        hint = "; set the source's ids to text" if _is_text(column) else ""
        raise DataError(f"{where} must be integers, got {_name(column)}{hint}")
    return numbers.to_numpy()


def _context(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """[n] object: values as text, "missing" where there is none."""
    text = _cast(column, pa.string())
    if text is None:
        raise DataError(f"{where} must be integers or text, got {column.type}")
    filled = pc.if_else(pc.equal(pc.fill_null(text, ""), ""), "missing", text)
    return np.array(filled.to_pylist(), dtype=object)


def _all_integers(column: pa.ChunkedArray) -> bool:
    # "007" and "7" are two ids: only what an integer is written as counts as one.
    numbers = _cast(column, pa.int64())
    return numbers is not None and pc.all(pc.equal(numbers.cast(pa.string()), column.cast(pa.string()))).as_py()


def _rating(column: pa.ChunkedArray, where: str) -> np.ndarray:
    numbers = None if pa.types.is_boolean(column.type) else _cast(column, pa.float64())
    if numbers is None:
        raise DataError(f"{where} must be numbers, got {_name(column)}")
    return numbers.to_numpy()


def _time(column: pa.ChunkedArray, unit: str, where: str) -> np.ndarray:
    """[n] int64: seconds since 1970, or positions; dates and times are taken as UTC."""
    if unit != "position" and (
        pa.types.is_temporal(column.type) or (_is_text(column) and _cast(column, pa.float64()) is None)
    ):
        moments = _cast(column, pa.timestamp("s"))
        return _number_or_fail(moments, column, where).cast(pa.int64()).to_numpy()
    numbers = None if pa.types.is_boolean(column.type) else _cast(column, pa.int64()) or _cast(column, pa.float64())
    found = _number_or_fail(numbers, column, where).to_numpy()
    return found // 1000 if unit == "ms" else found


def _number_or_fail(numbers: Any, column: pa.ChunkedArray, where: str) -> Any:
    if numbers is None:
        raise DataError(f"{where} must be numbers or times, got {_name(column)}")
    return numbers


def _name(column: pa.ChunkedArray) -> str:
    return "text" if _is_text(column) else str(column.type)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> Any:
    """The column in another type, or None where a value doesn't fit."""
    try:
        # A time between two seconds is cut; a number between two integers is not an integer.
        return column.cast(kind, safe=not pa.types.is_timestamp(column.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
