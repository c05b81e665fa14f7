"""Of how many rows each of many people is the subject, or is named in: counted for all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from lethe.forgetting.ledger.beside import said_of
from lethe.forgetting.ledger.requests import ID_COLUMNS, ForgetRequest
from lethe.tables.ids import as_integer, same_id
from lethe.tables.inside import KnownIds, inside
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SAID, SideTable, may_name, may_name_in_context
from lethe.tables.texts import Column

_FEW = 20
"""Ids that are looked for one by one."""


def of_each(
    requests: Sequence[ForgetRequest],
    known: KnownIds,
    of_people: Callable[[People], Sequence[int]],
    of_one: Callable[[ForgetRequest], int],
) -> list[int]:
    """A count of each request: of those about whole people at once, of the others one by one."""
    counts: dict[str, int] = {}
    for also_item in (False, True):
        whole = {r.id: r.user for r in requests if r.kind == "user" and r.user is not None and r.also_item == also_item}
        people = People(tuple(dict.fromkeys(whole.values())), also_item, known)
        numbers = dict(zip(people.ids, of_people(people), strict=True)) if whole else {}
        counts |= {id: numbers[user] for id, user in whole.items()}
    return [counts[r.id] if r.id in counts else of_one(r) for r in requests]


@dataclass(frozen=True)
class People:
    """Distinct ids, of people who are items too or are not. ``known``: whose longer ids are no hit."""

    ids: tuple[str, ...] = field(repr=False)
    also_items: bool
    known: KnownIds = field(repr=False)

    def rows(self, rows: Interactions) -> list[int]:
        """Of each, how many rows are of them."""
        return self._count(self._covered(rows))

    def contexts(self, rows: Interactions) -> list[int]:
        """Of each, how many rows of others name them in a context."""
        if not self.also_items or not rows.contexts:
            return [0] * len(self.ids)
        named = np.concatenate([*map(self._in_context, rows.contexts.values())])
        return self._count(np.setdiff1d(named, self._covered(rows)))

    def mentions(self, table: SideTable) -> list[int]:
        """Of each, how many rows of a side table are about them."""
        return self._count(np.concatenate([_NONE, *self._mentions(table)]))

    def _covered(self, rows: Interactions) -> np.ndarray:
        users = self._hits(rows.user_ids, self.ids)
        return np.concatenate([users, self._hits(rows.item_ids, self.ids)]) if self.also_items else users

    def _mentions(self, table: SideTable) -> Iterator[np.ndarray]:
        for name in ID_COLUMNS if self.also_items else ID_COLUMNS[:2]:
            if name in table.columns:
                yield self._hits(table[name], self.ids)
        if not self.also_items:
            return
        if SAID in table.columns:
            yield self._hits(table[SAID], [*filter(may_name, self.ids)])
        yield from (self._of(raw, named) for _, raw, named in said_of(self.ids, table.columns, self.known))

    def _in_context(self, column: Column) -> np.ndarray:
        words = [*filter(may_name_in_context, self.ids)]
        within = inside(column, words, self.known).items()
        return np.concatenate([self._hits(column, words), *(self._of(raw, named) for raw, named in within)])

    def _hits(self, column: Column, ids: Sequence[str]) -> np.ndarray:
        """Wherever a column holds one of these ids, as one number: row times number of people, and who."""
        if len(ids) <= _FEW:
            return np.concatenate([_NONE, *(self._of(raw, same_id(column, raw)) for raw in ids)])
        rows, which = places(column, ids)
        return rows * len(self.ids) + np.array([self._place[raw] for raw in ids])[which]

    def _of(self, raw: str, rows: np.ndarray) -> np.ndarray:
        return np.flatnonzero(rows) * len(self.ids) + self._place[raw]

    def _count(self, hits: np.ndarray) -> list[int]:
        # Twice in a row (as user and as item, in two words) is one row.
        counts: list[int] = np.bincount(np.unique(hits) % max(1, len(self.ids)), minlength=len(self.ids)).tolist()
        return counts

    @cached_property
    def _place(self) -> dict[str, int]:
        return {raw: place for place, raw in enumerate(self.ids)}


_NONE = np.zeros(0, dtype=np.int64)


def places(column: Column, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """([n] row, [n] which of these distinct ids) wherever a column of raw ids holds one."""
    import pyarrow.compute as pc  # Not at the top: it takes as long to import as a request takes to be counted.

    numbers = np.issubdtype(column.dtype, np.integer)
    wanted = pa.array([as_integer(raw) for raw in ids] if numbers else ids, pa.int64() if numbers else pa.string())
    found = pc.index_in(pa.array(column, wanted.type), value_set=wanted, skip_nulls=True)
    rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    return rows, found.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)


def tally(columns: Iterable[Column], ids: Sequence[str]) -> np.ndarray:
    """[len(ids)] int64: how often each of these distinct ids stands in columns of raw ids."""
    counts = np.zeros(len(ids), dtype=np.int64)
    for column in columns:
        if len(ids) <= _FEW:
            counts += np.array([int(same_id(column, raw).sum()) for raw in ids], dtype=np.int64)
        else:
            counts += np.bincount(places(column, ids)[1], minlength=len(ids))
    return counts
