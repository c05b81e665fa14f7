"""Any CSV or Parquet file, by a mapping of its columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lethe.config.source import TableSource
from lethe.config.table import Kind, TableFormat
from lethe.data.sources import files
from lethe.data.sources.columns import LEAVE_OUT, cast, is_text, kind_of, must_be_whole, simple, without_thousands
from lethe.data.sources.files import digest, load_blocks
from lethe.data.sources.identifiers import plain, read_ids
from lethe.data.sources.place import Place
from lethe.data.sources.times import read_times
from lethe.errors import DataError
from lethe.tables.interactions import UNKNOWN, Interactions, idle

INTERACTIONS = "interactions"
"""What a source calls its rows that has no parts."""
ROLES = ("user", "item", "rating", "timestamp", "weight")
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
"""As Arrow reads one."""
_SIGNS = " \ufeff"
"""What may stand around the name of a column where files were put together."""
_TWO = 2
"""Different words that stand in for ratings: yes and no."""


@dataclass(frozen=True)
class Rows:
    """The rows of a file, a block at a time, as often as they are asked for: what the columns of a file are is found in
    all of it, and only then is the first block read. Make it with ``Rows.of``.

    ``tables`` gives the mapped columns as the file has them; ``how`` names the kinds of ids.
    """

    file: str
    how: TableFormat
    tables: Callable[[], Iterator[pa.Table]]

    @classmethod
    def of(cls, path: Path, how: TableFormat) -> Rows:
        """Raises DataError with file, column and rule where one is missing, or nothing is to be read."""
        tables = _blocks(path, how, (how.columns.user, how.columns.item))
        kinds = {"ids": how.ids, "item_ids": how.item_ids or how.ids}
        for kind, role in zip(kinds, ("user", "item"), strict=True):
            if kinds[kind] == "auto":
                kinds[kind] = _kind_of_ids(tables, role, path.name, how)
        return cls(path.name, how.model_copy(update=kinds), tables)

    def __iter__(self) -> Iterator[Interactions]:
        """Raises DataError where a value is missing or of a wrong type."""
        first = 0
        for table in self.tables():
            with _of_rows(first, first + len(table)):
                yield interactions(table, self.file, self.how)
            first += len(table)


def read(path: Path, how: TableFormat) -> Interactions:
    """The mapped columns of a file. Raises DataError with file, column and rule where one is missing, empty in places,
    or of a wrong type."""
    blocks = list(Rows.of(path, how))
    return blocks[0] if len(blocks) == 1 else Interactions.concatenate(*blocks)


def read_source(source: TableSource, place: Place) -> Interactions:
    """All rows of a source that is one file."""
    return read(place.root / source.path, source)


def source_blocks(source: TableSource, place: Place) -> dict[str, Iterable[Interactions]]:
    """The same, a block at a time."""
    return {INTERACTIONS: Rows.of(place.root / source.path, source)}


def digest_source(source: TableSource, place: Place) -> str:
    """SHA-256 of the file's bytes."""
    return digest(place.root / source.path)


def load_columns(path: Path, how: TableFormat) -> pa.Table:
    """The mapped columns as the file has them, in no other order than its rows."""
    return pa.concat_tables(_blocks(path, how)())


def _blocks(path: Path, how: TableFormat, coded: Collection[str] = ()) -> Callable[[], Iterator[pa.Table]]:
    """``load_columns`` a block at a time; a file of one block is read once. ``coded`` as in ``load_blocks``."""
    blocks = _Begun(lambda: load_blocks(path, wanted(how), how, coded))
    if blocks.is_empty:
        raise DataError(f"{path.name}: it has no rows, at least 1 is needed")
    return _where(blocks, path.name, how)


class _Begun:
    """The blocks of a file, as often as they are asked for. Most who ask know by the first block what they want to
    know: it is held, and the file read on from there, until somebody asks for more. A file of one block is read once.
    """

    def __init__(self, read: Callable[[], Iterator[pa.Table]]) -> None:
        self._read, opened = read, read()
        first, more = next(opened), next(opened, None)
        self.is_empty = more is None and len(first) == 0
        self._is_whole = more is None
        self._begun: tuple[pa.Table, Iterator[pa.Table]] | None = first, chain(() if more is None else (more,), opened)

    def __call__(self) -> Iterator[pa.Table]:
        if self._begun is None:
            yield from self._read()
            return
        yield self._begun[0]
        if self._is_whole:
            return
        begun, self._begun = self._begun, None
        # Another who asked meanwhile may have gone on.
        yield from islice(self._read(), 1, None) if begun is None else begun[1]


def _kind_of_ids(tables: Callable[[], Iterator[pa.Table]], role: str, file: str, how: TableFormat) -> Kind:
    """What ``auto`` comes to: text as soon as one id is."""
    column = getattr(how.columns, role)
    place = f"{file}: column {column!r}"
    for table in tables():
        if pa.types.is_signed_integer(table[column].type) or pa.types.is_floating(table[column].type):
            return "integer"
        if read_ids(table[column], "auto", place, role=role, thousands=how.thousands).dtype == object:
            return "text"
    return "integer"


@contextmanager
def _of_rows(first: int, last: int) -> Iterator[None]:
    """What is counted of a block is said of the block, where there are several."""
    try:
        yield
    except DataError as error:
        if first == 0 and last < files.ROWS:
            raise
        raise DataError(f"{error} (counted in rows {first + 1} to {last})") from None


def wanted(how: TableFormat) -> list[str]:
    """Names of the columns that are read, each once."""
    mapped = [name for role in ROLES if (name := getattr(how.columns, role)) is not None]
    return list(dict.fromkeys([*mapped, *how.columns.context, *how.where]))


