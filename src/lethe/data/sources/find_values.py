"""How ids, ratings and times of a table are written: what ``lethe data add`` finds out about its columns.

What has two readings, or lost its digits before it came here, is refused, naming the option that says how to take it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lethe.config.table import Kind, TableFormat
from lethe.data.sources.columns import (
    EXPONENT,
    MISSING,
    cast,
    count_like,
    empty,
    is_text,
    refuse_missing_words,
    simple,
    without_thousands,
)
from lethe.data.sources.find_times import find_times
from lethe.data.sources.findings import Findings
from lethe.data.sources.identifiers import INTEGER, WHOLE, plain, whole_numbers
from lethe.data.sources.table import refuse_names_again
from lethe.errors import DataError

_THOUSANDS = {mark: rf"^[+-]?[0-9]{{1,3}}({sign}[0-9]{{3}})+$" for mark, sign in ((",", ","), (".", r"\."), ("'", "'"))}
_THOUSANDS[" "] = r"^[+-]?[0-9]{1,3}([ \x{a0}\x{202f}][0-9]{3})+$"
_DECIMAL_ZERO = r"^-?[0-9]+,0+$"
_QUOTED = r"""^('.*'|“.*”|‘.*’|«.*»|="[^"]*"|'.*)$"""
"""In quotes that CSV doesn't know, or behind a spreadsheet's marks of a text."""
_LIST = r"^(\[?['\"]?[0-9]+['\"]?( *[,;|] *['\"]?[0-9]+['\"]?)+\]?|[0-9]+( [0-9]+){2,})$"
_DECIMAL_COMMA = r"^\s*[+-]?[0-9]+(,[0-9]+)?\s*$"
_TOTALS = {"total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt", "gesamtsumme", "average", "mean"}
_TOTALS |= {"count", "合计", "总计", "итого", "somme", "suma", "totale", "totaal"}
_FEW = 100
"""One in so many: what few values of a column are unlike all the others is no kind of id, but a fault."""


def find_values(table: pa.Table, file: str, how: TableFormat, given: Mapping[str, Any]) -> Findings:
    """The options of ``TableFormat`` on ids, numbers and times that are not given. Raises DataError."""
    columns = how.columns
    found = Findings()
    _refuse_blank_rows(table, file, how)
    refuse_names_again(table, file, how)
    if "ids" not in given:
        first = table.column_names[0] == columns.user
        user = _ids(table[columns.user], f"{file}: column {columns.user!r}", how, "user", first=first)
        found |= Findings({"ids": user.options["ids"]}, user.notes)
    if "item_ids" not in given and "ids" not in given:
        item = _ids(table[columns.item], f"{file}: column {columns.item!r}", how, "item")
        own = {} if item.options["ids"] == found.options["ids"] else {"item_ids": item.options["ids"]}
        found |= Findings(own, item.notes)
    for number in (columns.rating, columns.weight):
        if number is not None:
            found |= _ratings(table[number], f"{file}: column {number!r}", given)
    if columns.timestamp is not None:
        found |= find_times(table[columns.timestamp], f"{file}: column {columns.timestamp!r}", how, given)
    return found


def _ids(column: pa.ChunkedArray, where: str, how: TableFormat, role: str, *, first: bool = False) -> Findings:
    """Whether ids are integers or text."""
    column = plain(column, where)
    if not is_text(column):
        return _typed_ids(column, where)
    column = without_thousands(column.drop_null(), how.thousands)
    _refuse_quoted(column, where)
    _refuse_marks(column, where)
    _refuse_lost_digits(column, where)
    if not how.thousands:
        _refuse_thousands(column, where)
    _refuse_lists(column, where)
    whole = count_like(column, WHOLE)
    if whole and whole < len(column) == whole + (missing := count_like(column, MISSING)):
        raise DataError(
            f"{where} must have no empty values; row count with an empty {role}: {missing}, written as nan, NULL or the"
            " like; leave those rows out of the source, or give --ids text to take them as names"
        )
    _refuse_strangers(column, whole, where, how.separator if first else None)
    if whole < len(column):
        return Findings({"ids": "text"}, tuple(_odd_text(column, whole, where)))
    if whole_numbers(column) is None:
        return _kind("text", f"{where}: whole numbers beyond 64 bits are kept as text")
    if count_like(column, INTEGER) < whole:
        return _kind("integer", f"{where}: ids written like 7.0 are the integer 7; --ids text keeps them as they stand")
    return _kind("integer")


def _odd_text(column: pa.ChunkedArray, whole: int, where: str) -> Iterator[str]:
    if whole:
        yield f"{where}: {whole} of {len(column)} ids are whole numbers, and are kept as text beside the others"
    if count_like(column, r"^0[0-9]+$"):
        yield f"{where}: ids with leading zeros are kept as text (007 is not 7)"
    if blank := count_like(column, r"^[\s\pZ]|[\s\pZ]$"):
        yield f"{where}: {blank} of {len(column)} ids have blanks around them and keep them; --trim leaves them out"
    if missing := count_like(column, MISSING):
        yield (
            f"{where}: {missing} of {len(column)} ids are written like a missing value (nan, NULL, None or the like)"
            " and are taken as names; if they are none, leave those rows out of the source"
        )


