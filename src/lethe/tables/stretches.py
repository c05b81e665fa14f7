"""A table read in the order of its users: stretches of them, some rows at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.errors import DataError
from lethe.tables.columns import coded_in, column_of
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Column, Texts, increases

_BUFFER = 1 << 16
"""Bytes of a column that are read at once; without it, or with Arrow's ``pre_buffer``, whole files are held."""


@dataclass(frozen=True)
class Stretch:
    """The users from ``first`` on and before ``end``, in their order; None: from the very first, to the very last."""

    first: int | str | None = None
    end: int | str | None = None


EVERYBODY = Stretch()


class OutOfOrder(Exception):
    """A table's users do not stand in increasing order, or are numbers in one table and text in another."""


def stretches(path: Path) -> list[Stretch]:
    """A table's users cut where its row groups begin: of each stretch about as many rows as Parquet lays together."""
    with pq.ParquetFile(path) as file:
        users = [least for least, _ in _users_of_groups(file) if least is not None]
    ends = [*dict.fromkeys(users[1:]), None]
    return [Stretch(first, end) for first, end in zip([None, *ends], ends, strict=False)]


@dataclass(frozen=True)
class Piece:
    """Rows of one read: ``users`` are the distinct ones, increasing; the rows of each begin at ``starts``."""

    table: pa.Table
    users: Column
    starts: np.ndarray

    @classmethod
    def of(cls, table: pa.Table) -> Piece:
        column = table["user"]
        if column.null_count:
            raise OutOfOrder
        users = column_of(column)
        values = users.codes if isinstance(users, Texts) else users
        if values.dtype.kind not in "iu":
            raise OutOfOrder
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        users = users[starts]
        if not increases(users):
            raise OutOfOrder
        return cls(table, users, starts)

    def cut(self, end: int | str) -> tuple[pa.Table, Piece | None]:
        """The rows of users before ``end``, and the others."""
        if isinstance(end, str) != isinstance(self.users, Texts):
            raise OutOfOrder
        place = bisect_left(range(len(self.users)), end, key=self.user)
        if place == len(self.users):
            return self.table, None
        row = int(self.starts[place])
        return self.table.slice(0, row), Piece(self.table.slice(row), self.users[place:], self.starts[place:] - row)

    def user(self, place: int) -> Any:
        """One of the users: an int, or a str, which compares with its like alone."""
        user = self.users[place]
        return user if isinstance(user, str) else int(user)


def reads(
    path: Path,
    rows: int,
    also: Sequence[str] = (),
    of: Stretch = EVERYBODY,
    only: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """First no row, then all of a stretch of users in their order, ``rows`` at a time at most; of the columns of
    interactions and those that are named ``also``, or of those that ``only`` names, as far as they are there."""
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            wanted = [*Interactions.columns_of(path, schema.names), *also] if only is None else only
            names = [name for name in wanted if name in schema.names]
            if "user" not in names:
                raise DataError(f"{path}: column 'user' is missing, it has {schema.names}")
            groups = None if of == EVERYBODY else _groups(file, of)
            text = coded_in(file, names)
        yield schema.empty_table().select(names)
        with pq.ParquetFile(path, read_dictionary=text, buffer_size=_BUFFER, pre_buffer=False) as file:
            for batch in file.iter_batches(rows, row_groups=groups, columns=names):
                yield _only(pa.Table.from_batches([batch]), of)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file ({type(error).__name__})") from None


def _users_of_groups(file: pq.ParquetFile) -> Iterator[tuple[int | str | None, int | str | None]]:
    """The least and the greatest user of each row group, where the file says them."""
    column = file.schema_arrow.names.index("user")
    for group in range(file.num_row_groups):
        said = file.metadata.row_group(group).column(column).statistics
        yield (said.min, said.max) if said is not None and said.has_min_max else (None, None)


def _groups(file: pq.ParquetFile, of: Stretch) -> list[int]:
    """Row groups that may hold rows of a stretch of users."""

    def is_before(user: Any, other: Any) -> bool:
        if isinstance(user, str) != isinstance(other, str):
            raise OutOfOrder
        return bool(user < other)

    def may_hold(least: int | str | None, greatest: int | str | None) -> bool:
        too_late = of.end is not None and least is not None and not is_before(least, of.end)
        too_early = of.first is not None and greatest is not None and is_before(greatest, of.first)
        return not (too_late or too_early)

    return [place for place, users in enumerate(_users_of_groups(file)) if may_hold(*users)]


def _only(table: pa.Table, of: Stretch) -> pa.Table:
    """The rows of a stretch of users."""
    if of.first is not None and len(table):
        _, rest = Piece.of(table).cut(of.first)
        table = table.slice(0, 0) if rest is None else rest.table
    if of.end is not None and len(table):
        table, _ = Piece.of(table).cut(of.end)
    return table
