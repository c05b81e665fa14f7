"""What shape a CSV file has: encoding, separator, whether a first line names the columns, blanks around values.

Only ``lethe data add`` asks. Whatever can't be told from the file is refused, naming the option that says it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lethe.config.table import FileFormat
from lethe.data.sources.columns import MISSING
from lethe.data.sources.files import EMPTY, looks_like_names, must_be_file
from lethe.data.sources.find_encoding import find_encoding
from lethe.data.sources.findings import Findings
from lethe.data.sources.packed import unpacked
from lethe.data.sources.parquet import is_parquet
from lethe.data.sources.text import as_csv, decoded, is_byte
from lethe.errors import DataError

SEPARATORS = (",", ";", "\t", "|", "\x01", "\x1f")
WEAK = (" ", "~", "^", "¦", ":", "#")
"""They also stand in times and names, or beside another separator."""
_RUN = re.compile(r"[^\w\s\"'.+-]{2,8}|[ \t]{2,8}")
"""What may separate as several characters: ``::``, ``||``, ``|~|``, two blanks."""
_LINES = 1000
_COMMENT = re.compile(r"\s*(#|%|//)")


def find_file(path: Path, names: Mapping[str, str | None], given: Mapping[str, Any]) -> Findings:
    """The options of ``FileFormat`` that are not given. ``names`` are the columns of user and item, None by default.

    Raises DataError with the file, what is unclear, and the option to give.
    """
    must_be_file(path)
    if is_parquet(path):
        return Findings()
    found, rows = first_rows(path, given)
    if given.get("header") is not False:
        _must_have_header(path, rows, names)
        _must_name_all(path, rows, found.options.get("separator", ","))
    return found


def first_rows(path: Path, given: Mapping[str, Any]) -> tuple[Findings, list[list[str]]]:
    """Encoding, separator, blanks and the like of a CSV file, and the values of its first lines, names or not."""
    begin = unpacked(path, given.get("member"))
    encoding = given.get("encoding") or find_encoding(path, begin)
    found = Findings({} if encoding == "utf-8" else {"encoding": encoding})
    if encoding != "utf-8" and "encoding" not in given:
        found |= Findings(notes=(f"{path.name}: read as {encoding}; --encoding says otherwise",))
    text = _head(decoded(path, begin, encoding))
    if not text.strip():
        raise DataError(f"{path.name}: {EMPTY}")
    ignored = tuple(given.get("ignore_lines") or ())
    separator = given.get("separator")
    if excel := re.match(r"(\"?sep=)(.)\"?\r?\n", text, re.IGNORECASE):
        ignored, separator = (*ignored, excel[1]), separator or excel[2]
    if ignored:
        found |= Findings({"ignore_lines": list(ignored)})
    text = as_csv(text, FileFormat(ignore_lines=ignored))
    if not ignored and (mark := _COMMENT.match(text)):
        raise DataError(
            f"{path.name}: the first line begins with {mark[1]!r}; if such lines are no rows, give"
            f" --ignore-lines {mark[1]!r}, and --no-header if no other line names the columns"
        )
    if separator is None:
        separator = find_separator(path, text)
        if separator != ",":
            found |= Findings(notes=(f"{path.name}: the separator is {separator!r}; --separator says otherwise",))
    found |= Findings({} if separator == "," else {"separator": separator})
    _refuse_backslashes(path, text, separator)
    try:
        rows = cells(text, FileFormat(separator=separator))
    except csv.Error:
        raise DataError(
            f"{path.name}: a value is longer than 128 KB; leave its column out, or save it as Parquet"
        ) from None
    if not given.get("trim") and _has_blanks(rows):
        found |= Findings({"trim": True}, (f"{path.name}: blanks around values are left out",))
    if given.get("trim") or "trim" in found.options:
        rows = [[cell.strip() for cell in row] for row in rows]
    if given.get("header") is not False and rows:
        _refuse_equal_names(path, rows[0], rows[1:])
    return found, rows


def find_separator(path: Path, text: str) -> str:
    """The one that gives each line the same number of columns, at least two, and the most of them."""
    widths = {separator: width for separator in (*SEPARATORS, *WEAK) if (width := _width(text, separator))}
    for run in dict.fromkeys(_RUN.findall(text.partition("\n")[0])):
        if run.isspace() and any(separator in widths for separator in SEPARATORS if separator not in run):
            continue
        # By each of its characters alone there would be columns between them that are always empty.
        if (width := _width(text, run)) and all(widths.get(c, 1) in (1, (width - 1) * run.count(c) + 1) for c in run):
            return run
    if not widths:
        _refuse_lines(path, text)
    return max(widths, key=lambda separator: (separator not in WEAK, widths[separator]))


def _width(text: str, separator: str, *, first: bool = True) -> int:
    """Columns of nearly all lines, the first too unless it may be another; 0 where there are none, or one."""
    try:
        counts = [len(row) for row in cells(text, FileFormat(separator=separator))]
    except csv.Error:  # A value of more than 128 KB: another separator would end it.
        return 0
    width = max(set(counts), key=counts.count, default=0)
    # A total or a remark at the end has fewer.
    right = width > 1 and counts.count(width) >= 0.9 * len(counts)
    return width if right and (counts[0] > 1 or not first) else 0


def _refuse_lines(path: Path, text: str) -> NoReturn:
    """Raises DataError, with what to give where it can be told."""
    first = text.partition("\n")[0].strip()
    if re.fullmatch(r"\S+:", first):
        raise DataError(
            f"{path.name}: lines of one column, such as the first, head the rows below them; write what they say into a"
            " column of each row"
        )
    if any(_width(text, separator, first=False) for separator in SEPARATORS):
        # A word is shown, an id isn't.
        begins = repr(first) if re.fullmatch(r"[^\W\d_]+( [^\W\d_]+)*", first) else "with what it begins with"
        raise DataError(
            f"{path.name}: the first line has one column and the others have more; give --ignore-lines {begins} if it"
            " is a title"
        )
    whole = all(line.startswith('"') and line.endswith('"') and '"' not in line[1:-1] for line in _lines(text))
    if whole and any(separator in text for separator in SEPARATORS):
        raise DataError(f"{path.name}: each of its lines stands in quotes as a whole; take those away")
    if not any(separator in text for separator in (*SEPARATORS, *WEAK)):
        raise DataError(
            f"{path.name}: its lines have one column, and user and item are two; give --separator if there is one"
        )
    raise DataError(
        f"{path.name}: no separator gives its lines the same number of columns; give --separator, or --ignore-lines"
        " with what lines begin that are no rows; columns of a fixed width, or a list of items in each line, can't be"
        " read"
    )


def _refuse_backslashes(path: Path, text: str, separator: str) -> None:
    """Raises DataError where quotes inside of values stand behind a backslash: CSV doubles them."""
    if not is_byte(separator):
        return
    sign = re.escape(separator)
    if re.search(rf'(?:^|{sign})"[^"]*\\"(?!{sign}|["\s]|\Z)', text, re.MULTILINE):
        raise DataError(
            f"{path.name}: a quote inside of a value stands behind a backslash; write it twice, as CSV does, or save"
            " the table as Parquet"
        )


def cells(text: str, how: FileFormat) -> list[list[str]]:
    """The values of each line that is not empty."""
    if not is_byte(how.separator):
        return [line.split(how.separator) for line in _lines(text) if line]
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=how.separator) if row]


def _lines(text: str) -> list[str]:
    """Lines as CSV ends them, without their ends: other marks that end lines of text may stand in an id."""
    return re.split(r"\r\n|\r|\n", text.rstrip("\r\n"))


def _head(text: Iterator[str]) -> str:
    """The first lines, whole, of text that is decoded to its end: what is no text further down is refused now."""
    first = next(text)
    more = sum(map(len, text)) > 0
    lines = io.StringIO(first, newline="").readlines()
    if more and len(lines) > 1:
        lines.pop()
    return "".join(lines[:_LINES])


def _has_blanks(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line has them, or most values behind a separator."""
    if any(cell != cell.strip(" ") for cell in rows[0]):
        return True
    behind = [cell.startswith(" ") for row in rows for cell in row[1:]]
    return sum(behind) > len(behind) / 2


