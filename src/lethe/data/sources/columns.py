"""Columns as files have them, of whatever type, in the few forms that the readers know: text, numbers, times."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from lethe.errors import DataError

LEAVE_OUT = "leave those rows out of the source, or do without the column ('-' for its name)"
MISSING = (
    r"(?i)^(nan|<na>|n/?a|#n/?a|#(null|value|ref|name|num|div/0)[!?]|null|none|nil|undefined|missing|nat"
    r"|0000-00-00( 00:00:00)?|\\n|-|\?)$"
)
"""How tools write a value that is not there."""
EXPONENT = r"^[+-]?[0-9]+([.,][0-9]*)?[eE][+-]?[0-9]+$"
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


def simple(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Categories by their values, and text of any kind (bytes too, in UTF-8) as text; all else as it is."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if any(of(kind) for of in _TEXTS):
        return column.cast(pa.string())
    if any(of(kind) for of in _BYTES):
        text = cast(column, pa.string())
        return column if text is None else text
    return column


def is_bytes(column: pa.ChunkedArray) -> bool:
    return any(of(column.type) for of in _BYTES)


def is_text(column: pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


def empty(column: pa.ChunkedArray) -> int:
    """How many values are missing: null, not a number, empty or blank text."""
    missing = column.null_count
    if is_text(column):
        missing += pc.sum(pc.equal(pc.utf8_trim_whitespace(column), "")).as_py() or 0
    elif pa.types.is_floating(column.type):
        missing += pc.sum(pc.is_nan(column)).as_py() or 0
    return int(missing)


def must_be_whole(column: pa.ChunkedArray, where: str) -> None:
    """Raises DataError where values are missing."""
    if missing := empty(column):
        raise DataError(f"{where} must have no empty values, {missing} are empty; {LEAVE_OUT}")


def refuse_missing_words(column: pa.ChunkedArray, where: str) -> None:
    """Raises DataError where values of a column of numbers or times are written as missing."""
    if missing := count_like(column, MISSING):
        raise DataError(
            f"{where} must have no empty values, {missing} are written as nan, NULL or the like; {LEAVE_OUT}"
        )


def cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """The column in another type, or None where a value doesn't fit."""
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def without_thousands(column: pa.ChunkedArray, mark: str) -> pa.ChunkedArray:
    """Text of numbers without what stands between their thousands; a blank may be one that breaks no line."""
    if mark == " ":
        return pc.replace_substring_regex(column, r"[ \x{a0}\x{202f}]", "")
    return pc.replace_substring(column, mark, "") if mark else column


def kind_of(column: pa.ChunkedArray) -> str:
    """The column's type in the words of an error."""
    return "text" if is_text(column) else str(column.type)


def count_like(column: pa.ChunkedArray, pattern: str) -> int:
    """How many values of a column of text match."""
    return int(pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0)
