"""Files of rows, opened: Parquet, or CSV in any encoding, with any separator, plain or compressed -> columns of text.

What CSV looks like says ``lethe.config.table.FileFormat``; Arrow parses it. What Arrow knows nothing of (comments,
blanks around values, separators of several characters, archives) is taken out of the bytes before, as they are read
(``lethe.data.sources.text``).
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lethe.config.table import FileFormat
from lethe.core.canonical import digest_file, digest_json
from lethe.data.sources import text
from lethe.data.sources.packed import START, is_packed
from lethe.data.sources.parquet import is_parquet, parquet_blocks, parquet_files, parquet_names
from lethe.data.sources.quotes import without_swallowed
from lethe.data.sources.text import is_byte
from lethe.errors import DataError

EMPTY = "the file is empty, at least a header and 1 row are needed"
_NOT_UTF8 = "it is not in utf-8; give the encoding (--encoding cp1252, utf-16, gb18030 or another)"
ROWS = 1 << 20
"""Rows of a file that are read, and brought into order, at once."""


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    must_be_file(path)
    if path.is_dir():
        return digest_json({str(part.relative_to(path)): digest_file(part) for part in parquet_files(path)})
    return digest_file(path)


def must_be_file(path: Path) -> None:
    if path.is_dir() and parquet_files(path):
        return
    if not path.is_file():
        raise DataError(f"{path}: no such file; bring it back, or name another")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name}: {EMPTY}")


def load(path: Path, names: Sequence[str], how: FileFormat) -> pa.Table:
    """The named columns of a file; of CSV all as text, null where empty. Raises DataError: file, column, rule."""
    return pa.concat_tables(load_blocks(path, names, how))


def load_blocks(path: Path, names: Sequence[str], how: FileFormat, coded: Collection[str] = ()) -> Iterator[pa.Table]:
    """``load``, ``ROWS`` at a time, and one table without rows where there is none. ``coded``: columns whose text may
    come as places among the distinct values, as a file of Parquet has it."""
    must_be_file(path)
    if not is_parquet(path):
        return _cut(_csv_blocks(path, names, how), ROWS)
    _must_have(path, names, parquet_names(path), True)
    return _cut(parquet_blocks(path, names, coded, ROWS), ROWS)


def _cut(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of so many, the last of fewer."""
    waiting = [next(tables)]
    for table in tables:
        waiting.append(table)
        while sum(map(len, waiting)) > rows:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, rows)
            waiting = [whole.slice(rows)]
    whole = pa.concat_tables(waiting)
    for start in range(0, max(1, len(whole)), rows):
        yield whole.slice(start, rows)


def _csv_blocks(path: Path, names: Sequence[str], how: FileFormat) -> Iterator[pa.Table]:
    parsing = pa.csv.ParseOptions(
        delimiter=how.separator if is_byte(how.separator) else text.BETWEEN,
        quote_char='"' if is_byte(how.separator) else False,
        newlines_in_values=True,
    )
    # Everything as text: what a column is must not hang on its first rows.
    converting = pa.csv.ConvertOptions(
        include_columns=list(names),
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        null_values=[""],
    )
    present: list[str] | None = None
    pieces: Iterator[Path | bytes] = iter([path]) if _is_plain(path, how) else text.pieces(path, how)
    try:
        for piece in without_swallowed(path, pieces, how):
            first = present is None
            if present is None:
                with pa.csv.open_csv(_begin(piece), parse_options=parsing) as reader:
                    present = list(reader.schema.names)
                if not how.header:
                    present = [str(place) for place in range(1, len(present) + 1)]
                _must_have(path, names, present, how.header and looks_like_names(present))
            reading = pa.csv.ReadOptions(column_names=None if how.header and first else present)
            with pa.csv.open_csv(_begin(piece), reading, parsing, converting) as reader:
                if first:
                    yield reader.schema.empty_table()
                for batch in reader:
                    table = pa.Table.from_batches([batch])
                    # Inside of quotes too, where the text of the file says nothing of blanks.
                    yield pa.table({n: pc.utf8_trim_whitespace(table[n]) for n in names}) if how.trim else table
    except pa.ArrowInvalid as error:
        for _ in pieces:  # A damaged archive, of which only its end tells, has odd rows, too.
            pass
        raise DataError(f"{path.name}: as CSV with separator {how.separator!r}, {_rule(str(error))}") from None


def _begin(piece: Path | bytes) -> pa.NativeFile:
    # Opened here: by its name alone Arrow would take a plain r.csv.gz for a compressed file.
    return pa.OSFile(os.fsencode(piece)) if isinstance(piece, Path) else pa.BufferReader(piece)


def _must_have(path: Path, names: Sequence[str], present: list[str], tell: bool) -> None:
    for name in names:
        if name not in present:
            # A first line that is a row holds an id.
            has = (
                f"{', '.join(present)}; name one of these"
                if tell
                else f"{len(present)} columns, and a first line that names none"
            )
            raise DataError(f"{path.name}: column {name!r} is missing, it has {has}")
        if present.count(name) > 1:
            raise DataError(f"{path.name}: column {name!r} is there {present.count(name)} times; rename all but one")


def looks_like_names(cells: Sequence[str]) -> bool:
    """Whether the cells of a first line can be names of columns: none is a number, a time or an address, all differ.

    One may be empty beside two names: a column of row numbers, or what a separator at the end makes.
    """
    plain = [cell.strip().strip('"') for cell in cells]
    names = [cell for cell in plain if cell] if len(plain) > 2 else plain
    differ = len(set(plain)) == len(plain) and len(names) > len(plain) - 2
    return differ and not any(re.search(r"^$|^[\W\d_]+$|@|\d{4,}", cell) for cell in names)


def _rule(fault: str) -> str:
    # Arrow's own text would quote the row.
    if width := re.search(r"Expected (\d+) columns, got (\d+)", fault):
        blank = ", or --trim where they are blank, or close a quote that is open" if width[2] == "1" else ""
        return (
            f"a row has {width[2]} columns, must be {width[1]}; give the separator (--separator), or what the lines"
            f" begin with that are no rows (--ignore-lines){blank}"
        )
    if "straddling" in fault:
        return text.LONG
    if "Empty CSV file" in fault:
        return "it has no rows, at least 1 is needed"
    if "UTF8" in fault:
        return _NOT_UTF8
    return "it is not readable"


def _is_plain(path: Path, how: FileFormat) -> bool:
    """Whether Arrow reads the file as it is. Raises DataError where it begins as UTF-16 does and should be UTF-8."""
    with path.open("rb") as file:
        start = file.read(START)
    packed = is_packed(start)
    utf8 = codecs.lookup(how.encoding).name == "utf-8"
    if utf8 and start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path.name}: {_NOT_UTF8}")
    return utf8 and is_byte(how.separator) and not (how.trim or how.ignore_lines or packed)