def _must_have_header(path: Path, rows: Sequence[Sequence[str]], names: Mapping[str, str | None]) -> None:
    first, others = rows[0], rows[1:]
    missing = [role for role, default in (("user", "user"), ("item", "item")) if (names[role] or default) not in first]
    if not missing:
        return
    if is_a_row(first, others):
        # What stands in a row is not told.
        raise DataError(
            f"{path.name}: the first line looks like a row, not like names of columns; give --no-header, and the places"
            f" of the {len(first)} columns (--user-column 1 --item-column 2 ...)"
        )
    role = missing[0]
    raise DataError(
        f"{path.name}: column {names[role] or role!r} is missing, it has {', '.join(map(_seen, first))}; name it"
        f" with --{role}-column"
    )


def _seen(name: str) -> str:
    """A column's name, in quotes and escaped where some of it can't be seen."""
    return name if name.isprintable() and name == name.strip() else ascii(name)


def _refuse_equal_names(path: Path, first: Sequence[str], others: Sequence[Sequence[str]]) -> None:
    """Raises DataError where the first line would be names if they differed."""
    alike = [name for name in dict.fromkeys(first) if first.count(name) > 1]
    if alike and len(first) > 2 and looks_like_names(list(dict.fromkeys(first))) and not _recurs(first, others):
        if not alike[0]:
            raise DataError(
                f"{path.name}: {first.count('')} columns have no name; name them, or save the table as CSV again"
                " (columns of a fixed width are none)"
            )
        raise DataError(f"{path.name}: column {alike[0]!r} is there {first.count(alike[0])} times; rename all but one")


def is_a_row(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether the first line is one: what stands in it recurs below, or can't be the names of columns."""
    # What recurs whole is the same names once more, where files were put together.
    below = [row for row in others if row != first]
    return not _heads_numbers(first, below) and (_recurs(first, others) or not looks_like_names(first))


def as_number(value: str) -> float | None:
    try:
        return float(value.strip().replace(",", "."))
    except ValueError:
        return None


def _heads_numbers(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a first line, of words for the most part, has one above a column of numbers, as only names do."""
    words = [place for place, cell in enumerate(first) if as_number(cell) is None and not re.match(MISSING, cell)]
    columns = ([row[place] for row in below if place < len(row)] for place in words)
    numbers = any(column and all(as_number(cell) is not None for cell in column) for column in columns)
    return 2 * len(words) >= len(first) and "@" not in "".join(first) and numbers


def _recurs(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    return any(cell and cell in {row[place] for row in others if place < len(row)} for place, cell in enumerate(first))


def _must_name_all(path: Path, rows: Sequence[Sequence[str]], separator: str) -> None:
    """Some tools write one column more than they name: of row numbers, or an empty one at the end."""
    named, widths = len(rows[0]), [len(row) for row in rows[1:]]
    width = max(set(widths), key=widths.count, default=named)
    if width != named:
        raise DataError(
            f"{path.name}: its rows have {width} columns, of which the first line names {named}; give --ignore-lines"
            f" {rows[0][0] + separator!r} --no-header, and the places of the columns (--user-column 1 ...)"
        )
