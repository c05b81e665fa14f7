"""How files of rows are read: what stands in a CSV file, which columns are which, and how ids and times are written.

``lethe data add`` has an option of the same name for each of them, finds out those that are not given, and writes what
it found to params.yaml: how a file is read never hangs on the rows that it holds today.
"""

from __future__ import annotations

import codecs
import re
import zoneinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lethe.config.section import Once, Section

TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of time in one second."""


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("must be an encoding that Python knows, such as utf-8, utf-16, cp1252") from None
    return name


def _known_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC, Europe/Berlin, Asia/Shanghai") from None
    return name


def _separator(text: object) -> object:
    # A shell passes '\t' as two characters.
    if isinstance(text, str) and re.fullmatch(r"\\(t|x[0-9a-fA-F]{2})", text):
        return codecs.decode(text, "unicode_escape")
    return "\t" if text == "tab" else text


def _column(name: object) -> object:
    return str(name) if isinstance(name, int) else name


ColumnName = Annotated[str, BeforeValidator(_column)]
Separator = Annotated[str, BeforeValidator(_separator), Field(min_length=1, max_length=8)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Kind = Literal["auto", "integer", "text"]


class Columns(Section):
    """Which columns of a table are which; an optional one that is null is not read."""

    user: ColumnName = "user"
    """Column of the user ids; without a header the columns' names are 1, 2, 3 and so on."""
    item: ColumnName = "item"
    """Column of the item ids."""
    rating: ColumnName | None = None
    """Column of the ratings; null: there are none."""
    timestamp: ColumnName | None = None
    """Column of the times; null: there are none. See ``timestamp_unit``."""
    weight: ColumnName | None = None
    """Column that says how much an interaction counts, above 0 (views, purchases, minutes); null: all count alike. See
    ``unweighted`` of the dataset, and ``models.wmf.alpha``."""
    context: Annotated[tuple[ColumnName, ...], Once] = ()
    """Columns that say in what situation: a pair may recur in another one. An empty value is a value, "missing"."""

    @model_validator(mode="after")
    def _two_sides(self) -> Columns:
        if self.user == self.item:
            raise ValueError(f"user and item must be two columns, both are {self.user!r}")
        for role in ("rating", "timestamp", "weight", "context"):
            named = getattr(self, role)
            for side in ("user", "item"):
                if (column := getattr(self, side)) in (named if isinstance(named, tuple) else (named,)):
                    raise ValueError(f"{role} must be another column than {side}, both are {column!r}")
        return self


class FileFormat(Section):
    """What stands in a file: Parquet, or CSV in one of its many shapes, plain or compressed (gz, bz2, xz, zst, zip)."""

    separator: Separator = ","
    """Between the columns of CSV: one character or several (``::``); ``\\t`` and ``tab`` are the tabulator."""
    header: bool = True
    """Whether the first line of CSV names the columns; without it their names are 1, 2, 3 and so on."""
    encoding: Encoding = "utf-8"
    """Encoding of CSV, by Python's name of it."""
    trim: bool = False
    """Whether blanks around the values of CSV are no part of them."""
    ignore_lines: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Once] = ()
    """Lines of CSV that begin with one of these are no rows: comments (``#``), a total (``Total,``), ``sep=``."""
    member: str | None = None
    """The file to read of a zip archive; null: the only one."""


class TableFormat(FileFormat):
    """How the rows of a CSV or Parquet file are read."""

    columns: Columns = Columns()
    """Which columns are read."""
    ids: Kind = "auto"
    """What ids are, of users and items. ``integer``: whole numbers of 64 bits, written plainly or as 7.0; ``text``: to
    the letter; ``auto``: integers where all ids of a column are. Name the kind where the two may mix in one column."""
    item_ids: Kind | None = None
    """What ids of items are, where that of users is another; null: as ``ids``."""
    decimal: Literal[".", ","] = "."
    """What stands before the decimals of ratings."""
    thousands: Literal["", ",", ".", " ", "'", "_"] = ""
    """What stands between the thousands of numbers, ids too; they are read without it."""
    timestamp_unit: Literal["s", "ms", "us", "ns", "iso", "day", "excel", "position"] = "s"
    """Seconds or parts of them since 1970, or ISO 8601 (``iso``: 2023-11-14T22:13:20Z), or days (2023-11-14, 20231114),
    or days as spreadsheets count them (``excel``: 45244.5). Columns of Parquet that are times by type need none. A
    position only orders a user's rows, and is no time."""
    time_format: str | None = None
    """Format of times that are written in another way, as in Python's strptime: ``%d/%m/%Y %H:%M``."""
    timezone: Zone | None = None
    """Where the times were taken that name no zone of their own; null: UTC."""
    resolution: Literal["s", "ms", "us", "ns"] = "s"
    """What times are kept in: finer than a second where the source is, so that a user's rows stay in order."""

    where: dict[ColumnName, str] = Field({})
    """Only rows whose column has that value, as text or as a number: {label: "1"}."""

    @model_validator(mode="after")
    def _numbers_are_clear(self) -> TableFormat:
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands must be two signs, both are {self.decimal!r}")
        return self

    @property
    def has_times(self) -> bool:
        """Whether its timestamps, if there are any, are times and no mere positions."""
        return self.timestamp_unit != "position"

    @property
    def ticks(self) -> int:
        """How many units of the stored times make a second; 1 where they are positions."""
        return 1 if self.timestamp_unit == "position" else TICKS[self.resolution]
