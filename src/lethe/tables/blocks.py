"""Tables looked at together, some users at a time: memory then follows the block, not the tables.

A table lies in the order of its users (``Interactions``). Several are read side by side and cut at the same users, so
that all rows of a user, wherever they lie, come in one step. A table in another order comes whole, in one step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa

from lethe.errors import DataError
from lethe.tables.columns import column_of, from_arrow, holds_text
from lethe.tables.interactions import Interactions
from lethe.tables.stretches import EVERYBODY, OutOfOrder, Piece, Stretch, reads
from lethe.tables.texts import Column, Texts, concatenated

T = TypeVar("T")

AT_ONCE = 1 << 19
"""Rows of the first table in a step, about; of the others together as many."""

Block: TypeAlias = Mapping[str, np.ndarray | pa.ChunkedArray]
"""Aligned columns by name: numbers, or text as Arrow has it."""


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
        except OutOfOrder:
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
    except OutOfOrder:
        raise DataError(f"{whole}: it and {[path.name for path in parts]} must lie in the order of users") from None


def merged(
    paths: Sequence[Path], at_once: int | None = None, only: Mapping[Path, Sequence[str]] | None = None
) -> Iterator[list[Block]]:
    """The blocks of several tables, cut at the same users: of all together about ``at_once`` rows, whichever has them,
    and at most twice as many, but for those of one user. ``only``: the columns that are looked at of tables that are
    no interactions, or of which not all are asked for. Raises DataError as ``side_by_side``.
    """
    share, only = max(1, (at_once or AT_ONCE) // len(paths)), only or {}
    streams = [_Stream(path, share, only=only.get(path)) for path in paths]
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
    except OutOfOrder:
        raise DataError(f"{[path.name for path in paths]}: must lie in the order of users") from None


def length(block: Block) -> int:
    """How many rows a block has."""
    return len(next(iter(block.values())))


def held(block: Block) -> dict[str, Column]:
    """The columns of a block as ``Interactions`` hold them."""
    return {n: column if isinstance(column, np.ndarray) else column_of(column) for n, column in block.items()}


def block_of(rows: Interactions) -> Block:
    """A table that is held as a block."""
    return {n: pa.chunked_array([c.coded()]) if isinstance(c, Texts) else c for n, c in rows.columns()}


def joined(blocks: Iterable[Interactions]) -> Interactions:
    """Blocks of one table, at least one, in their order."""
    tables = [dict(block.columns()) for block in blocks]
    return Interactions.of_columns({name: concatenated([table[name] for table in tables]) for name in tables[0]})


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
        self._reads = reads(path, rows, also, of, only)
        self._empty = next(self._reads)
        self._held: deque[Piece] = deque()
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
        piece = Piece.of(table)
        if self._held and piece.user(0) < self.last:
            raise OutOfOrder
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
    empty, *tables = reads(source, AT_ONCE)
    return _block(empty, tables)


def _block(empty: pa.Table, tables: Sequence[pa.Table]) -> Block:
    """Tables one below the other; ``empty`` names the columns where there is none."""
    table = pa.concat_tables(tables or [empty])
    columns = {name: table[name] for name in table.column_names}
    return {name: column if holds_text(column) else from_arrow(column) for name, column in columns.items()}
