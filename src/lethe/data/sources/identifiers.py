"""Columns of ids: of whatever type, by the one rule of ``lethe.tables.ids``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lethe.config.table import Kind
from lethe.data.sources.columns import cast, count_like, empty, is_bytes, is_text, simple, without_thousands
from lethe.errors import DataError
from lethe.tables.ids import EXACT, fault_among
from lethe.tables.texts import Column, Texts

INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"
WHOLE = r"^(0|-?[1-9][0-9]{0,18})(\.0*)?$"
"""An integer, or one that a table of floating-point numbers wrote."""


def read_ids(column: pa.ChunkedArray, kind: Kind, where: str, *, role: str = "id", thousands: str = "") -> Column:
    """[n] int64, or text; ``kind`` as in ``TableFormat``.

    Raises DataError, which opens with ``where``, for missing ids and what can be no id.
    """
    texts = _coded(column)
    if texts is None:
        column = plain(column, where)
        texts = Texts.of(column.drop_null()) if is_text(column) else None
    if missing := empty(column) if texts is None else column.null_count + _blank(texts):
        raise DataError(
            f"{where} must have no empty values; row count with an empty {role}: {missing}; leave those rows out of the"
            " source"
        )
    if texts is not None:
        if thousands:
            texts = Texts.of(without_thousands(texts.spelled(), thousands))
        if fault := fault_among(texts):
            raise DataError(f"{where}: an id {fault[0]}; row count with such: {fault[1]}")
        return _of_text(texts, kind, where)
    return _of_numbers(column, kind, where)


def _coded(column: pa.ChunkedArray) -> Texts | None:
    """A column of text that comes as places among its distinct values, all of them there."""
    kind = column.type
    if not pa.types.is_dictionary(kind) or not pa.types.is_string(kind.value_type) or not len(column):
        return None
    if column.null_count or any(chunk.dictionary.null_count for chunk in column.chunks):
        return None
    # Without what only rows hold that were left out.
    return Texts.of(column).compact()


def plain(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """The column as text or numbers: categories by their values, bytes as UTF-8, decimals as text."""
    column = simple(column)
    kind = column.type
    if is_text(column):
        return column
    if is_bytes(column):
        raise DataError(f"{where}: its bytes are no text in UTF-8; write them as text (hexadecimal, say)")
    if pa.types.is_fixed_size_binary(kind):
        raise DataError(f"{where} must be integers or text, got {kind}; write it as text (hexadecimal, say)")
    if pa.types.is_decimal(kind):
        return pc.replace_substring_regex(column.cast(pa.string()), r"\.0+$", "")
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_nested(kind):
        raise DataError(f"{where} must be integers or text, got {kind}; make its parts columns or rows of their own")
    if not pa.types.is_integer(kind) and not pa.types.is_floating(kind):
        raise DataError(f"{where} must be integers or text, got {kind}; give another column, or write it so")
    return column


def _of_text(texts: Texts, kind: Kind, where: str) -> Column:
    if kind == "text":
        return texts
    # What is distinct is looked at: there is ten times less of it.
    values = pa.chunked_array([texts.values])
    numbers = whole_numbers(values)
    if numbers is not None:
        return np.asarray(numbers[texts.codes])
    if kind == "integer":
        whole = pc.match_substring_regex(texts.values, WHOLE).to_numpy(zero_copy_only=False)
        others = int((~whole[texts.codes]).sum())
        rule = f"{others} are not" if others else "some are beyond 64 bits"
        raise DataError(f"{where} must be integers, {rule}; set the source's ids to text (--ids text)")
    return texts


def _blank(texts: Texts) -> int:
    """How many rows are empty or blank."""
    blank = pc.equal(pc.utf8_trim_whitespace(texts.values), "").to_numpy(zero_copy_only=False)
    return int(blank[texts.codes].sum()) if blank.any() else 0


def whole_numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """[n] int64 of text that is an integer throughout, or None."""
    if count_like(column, WHOLE) < len(column):
        return None
    numbers = cast(pc.replace_substring_regex(column, r"\.0*$", ""), pa.int64())
    return None if numbers is None else numbers.to_numpy()


def _of_numbers(column: pa.ChunkedArray, kind: Kind, where: str) -> np.ndarray:
    if pa.types.is_floating(column.type):
        values = column.to_numpy().astype(np.float64)
        if np.any(values != np.floor(values)):
            raise DataError(f"{where} must be integers or text, got fractions")
        # A 16-bit or 32-bit number skips integers earlier.
        exact = min(EXACT, {16: 2**11, 32: 2**24}.get(column.type.bit_width, EXACT))
        if beyond := int((np.abs(values) >= exact).sum()):
            raise DataError(f"{where}: {beyond} are beyond {exact}, where {column.type} has lost digits; write text")
        whole = values.astype(np.int64)
    else:
        numbers = cast(column, pa.int64())
        if numbers is None:
            if kind == "integer":
                raise DataError(f"{where} must be integers of 64 bits; set the source's ids to text (--ids text)")
            return np.array(column.cast(pa.string()).to_pylist(), dtype=object)
        whole = numbers.to_numpy()
    return whole.astype(str).astype(object) if kind == "text" else whole
