"""Rows that stand inside of a value in quotes, because a quote somewhere has no other: they would go unread, unsaid.

Every reading of CSV looks for them, so it must cost next to nothing: lines are counted off by their quotes, and only
where a line ends inside of some are values looked at.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lethe.config.table import FileFormat
from lethe.data.sources.text import is_byte
from lethe.errors import DataError

_END = re.compile(r"\r\n|\r|\n")
_AT_ONCE = 1 << 23
_HEAD = 1 << 20
"""Bytes, at most, of the rows that others are compared with."""
_FIRST = 1000
"""Those rows, at most."""
_QUOTE, _LF, _CR = b'"\n\r'


def without_swallowed(path: Path, pieces: Iterator[Path | bytes], how: FileFormat) -> Iterator[Path | bytes]:
    """The same pieces of a file, each looked at before it is given away. Raises DataError where a value in quotes ends
    several lines, and what stands in it divides into rows like the first ones: as many columns, and numbers where those
    have them."""
    begun, head = _begin(pieces)
    for piece in chain(begun, pieces):
        if is_byte(how.separator) and _ends_inside(piece) and (lines := _swallowed(piece, head, how)):
            raise DataError(
                f"{path.name}: {lines} lines that look like rows stand inside of values in quotes, so a quote has no"
                " other; take it away, write it twice inside of quotes, or save the table as Parquet"
            )
        yield piece


def _begin(pieces: Iterator[Path | bytes]) -> tuple[list[Path | bytes], bytes]:
    """The first pieces, and the bytes that they begin with: so many that rows can be compared with them."""
    begun, head = [], b""
    for piece in pieces:
        begun.append(piece)
        head += next(_chunks(piece, _HEAD), b"")
        if len(head) >= _HEAD or isinstance(piece, Path):
            break
    return begun, head[:_HEAD]


def _chunks(piece: Path | bytes, size: int = _AT_ONCE) -> Iterator[bytes]:
    if isinstance(piece, bytes):
        yield piece
        return
    with piece.open("rb") as file:
        while chunk := file.read(size):
            yield chunk


def _numbers_of(head: bytes, how: FileFormat) -> list[bool]:
    """Of each column of the first rows, whether all that is on one line is numbers; of as many columns as most have."""
    text = _END.sub("\n", head.decode(errors="replace"))
    rows: list[list[str]] = []
    with suppress(csv.Error):  # A field that is too long: of open quotes the first is one.
        rows.extend(islice(csv.reader(io.StringIO(text, newline=""), delimiter=how.separator), _FIRST + how.header))
    widths = Counter(map(len, rows[how.header :]))
    width = max(widths, key=lambda each: widths[each], default=0)
    columns = zip(*(row for row in rows[how.header :] if len(row) == width), strict=True)
    whole = ([cell for cell in column if "\n" not in cell] for column in columns)
    return [bool(cells) and all(map(_is_number, cells)) for cells in whole]


def _ends_inside(piece: Path | bytes) -> bool:
    """Whether a line ends behind an odd number of quotes: inside of some, or a quote stands for itself before."""
    inside = False
    for chunk in _chunks(piece):
        if not inside and b'"' not in chunk:
            continue
        signs = np.frombuffer(chunk, np.uint8)
        counted = signs[(signs == _QUOTE) | (signs == _LF) | (signs == _CR)]
        quotes = counted == _QUOTE
        odd = np.logical_xor.accumulate(quotes) ^ inside
        if (odd & ~quotes).any():
            return True
        inside = bool(odd[-1])
    return False


def _swallowed(piece: Path | bytes, head: bytes, how: FileFormat) -> int:
    """How many lines end inside of values that hold rows. Rows of another width are left to whoever reads them."""
    numbers, separator = _numbers_of(head, how), how.separator
    if not numbers:
        return 0
    names = [str(place) for place in range(len(numbers))]
    # As bytes: what is no text is the reader's business, too.
    converting = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary()))
    parsing = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=lambda _: "skip")
    file = pa.OSFile(str(piece)) if isinstance(piece, Path) else pa.BufferReader(piece)
    lines = 0
    try:
        with pa.csv.open_csv(file, pa.csv.ReadOptions(column_names=names), parsing, converting) as reader:
            for batch in reader:
                for place, name in enumerate(names):
                    for row in _may_hold_rows(batch, name, separator).to_pylist():
                        cells = [_END.sub("\n", (cell or b"").decode(errors="replace")) for cell in row.values()]
                        if _holds_rows(cells, place, numbers, separator):
                            lines += cells[place].count("\n")
    except pa.ArrowInvalid:
        return 0
    return lines


def _may_hold_rows(batch: pa.RecordBatch, name: str, separator: str) -> pa.RecordBatch:
    """Those whose value has as many separators as lines from the middle of a row to the middle of another have."""
    inside = batch.filter(pc.match_substring_regex(batch[name], r"[\n\r]"))
    if len(inside) == 0:
        return inside
    feeds, returns, both, between = (pc.count_substring(inside[name], sign) for sign in ("\n", "\r", "\r\n", separator))
    ends = pc.subtract(pc.add(feeds, returns), both)
    return inside.filter(pc.equal(between, pc.multiply(ends, batch.num_columns - 1)))


def _holds_rows(row: Sequence[str], place: int, numbers: Sequence[bool], separator: str) -> bool:
    """Whether the value at a place is the end of a row, rows, and the begin of one."""
    begin, *others = row[place].split("\n")
    lines = [[*row[:place], *begin.split(separator)], *(line.split(separator) for line in others)]
    lines[-1] += row[place + 1 :]
    return all(
        len(cells) == len(numbers)
        and all(_is_number(cell) for cell, number in zip(cells, numbers, strict=True) if number)
        for cells in lines
    )


def _is_number(cell: str) -> bool:
    return re.fullmatch(r'\s*"?[+-]?[0-9]+([.,][0-9]*)?([eE][+-]?[0-9]+)?"?\s*', cell) is not None
