"""Rows that stand inside of a value in quotes, because a quote somewhere has no other: they would go unread, unsaid."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lethe.config.table import FileFormat
from lethe.data.sources.text import is_byte, pieces
from lethe.errors import DataError

_END = re.compile(r"\r\n|\r|\n")


def refuse_swallowed_rows(path: Path, first: Sequence[Sequence[str]], how: FileFormat) -> None:
    """Raises DataError where a value in quotes ends several lines, and what stands in it divides into rows like those
    of ``first``: as many columns, and numbers where those have them."""
    if not is_byte(how.separator):
        return
    whole = [row for row in first if not any("\n" in cell or "\r" in cell for cell in row)]
    width = max(map(len, whole), key=list(map(len, whole)).count, default=0)
    columns = zip(*(row for row in whole if len(row) == width), strict=True)
    numbers = [all(map(_is_number, column)) for column in columns]
    swallowed = sum(
        text.count("\n") for row in _rows_of_quotes(path, how) for text in row if _holds_rows(row, text, numbers, how)
    )
    if swallowed:
        raise DataError(
            f"{path.name}: {swallowed} lines that look like rows stand inside of values in quotes, so a quote has no"
            " other; take it away, write it twice inside of quotes, or save the table as Parquet"
        )


def _rows_of_quotes(path: Path, how: FileFormat) -> Iterator[list[str]]:
    """The rows of a file that have a line's end in a value, each end as one sign."""
    for piece in pieces(path, how):
        if b'"' in piece:
            text = io.StringIO(_END.sub("\n", piece.decode()), newline="")
            for row in csv.reader(text, delimiter=how.separator):
                if any("\n" in cell for cell in row):
                    yield row


def _holds_rows(row: Sequence[str], text: str, numbers: Sequence[bool], how: FileFormat) -> bool:
    """Whether a value is the end of a row, rows, and the begin of one."""
    if "\n" not in text or len(row) != len(numbers):
        return False
    place, (begin, *others) = row.index(text), text.split("\n")
    lines = [[*row[:place], *begin.split(how.separator)], *(line.split(how.separator) for line in others)]
    lines[-1] += row[place + 1 :]
    return all(
        len(cells) == len(numbers)
        and all(_is_number(cell) for cell, number in zip(cells, numbers, strict=True) if number)
        for cells in lines
    )


def _is_number(cell: str) -> bool:
    return re.fullmatch(r'\s*"?[+-]?[0-9]+([.,][0-9]*)?([eE][+-]?[0-9]+)?"?\s*', cell) is not None
