"""Which columns of a file are user, item, rating and time: by their names, and where those say nothing by their values.

Only where somebody looks at the proposal (``lethe init``, ``lethe data add --yes``), which tells what was taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from lethe.config.reading import NO_COLUMN
from lethe.config.table import TICKS
from lethe.data.sources.files import must_be_file
from lethe.data.sources.find_file import as_number, first_rows, is_a_row
from lethe.data.sources.find_times import EARLY, LATE
from lethe.data.sources.findings import Findings
from lethe.data.sources.parquet import is_parquet, parquet_head
from lethe.errors import DataError

ROLES = ("user", "item", "rating", "timestamp")
"""What is looked for; a weight is one only where somebody says so."""
NAMED = (*ROLES, "weight")
_NAMES = {
    "user": "user uid member customer client account visitor person reader viewer listener buyer reviewer subscriber",
    "item": "item iid product movie book song track article sku asin isbn anime game video business restaurant recipe"
    " artist content title offer",
    "rating": "rating stars star score rate grade vote preference overall label like liked feedback",
    "timestamp": "timestamp time date datetime when created createdat ts day unixtime",
    "weight": "weight count quantity qty views plays clicks purchases times",
}
_DATE = re.compile(r"\s*(\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4})([T ].*)?\s*$")
_ROWS = 1000
_OTHER_ID = re.compile(r"(^|[_\W])(id|no|nr|num|number|key|code)$|[a-z](Id|ID|No|Nr|Key|Code)$")
"""A column that names or numbers something: few values make it no rating."""
_OTHER = (
    "price total subtotal amount cost revenue fee tax discount margin duration length seconds minutes hour day week"
    " month year age lat latitude lon lng long longitude size height width zip postcode position pos rank index step"
    " version session number balance stock population"
)
"""Words in the name of a column of numbers that are no rating."""
_WIDE = 3
"""Columns called alike but for their number, from which on they are taken for an item each."""
_FEW = 20
"""Names of columns that an error tells."""
_UNNAMED = 2
"""Columns without a name and a meaning that may stand behind user and item; more may be a list of items."""


def find_columns(
    path: Path, named: Mapping[str, str | None], given: Mapping[str, Any], way_out: str | None = None
) -> tuple[dict[str, str], Findings]:
    """{role: column}, and whether the first line names the columns; ``named`` columns stay as they are. ``way_out``:
    what to do about a file whose columns no option names.

    Raises DataError where user or item can't be told apart from other columns, naming the options.
    """
    header, rows = head_of(path, given)
    if not header and given.get("header") is not False and _counts(rows[0]):
        if not set(named.values()) & set(rows[0]):
            raise DataError(
                f"{path.name}: the first line may number the columns, or be a row; give --no-header if it is a row, or"
                f" name the columns by their numbers (--user-column {rows[0][0]} --item-column {rows[0][1]})"
            )
        header = rows.pop(0)
    names = header or [str(place) for place in range(1, max(map(len, rows), default=0) + 1)]
    given_up = {role for role, column in named.items() if column == NO_COLUMN}
    taken = {role: column for role in NAMED if (column := named.get(role)) not in (None, NO_COLUMN)}
    left = [name for name in names if name not in taken.values()]
    if header:
        for role in ROLES:
            if role not in (taken.keys() | given_up) and (likely := column_called(role, left)) is not None:
                _refuse_alike(path, role, likely, left, way_out or f"give --{role}-column")
                taken[role] = likely
                left.remove(likely)
    values = {name: [row[place] for row in rows if place < len(row)] for place, name in enumerate(names)}
    rest = [name for name in left if any(values[name]) and not _counts_rows(values[name])]
    if "timestamp" not in (taken.keys() | given_up) and (
        times := [name for name in rest if _all(values[name], _is_time)]
    ):
        taken["timestamp"] = times[0]
        rest.remove(times[0])
    missing = [role for role in ("user", "item") if role not in taken]
    able = [name for name in rest if _OTHER_ID.search(name) or not _has_fractions(values[name])]
    first = rest.index(able[len(missing) - 1]) + 1 if 0 < len(missing) <= len(able) else 0
    if "rating" not in (taken.keys() | given_up):
        # A number that takes few values; ids stand before it in every file known to us.
        stars = [name for name in rest[first:] if _may_rate(name) and _is_rating(values[name])]
        if stars:
            taken["rating"] = stars[0]
    rest = [name for name in able if name != taken.get("rating")]
    if len(rest) < len(missing) or (missing and len(rest) - len(missing) > (0 if header else _UNNAMED)):
        raise DataError(
            f"{path.name}: which columns are user and item is not clear from {_some(names)}; "
            + (way_out or f"give {' and '.join(f'--{role}-column' for role in missing)}")
        )
    taken |= dict(zip(missing, rest, strict=False))
    columns = {role: taken[role] for role in NAMED if role in taken}
    said = ", ".join(f"{role} is column {column!r}" for role, column in columns.items())
    said += "" if header else " (the first line names none)"
    others = [name for name in names if name not in columns.values()]
    said += f"; not read: {_some(others)}" if others else ""
    note = f"{path.name}: {said}" + ("" if way_out else "; --user-column and the like say otherwise")
    return columns, Findings({} if header else {"header": False}, (note,))


def _refuse_alike(path: Path, role: str, likely: str, names: Sequence[str], way_out: str) -> None:
    """Raises DataError where a user or an item may as well be another column: item1, item2, ..."""
    alike = [name for name in names if _letters(name) == _letters(likely)] if role in ("user", "item") else []
    if len(alike) >= _WIDE:
        raise DataError(
            f"{path.name}: {len(alike)} columns are called {likely} and the like, as in a table with a column for each"
            f" {role}; write a row for each user and item, or {way_out}"
        )
    if len(alike) > 1:
        raise DataError(f"{path.name}: the {role} may be column {' or '.join(map(repr, alike))}; {way_out}")


def head_of(path: Path, given: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, none where the first line is a row; and the first rows as text."""
    must_be_file(path)
    if is_parquet(path):
        table = parquet_head(path, _ROWS)
        if not len(table):
            raise DataError(f"{path.name}: it has no rows, at least 1 is needed")
        columns = [["" if value is None else str(value) for value in column.to_pylist()] for column in table.columns]
        return table.column_names, [list(row) for row in zip(*columns, strict=True)]
    _, lines = first_rows(path, given)
    if not lines:
        raise DataError(f"{path.name}: it has no rows, at least 1 is needed")
    if given.get("header") is False or is_a_row(lines[0], lines[1:]):
        return [], lines
    return lines[0], lines[1:]


