"""Tables looked at together, some users at a time: memory then follows the block, not the tables.

A table lies in the order of its users (``Interactions``). Several are read side by side and cut at the same users, so
that all rows of a user, wherever they lie, come in one step. A table in another order comes whole, in one step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.errors import DataError
from lethe.tables.columns import coded_in, column_of, from_arrow, holds_text
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Column, Texts, increases

T = TypeVar("T")

AT_ONCE = 1 << 19
"""Rows of the first table in a step, about; of the others together as many."""

_BUFFER = 1 << 16
"""Bytes of a column that are read at once; without it, or with Arrow's ``pre_buffer``, whole files are held."""

Block: TypeAlias = Mapping[str, np.ndarray | pa.ChunkedArray]
"""Aligned columns by name: numbers, or text as Arrow has it."""


@dataclass(frozen=True)
class Stretch:
    """The users from ``first`` on and before ``end``, in their order; None: from the very first, to the very last."""

    first: int | str | None = None
    end: int | str | None = None


EVERYBODY = Stretch()


class _OutOfOrder(Exception):
    """A table's users do not stand in increasing order, or are numbers in one table and text in another."""


Source: TypeAlias = Path | Interactions
"""A Parquet file of interactions; or a table that is held already, which is looked at in one step."""


def in_steps(
    count: Callable[[Block, Sequence[Block]], T],
    whole: Source,
    parts: Sequence[Source] = (),
    at_once: int | None = None,
    begin: Callable[[], None] = lambda: None,
) -> list[T]:
    """``count(block of whole, blocks of the parts)`` for each step; every row is in one step, each user's together.

    ``begin`` is called before the first step, and once more where a table turns out to lie in another order.
    Raises DataError where a file can't be read.
    """
    sources = (whole, *parts)
    paths = [source for source in sources if isinstance(source, Path)]
    begin()
    if len(paths) == len(sources):
        try:
            return [count(first, others) for first, *others in _steps(paths, at_once or AT_ONCE, ())]
        except _OutOfOrder:
            begin()
    return [count(_everything(whole), [_everything(part) for part in parts])]


def side_by_side(
    whole: Path,
    parts: Sequence[Path] = (),
    also: Sequence[str] = (),
    at_once: int | None = None,
    of: Stretch = EVERYBODY,
    of_parts: Sequence[str] | None = None,
) -> Iterator[tuple[Block, list[Block]]]:
    """The blocks of ``in_steps``, one step after the other. ``also``: further columns, of the files that have them.
    ``of``: the users whose rows are looked at. ``of_parts``: the columns of the parts that are looked at, as far as
    they have them; users are always among these.

    Raises DataError where a file can't be read, or does not lie in the order of its users.
    """
    try:
        for first, *others in _steps((whole, *parts), at_once or AT_ONCE, also, of, of_parts):
            yield first, others
    except _OutOfOrder:
        raise DataError(f"{whole}: it and {[path.name for path in parts]} must lie in the order of users") from None