def _typed_ids(column: pa.ChunkedArray, where: str) -> Findings:
    if pa.types.is_floating(column.type):
        return _kind("integer", f"{where}: ids of type {column.type} are integers: 7.0 is 7")
    if cast(column, pa.int64()) is None:
        return _kind("text", f"{where}: whole numbers beyond 64 bits are kept as text")
    return _kind("integer")


def _kind(kind: Kind, note: str | None = None) -> Findings:
    return Findings({"ids": kind}, () if note is None else (note,))


def _refuse_blank_rows(table: pa.Table, file: str, how: TableFormat) -> None:
    """Lines of separators alone, which spreadsheets leave at the end."""
    blank = np.logical_and.reduce([table[name].is_null().to_numpy() for name in table.column_names])
    if count := int(blank.sum()):
        begins = how.separator * (len(table.column_names) - 1)
        raise DataError(
            f"{file}: {count} rows have no value in any column; give --ignore-lines {begins!r} to skip them"
        )


def _refuse_quoted(column: pa.ChunkedArray, where: str) -> None:
    if len(column) and count_like(column, _QUOTED) == len(column):
        raise DataError(
            f"{where}: all ids stand in quotes that are no quotes of CSV; write them in double ones or in none, or give"
            " --ids text to keep them"
        )


def _refuse_marks(column: pa.ChunkedArray, where: str) -> None:
    if marked := count_like(column, r"^\x{feff}"):
        raise DataError(
            f"{where}: {marked} of {len(column)} ids begin with a mark of the byte order, which stands where files were"
            " put together; take it away, or give --ids text to keep it"
        )


def _refuse_lists(column: pa.ChunkedArray, where: str) -> None:
    if len(column) and count_like(column, _DECIMAL_ZERO) == len(column):
        raise DataError(
            f"{where}: its ids look like whole numbers with decimals behind a comma (7,0); write them without, or give"
            " --ids text to keep them"
        )
    lists = count_like(column, _LIST)
    if lists > len(column) / 2:
        raise DataError(
            f"{where}: {lists} of {len(column)} ids look like lists of ids; write a row for each, or give --ids text to"
            " take a list as one id"
        )


def _refuse_lost_digits(column: pa.ChunkedArray, where: str) -> None:
    if lost := count_like(column, EXPONENT):
        raise DataError(
            f"{where}: {lost} of {len(column)} ids are in exponent form (2.0E+11), in which digits are lost; export the"
            " column as text, or give --ids text to take them as they stand"
        )


def _refuse_thousands(column: pa.ChunkedArray, where: str) -> None:
    for mark, pattern in _THOUSANDS.items():
        count = count_like(column, pattern)
        if count and count + count_like(column, INTEGER) == len(column):
            other = "--ids integer to take 7.000 as 7" if count_like(column, WHOLE) == len(column) else "--ids text"
            raise DataError(
                f"{where}: {count} of {len(column)} ids look like numbers with {mark!r} between the thousands; give"
                f" --thousands {mark!r} to take them as integers, or {other}"
            )


def _refuse_strangers(column: pa.ChunkedArray, whole: int, where: str, separator: str | None) -> None:
    """A few values that are no whole numbers among many that are; or a total in the last row."""
    others = len(column) - whole
    last = column[-1].as_py().strip() if len(column) else ""
    total = last.casefold().rstrip(":") in _TOTALS
    if total and whole < len(column):
        line = f"--ignore-lines {last + separator!r}" if separator else "--ignore-lines with what that line begins with"
        raise DataError(
            f"{where}: the last row looks like a total; give {line} to leave it out, or --ids text to keep it"
        )
    if whole and others and count_like(pc.utf8_trim_whitespace(column), WHOLE) == len(column):
        raise DataError(
            f"{where}: {others} of {len(column)} whole numbers have blanks or line breaks around them; give --trim to"
            " leave those out, or --ids text to keep them"
        )
    if whole and 0 < others <= max(1, len(column) // _FEW):
        raise DataError(
            f"{where}: {others} of {len(column)} ids are no whole numbers, as all others are; give --ignore-lines with"
            " what such lines begin with if they are no rows, or --ids text to take all as text"
        )


def _ratings(column: pa.ChunkedArray, where: str, given: Mapping[str, Any]) -> Findings:
    """How the decimals and thousands of ratings and weights are written."""
    column = simple(column)
    if not is_text(column) or empty(column) or {"decimal", "thousands"} & set(given):
        return Findings()
    if cast(pc.utf8_trim_whitespace(column), pa.float64()) is not None:
        return Findings()
    refuse_missing_words(column, where)
    grouped = count_like(column, _THOUSANDS[","])
    if grouped and grouped + count_like(column, INTEGER) == len(column):
        raise DataError(
            f"{where}: its commas may stand before decimals or between thousands; give --decimal , or --thousands ,"
        )
    if count_like(column, _DECIMAL_COMMA) == len(column):
        return Findings({"decimal": ","}, (f"{where}: the decimals stand behind a comma",))
    for decimal, thousands in ((".", ","), (",", ".")):
        pattern = rf"^[+-]?[0-9]{{1,3}}(\{thousands}?[0-9]{{3}})*(\{decimal}[0-9]+)?$"
        if count_like(column, pattern) == len(column):
            note = f"{where}: {thousands!r} stands between thousands, {decimal!r} before decimals"
            options = {"thousands": thousands} | ({"decimal": decimal} if decimal != "." else {})
            return Findings(options, (note,))
    return Findings()