def where(table: pa.Table, file: str, how: TableFormat) -> pa.Table:
    """The rows whose columns have the values that ``how.where`` asks for."""
    return pa.concat_tables(_where(lambda: iter([table]), file, how)())


def _where(tables: Callable[[], Iterator[pa.Table]], file: str, how: TableFormat) -> Callable[[], Iterator[pa.Table]]:
    for name, value in how.where.items():
        if any(pa.types.is_nested(table[name].type) for table in tables()):
            raise DataError(
                f"{file}: column {name!r} of --where holds several values in one; give a column of one each"
            )
        tables = partial(_those, tables, name, value)
        if not any(map(len, tables())):
            raise DataError(f"{file}: it has no rows where {name} is {value!r}, at least 1 is needed")
    return tables


def _those(tables: Callable[[], Iterator[pa.Table]], name: str, value: str) -> Iterator[pa.Table]:
    return (table.filter(_equals(simple(table[name]), value)) for table in tables())


def _equals(column: pa.ChunkedArray, value: str) -> pa.ChunkedArray:
    """Whether each value is that one, as text or, where it is a number, as a number, whatever the others are."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    if is_text(column):
        column = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, pa.scalar(None, pa.string()))
    same, numbers = pc.equal(text, value.strip()), cast(column, pa.float64())
    if numbers is not None and (wanted := cast(pa.chunked_array([[value]]), pa.float64())) is not None:
        same = pc.or_kleene(same, pc.equal(numbers, wanted[0]))
    return pc.fill_null(same, False)


def interactions(table: pa.Table, file: str, how: TableFormat) -> Interactions:
    """Rows of the columns that ``load_columns`` gave."""
    columns = how.columns
    refuse_names_again(table, file, how)

    def where(name: str) -> str:
        return f"{file}: column {name!r}"

    users, items = (
        read_ids(table[name], kind, where(name), role=role, thousands=how.thousands)
        for role, name, kind in (
            ("user", columns.user, how.ids),
            ("item", columns.item, how.item_ids or how.ids),
        )
    )
    ratings = times = weights = None
    if columns.rating is not None:
        hint = f"give --rating-column - --where '{columns.rating}=...' with the word of those that are likes"
        ratings = _numbers(table[columns.rating], how, where(columns.rating), "rating", hint)
    if columns.weight is not None:
        weights = _numbers(table[columns.weight], how, where(columns.weight), "weight")
        if bad := idle(weights):
            raise DataError(f"{where(columns.weight)}: {bad} weights must be above 0; {LEAVE_OUT}")
    if columns.timestamp is not None:
        times = read_times(_whole(table[columns.timestamp], where(columns.timestamp)), how, where(columns.timestamp))
    contexts = {name: _context(table[name], where(name)) for name in columns.context}
    return Interactions.of(users, items, ratings, times, contexts, how.ticks, weights)


def refuse_names_again(table: pa.Table, file: str, how: TableFormat) -> None:
    """Raises DataError where the names of columns are a row, too: files were put together."""
    if not how.header or not all(is_text(simple(table[name])) for name in table.column_names):
        return
    for name in table.column_names:
        # Few are left by the end of a name alone; before it a mark of the byte order may stand, in whatever case.
        table = table.filter(pc.ends_with(pc.ascii_lower(simple(table[name])), _plain(name)))
        table = table.filter(pc.equal(pc.utf8_trim(pc.ascii_lower(simple(table[name])), _SIGNS), _plain(name)))
    if len(table):
        raise DataError(
            f"{file}: {len(table)} rows repeat the names of the columns; give --ignore-lines with what such lines begin"
            " with, --no-header, and the places of the columns (--user-column 1 --item-column 2 ...)"
        )


def _plain(name: str) -> str:
    """As ``ascii_lower`` writes it."""
    return name.strip(_SIGNS).encode().lower().decode()


def _whole(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    column = simple(column)
    must_be_whole(column, where)
    return column


def _numbers(column: pa.ChunkedArray, how: TableFormat, where: str, role: str, two: str | None = None) -> np.ndarray:
    """A column of numbers; ``two``: what to do where it holds two words."""
    column = _whole(column, where)
    numbers = None if pa.types.is_boolean(column.type) else cast(as_number(column, how), pa.float64())
    if numbers is None:
        hint = f"give --decimal or --thousands, or --{role}-column - where these are no figures"
        if pa.types.is_nested(column.type):
            hint = f"make its parts columns or rows of their own, or give --{role}-column -"
        elif two is not None and pc.count_distinct(column).as_py() == _TWO:
            hint = two
        raise DataError(f"{where} must be numbers, got {kind_of(column)}; {hint}")
    values = numbers.to_numpy()
    with np.errstate(over="ignore"):  # What is beyond the 32 bits in which it is kept is counted.
        bad = int((~np.isfinite(values.astype(np.float32))).sum())
    if bad:
        raise DataError(f"{where}: {bad} values are missing or not finite in 32 bits; {LEAVE_OUT}")
    return values


def as_number(column: pa.ChunkedArray, how: TableFormat) -> pa.ChunkedArray:
    """Text of numbers as Arrow reads it: no thousands, a point before the decimals."""
    if not is_text(column):
        return column
    column = without_thousands(column, how.thousands)
    return pc.utf8_trim_whitespace(pc.replace_substring(column, how.decimal, "."))


def _context(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """[n] object: values as text, ``UNKNOWN`` where there is none."""
    text = plain(column, where).cast(pa.string())
    filled = pc.if_else(pc.equal(pc.fill_null(text, ""), ""), UNKNOWN, text)
    return np.array(filled.to_pylist(), dtype=object)