def merged(paths: Sequence[Path], at_once: int | None = None) -> Iterator[list[Block]]:
    """The blocks of several tables, cut at the same users: of all together about ``at_once`` rows, whichever has them,
    and at most twice as many, but for those of one user. Raises DataError as ``side_by_side``.
    """
    share = max(1, (at_once or AT_ONCE) // len(paths))
    streams = [_Stream(path, share) for path in paths]
    try:
        while unread := [stream for stream in streams if stream.fill(share)]:
            # Whoever is held last of a table may have further rows in it.
            end = min(stream.last for stream in unread)
            blocks = [stream.until(end) for stream in streams]
            if any(map(length, blocks)):
                yield blocks
            else:
                for stream in (stream for stream in unread if stream.last == end):
                    stream.pull()
        yield [stream.rest() for stream in streams]
    except _OutOfOrder:
        raise DataError(f"{[path.name for path in paths]}: must lie in the order of users") from None


def stretches(path: Path) -> list[Stretch]:
    """A table's users cut where its row groups begin: of each stretch about as many rows as Parquet lays together."""
    with pq.ParquetFile(path) as file:
        users = [least for least, _ in _users_of_groups(file) if least is not None]
    ends = [*dict.fromkeys(users[1:]), None]
    return [Stretch(first, end) for first, end in zip([None, *ends], ends, strict=False)]


def length(block: Block) -> int:
    """How many rows a block has."""
    return len(next(iter(block.values())))


def held(block: Block) -> dict[str, Column]:
    """The columns of a block as ``Interactions`` hold them."""
    return {n: column if isinstance(column, np.ndarray) else column_of(column) for n, column in block.items()}


def block_of(rows: Interactions) -> Block:
    """A table that is held as a block."""
    return {n: pa.chunked_array([c.coded()]) if isinstance(c, Texts) else c for n, c in rows.columns()}


def rows_of(block: Block) -> Interactions:
    """A block as a table of its own."""
    return Interactions.of_columns(held(block))


def _steps(
    paths: Sequence[Path],
    at_once: int,
    also: Sequence[str],
    of: Stretch = EVERYBODY,
    of_parts: Sequence[str] | None = None,
) -> Iterator[list[Block]]:
    share = max(1, at_once // max(1, len(paths) - 1))
    whole, *parts = paths
    first = _Stream(whole, at_once, also, of)
    streams = [first, *(_Stream(path, share, also, of, of_parts) for path in parts)]
    while first.pull():
        end = first.last
        yield [stream.until(end) for stream in streams]
    yield [stream.rest() for stream in streams]


@dataclass(frozen=True)
class _Piece:
    """Rows of one read: ``users`` are the distinct ones, increasing; the rows of each begin at ``starts``."""

    table: pa.Table
    users: Column
    starts: np.ndarray

    @classmethod
    def of(cls, table: pa.Table) -> _Piece:
        column = table["user"]
        if column.null_count:
            raise _OutOfOrder
        users = column_of(column)
        values = users.codes if isinstance(users, Texts) else users
        if values.dtype.kind not in "iu":
            raise _OutOfOrder
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        users = users[starts]
        if not increases(users):
            raise _OutOfOrder
        return cls(table, users, starts)

    def cut(self, end: int | str) -> tuple[pa.Table, _Piece | None]:
        """The rows of users before ``end``, and the others."""
        if isinstance(end, str) != isinstance(self.users, Texts):
            raise _OutOfOrder
        place = bisect_left(range(len(self.users)), end, key=self.user)
        if place == len(self.users):
            return self.table, None
        row = int(self.starts[place])
        return self.table.slice(0, row), _Piece(self.table.slice(row), self.users[place:], self.starts[place:] - row)

    def user(self, place: int) -> Any:
        """One of the users: an int, or a str, which compares with its like alone."""
        user = self.users[place]
        return user if isinstance(user, str) else int(user)


class _Stream:
    """One table, of which as much is held as the step needs."""

    def __init__(
        self,
        path: Path,
        rows: int,
        also: Sequence[str] = (),
        of: Stretch = EVERYBODY,
        only: Sequence[str] | None = None,
    ) -> None:
        self._reads = _reads(path, rows, also, of, only)
        self._empty = next(self._reads)
        self._held: deque[_Piece] = deque()
        self._ended = False

    @property
    def last(self) -> int | str:
        """The last user that is held; more rows of this one may follow."""
        user: int | str = self._held[-1].user(-1)
        return user

    def fill(self, rows: int) -> bool:
        """Hold so many rows; False once all were read, and whoever is held has no further ones."""
        while not self._ended and sum(len(piece.table) for piece in self._held) < rows:
            self.pull()
        return not self._ended

    def pull(self) -> bool:
        """Hold the rows of one more read; False where there is none."""
        table = next((table for table in self._reads if len(table)), None)
        if table is None:
            self._ended = True
            return False
        piece = _Piece.of(table)
        if self._held and piece.user(0) < self.last:
            raise _OutOfOrder
        self._held.append(piece)
        return True

    def until(self, end: int | str) -> Block:
        """Give away the rows of all users before ``end``."""
        given: list[pa.Table] = []
        while self._held or self.pull():
            table, left = self._held.popleft().cut(end)
            given.append(table)
            if left is not None:
                self._held.appendleft(left)
                break
        return _block(self._empty, given)

    def rest(self) -> Block:
        while self.pull():
            pass
        return _block(self._empty, [piece.table for piece in self._held])


def _everything(source: Source) -> Block:
    if isinstance(source, Interactions):
        return block_of(source)
    empty, *tables = _reads(source, AT_ONCE)
    return _block(empty, tables)


def _block(empty: pa.Table, tables: Sequence[pa.Table]) -> Block:
    """Tables one below the other; ``empty`` names the columns where there is none."""
    table = pa.concat_tables(tables or [empty])
    columns = {name: table[name] for name in table.column_names}
    return {name: column if holds_text(column) else from_arrow(column) for name, column in columns.items()}


def _reads(
    path: Path,
    rows: int,
    also: Sequence[str] = (),
    of: Stretch = EVERYBODY,
    only: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """First no row, then all of a stretch of users in their order, ``rows`` at a time at most."""
    try:
        with pq.ParquetFile(path) as file:
            schema, names = file.schema_arrow, Interactions.columns_of(path, file.schema_arrow.names)
            wanted = [*names, *also] if only is None else only
            names = [name for name in wanted if name in schema.names]
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
            raise _OutOfOrder
        return bool(user < other)

    def may_hold(least: int | str | None, greatest: int | str | None) -> bool:
        too_late = of.end is not None and least is not None and not is_before(least, of.end)
        too_early = of.first is not None and greatest is not None and is_before(greatest, of.first)
        return not (too_late or too_early)

    return [place for place, users in enumerate(_users_of_groups(file)) if may_hold(*users)]


def _only(table: pa.Table, of: Stretch) -> pa.Table:
    """The rows of a stretch of users."""
    if of.first is not None and len(table):
        _, rest = _Piece.of(table).cut(of.first)
        table = table.slice(0, 0) if rest is None else rest.table
    if of.end is not None and len(table):
        table, _ = _Piece.of(table).cut(of.end)
    return table
