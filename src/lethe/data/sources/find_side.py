"""How side tables are written: which columns are which, and what kind of feature each of the others is.

``lethe data add --links FILE`` and its kin ask; what was taken is told, and stands in params.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lethe.data.sources.find_columns import column_called, head_of
from lethe.data.sources.find_file import as_number, first_rows
from lethe.data.sources.findings import Findings
from lethe.data.sources.parquet import is_parquet
from lethe.errors import DataError

_FRIEND = "friend follows followed followee trusts trusted trustee target to contact"
_RELATION = "relation predicate property"
_FEW = 20
"""Distinct numbers above which a column of them is a quantity, and not a code."""
_NAMES = 0.9
"""Share of distinct values above which a text is a name or a description, which says nothing of others."""


def find_links(path: Path, user: str) -> Findings:
    """Columns ``user`` and ``friend``. ``user`` is what the interactions call theirs."""
    names, _, how = _head(path, 2)
    first = user if user in names else column_called("user", names) or names[0]
    rest = [name for name in names if name != first]
    friend = _by_word(_FRIEND, rest) or rest[0]
    return how | _told(path, {"user": first, "friend": friend})


def find_triples(path: Path) -> Findings:
    """Columns ``head``, ``relation`` and ``tail``: by the middle one's name, else the first three."""
    names, _, how = _head(path, 3)
    relation = _by_word(_RELATION, names) or names[1]
    head, tail = [name for name in names if name != relation][:2]
    return how | _told(path, {"head": head, "relation": relation, "tail": tail})


def find_features(path: Path, role: str, key: str) -> Findings:
    """The id's column, and the others as fields: numbers, categories, several categories in one text. Names and
    descriptions are left out, and told."""
    names, rows, how = _head(path, 2)
    own = key if key in names else column_called(role, names) or names[0]
    fields, left = {}, []
    for place, name in enumerate(names):
        values = [row[place].strip() for row in rows if place < len(row) and row[place].strip()]
        if name == own or not values:
            continue
        if (kind := _kind(values)) is None:
            left.append(name)
        else:
            fields[name] = kind
    if not fields:
        raise DataError(f"{path.name}: no column beside {own!r} can be a feature; see side in docs/your-data.md")
    note = f"; {', '.join(left)} left out, as names or descriptions" if left else ""
    told = f"{path.name}: key is column {own!r}, features are {', '.join(fields)}{note}"
    return how | Findings({"key": own, "fields": fields}, (told,))


def _kind(values: Sequence[str]) -> dict[str, str] | None:
    """How a feature is read; None for what is none."""
    distinct = set(values)
    if all(as_number(value) is not None for value in values):
        return {"kind": "number"} if len(distinct) > _FEW else {}
    for separator in ("|", ";"):
        if sum(separator in value for value in values) > len(values) / 10:
            return {"kind": "categories"} | ({} if separator == "|" else {"separator": separator})
    return None if len(distinct) > max(_FEW, _NAMES * len(values)) else {}


def _head(path: Path, least: int) -> tuple[list[str], list[list[str]], Findings]:
    names, rows = head_of(path, {})
    how = Findings() if is_parquet(path) else first_rows(path, {})[0]
    if not names:
        names = [str(place) for place in range(1, len(rows[0]) + 1)]
        how |= Findings({"header": False})
    if len(names) < least:
        raise DataError(f"{path.name}: it has {len(names)} columns, at least {least} are needed")
    return names, rows, how


def _by_word(words: str, names: Sequence[str]) -> str | None:
    known = words.split()
    return next((name for name in names if name.casefold().removesuffix("_id").removesuffix("id") in known), None)


def _told(path: Path, columns: Mapping[str, Any]) -> Findings:
    said = ", ".join(f"{role} is column {column!r}" for role, column in columns.items())
    return Findings(columns, (f"{path.name}: {said}",))