def column_called(role: str, names: Sequence[str]) -> str | None:
    """The column that has the role by its name: the word itself, or an id of it (user_id, UserID, customerId)."""
    words = _NAMES[role].split()
    plain = {name: _letters(name) for name in names}
    tests: list[Callable[[str], bool]] = [lambda name: name == role, lambda name: name in (f"{role}id", f"id{role}")]
    tests.append(
        lambda name: any(name in (word, f"{word}id", f"id{word}", f"{word}key", f"{word}name") for word in words)
    )
    for test in tests:
        likely = [name for name in names if test(plain[name])]
        if likely:
            return likely[0]
    return None


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.casefold())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


def _may_rate(name: str) -> bool:
    """Whether a column of this name may be a rating by its values alone."""
    words = {word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    others = f"{_OTHER} {_NAMES['weight']} {_NAMES['timestamp']}"
    return _OTHER_ID.search(name) is None and not words & set(others.split())


def _counts(first: Sequence[str]) -> bool:
    """Whether a first line is 0, 1, 2, ... or 1, 2, 3, 4, ..., as a table of arrays names its columns."""
    numbers = [str(place) for place in range(len(first) + 1)]
    return (len(first) > 2 and list(first) == numbers[:-1]) or (len(first) > 3 and list(first) == numbers[1:])


def _all(values: Sequence[str], test: Callable[[str], bool]) -> bool:
    return bool(values) and all(map(test, values))


def _is_time(value: str) -> bool:
    number = as_number(value)
    if number is None:
        return _DATE.match(value) is not None
    return any(EARLY * ticks <= number < LATE * ticks for ticks in TICKS.values())


def _is_rating(values: Sequence[str]) -> bool:
    numbers = {as_number(value) for value in values}
    # One value alone says nothing of taste, nor do dislikes alone.
    varied = 1 < len(numbers) <= max(2, min(101, len(values) // 2))
    return varied and None not in numbers and any(number > 0 for number in numbers if number is not None)


def _counts_rows(values: Sequence[str]) -> bool:
    """Whether they are 0, 1, 2, ... or 1, 2, 3, ..., row by row."""
    return len(values) > _WIDE and any(all(map(str.__eq__, values, map(str, count(begin)))) for begin in (0, 1))


def _has_fractions(values: Sequence[str]) -> bool:
    """Whether they are numbers throughout, and some no whole ones, as ids hardly are that nobody named so."""
    numbers = [as_number(value) for value in values if value]
    return None not in numbers and any(number != number // 1 for number in numbers if number is not None)
