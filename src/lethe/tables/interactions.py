"""The one table everything else is made of: who interacted with what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.errors import DataError
from lethe.tables.columns import (
    coded_in,
    column_of,
    digest_columns,
    digest_pieces,
    holds_text,
    ranked,
    sortable,
    to_arrow,
    write_parquet,
)
from lethe.tables.ids import canonical_ids
from lethe.tables.texts import Column, concatenated

TIMES = {"timestamp": 1, "timestamp_ms": 10**3, "timestamp_us": 10**6, "timestamp_ns": 10**9}
"""The name of the column of times says in how many parts of a second it counts."""
CONTEXT = "context."
"""What the name of a context field's column begins with."""
UNKNOWN = "missing"
"""The value of a context where the source has none."""


@dataclass(frozen=True)
class Interactions:
    """Aligned columns in canonical order: user, item, contexts, timestamp, rating, weight. Build it with
    ``Interactions.of``.

    user_ids, item_ids  [n] int64, or text (``Texts``, or an object array of str): raw ids, as the source has them
    ratings             [n] float32, or None where the source has none
    timestamps          [n] int64, or None: since 1970, or any integer that grows with time (see the dataset's params)
    contexts            {field: [n]} in what situation, fields by name; values like ids. Mostly there are none
    weights             [n] float32, above 0, or None: how much each interaction counts (views, purchases, minutes)
    """

    user_ids: Column
    item_ids: Column
    ratings: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    contexts: dict[str, Column] = field(default_factory=dict)
    ticks: int = 1
    """How many units of the timestamps make a second. More than one where a second would not keep rows in order."""
    weights: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        user_ids: Column,
        item_ids: Column,
        ratings: np.ndarray | None = None,
        timestamps: np.ndarray | None = None,
        contexts: Mapping[str, Column] | None = None,
        ticks: int = 1,
        weights: np.ndarray | None = None,
    ) -> Interactions:
        """Bring columns of any integer, float or string type into canonical types and order.

        Raises DataError if lengths differ, an id is missing, a rating, timestamp or weight is not a finite number, or a
        weight is not above 0.
        """
        columns = {"user": user_ids, "item": item_ids, "rating": ratings, "timestamp": timestamps, "weight": weights}
        columns |= contexts or {}
        lengths = {name: len(column) for name, column in columns.items() if column is not None}
        if len(set(lengths.values())) > 1:
            raise DataError(f"columns must have one length, got {lengths}")
        users, items = canonical_ids("user", user_ids), canonical_ids("item", item_ids)
        stars = None if ratings is None else _numbers("rating", ratings, np.float32)
        times = None if timestamps is None else _numbers("timestamp", timestamps, np.int64)
        situation = {name: canonical_ids(CONTEXT + name, column) for name, column in sorted((contexts or {}).items())}
        counts = None if weights is None else _numbers("weight", weights, np.float64)
        if counts is not None and (bad := idle(counts)):
            raise DataError(f"Column 'weight': {bad} values must be above 0, and finite in 32 bits")
        single = None if counts is None else counts.astype(np.float32)
        return cls(users, items, stars, times, situation, ticks, single).in_order()

    def in_order(self) -> Interactions:
        """The same rows in canonical order; canonical columns are taken for granted."""
        numbers = [column for column in (self.weights, self.ratings, self.timestamps) if column is not None]
        # Whoever orders text again finds its distinct values sorted.
        users, items = (ranked(ids) if holds_text(ids) else ids for ids in (self.user_ids, self.item_ids))
        minor = [*numbers, *(sortable(column) for column in reversed(self.contexts.values()))]
        order = _order(sortable(users), sortable(items), minor)
        rows = replace(self, user_ids=users, item_ids=items)
        return rows if order is None else rows.take(order)

    @classmethod
    def concatenate(cls, *parts: Interactions) -> Interactions:
        """All rows of tables that have the same columns, in canonical order."""

        def whole(columns: list[np.ndarray | None]) -> np.ndarray | None:
            there = [c for c in columns if c is not None]
            return np.concatenate(there) if len(there) == len(columns) else None

        columns = (
            concatenated([p.user_ids for p in parts]),
            concatenated([p.item_ids for p in parts]),
            whole([p.ratings for p in parts]),
            whole([p.timestamps for p in parts]),
            {name: concatenated([p.contexts[name] for p in parts]) for name in parts[0].contexts},
            _same({p.ticks for p in parts}),
            whole([p.weights for p in parts]),
        )
        one_kind = len({tuple(key.dtype for key in (p.user_ids, p.item_ids, *p.contexts.values())) for p in parts}) == 1
        return cls(*columns).in_order() if one_kind else cls.of(*columns)

    def __len__(self) -> int:
        return len(self.user_ids)

    def columns(self) -> Iterator[tuple[str, Column]]:
        """The columns that are there, by name, in fixed order."""
        time = next(name for name, ticks in TIMES.items() if ticks == self.ticks)
        columns = (self.user_ids, self.item_ids, self.ratings, self.timestamps, self.weights)
        for name, column in zip(_names(time), columns, strict=True):
            if column is not None:
                yield name, column
        for name, column in self.contexts.items():
            yield CONTEXT + name, column

    def take(self, rows: np.ndarray) -> Interactions:
        """The rows of a boolean mask, or of positions; a mask, or increasing positions, keep the canonical order."""
        return Interactions(
            self.user_ids[rows],
            self.item_ids[rows],
            None if self.ratings is None else self.ratings[rows],
            None if self.timestamps is None else self.timestamps[rows],
            {name: column[rows] for name, column in self.contexts.items()},
            self.ticks,
            None if self.weights is None else self.weights[rows],
        )

    def without_contexts(self, unknown: Mapping[str, np.ndarray]) -> Interactions:
        """The same rows in canonical order, where some contexts {field: [n] bool} are unknown. Pairs may recur then."""
        contexts = dict(self.contexts)
        for name, rows in unknown.items():
            contexts[name] = np.where(rows, UNKNOWN, np.asarray(contexts[name], dtype=object))
        return replace(self, contexts=contexts).in_order()

    @property
    def seconds(self) -> np.ndarray | None:
        """The timestamps in whole seconds."""
        return self.timestamps if self.timestamps is None or self.ticks == 1 else self.timestamps // self.ticks

    def digest(self) -> str:
        """SHA-256 of the content (names, types and values of the columns in canonical order), whatever the file."""
        return digest_columns(self.columns())

    @staticmethod
    def digest_of(table: pa.Table) -> str:
        """``digest`` of what ``of_table`` makes of a table, without making it."""
        return digest_columns((name, table[name]) for name in _in_order(table.column_names))

    @staticmethod
    def digest_at(path: Path) -> str:
        """``digest`` of what a file that ``write`` wrote holds, of which a piece of a column is held at a time."""
        with pq.ParquetFile(path, pre_buffer=False) as file:
            count = file.metadata.num_rows

            def pieces(name: str) -> Iterator[pa.ChunkedArray]:
                yield file.schema_arrow.empty_table()[name]
                for batch in file.iter_batches(columns=[name]):
                    yield pa.chunked_array([batch.column(0)])

            return digest_pieces((name, count, pieces(name)) for name in _in_order(file.schema_arrow.names))

    @staticmethod
    def columns_of(path: Path | BinaryIO, names: Sequence[str]) -> list[str]:
        """Those columns of a file that are ours, in fixed order. Raises DataError where users or items are missing."""
        missing = [name for name in ("user", "item") if name not in names]
        if missing:
            raise DataError(f"{path}: column {missing[0]!r} is missing, it has {list(names)}")
        return _in_order(names)

    @classmethod
    def read(cls, path: Path | BinaryIO) -> Interactions:
        """Read a file written by ``write`` (already canonical)."""
        try:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                names = cls.columns_of(path, file.schema_arrow.names)
                text = coded_in(file, names)
            with pq.ParquetFile(path, read_dictionary=text, pre_buffer=False) as file:
                # One by one: what Arrow holds of a column is gone before the next.
                return cls.of_columns({name: column_of(file.read([name])[name]) for name in names})
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{path}: not a readable Parquet file ({type(error).__name__})") from None

    @classmethod
    def of_table(cls, table: pa.Table) -> Interactions:
        """What ``write`` wrote, decoded already."""
        return cls.of_columns({name: column_of(table[name]) for name in table.column_names})

    @classmethod
    def of_columns(cls, column: Mapping[str, Column]) -> Interactions:
        """Canonical columns under the names that ``columns`` gives them."""
        contexts = {name.removeprefix(CONTEXT): value for name, value in column.items() if name.startswith(CONTEXT)}
        time = next((name for name in TIMES if name in column), "timestamp")
        rating, times, weights = (
            np.asarray(column[name]) if name in column else None for name in ("rating", time, "weight")
        )
        return cls(column["user"], column["item"], rating, times, contexts, TIMES[time], weights)

    def to_table(self) -> pa.Table:
        """The columns under their names, as Arrow has them."""
        return pa.table({name: to_arrow(column) for name, column in self.columns()})

    def write(self, path: Path) -> None:
        """Write Parquet whose bytes are a function of the content (within one pyarrow version), atomically."""
        write_parquet(self.to_table(), path)


def _in_order(names: Sequence[str]) -> list[str]:
    """Those of a table's columns that are ours, in fixed order."""
    time = next((name for name in TIMES if name in names), "timestamp")
    return [*(name for name in _names(time) if name in names), *(n for n in names if n.startswith(CONTEXT))]


def _names(time: str) -> tuple[str, ...]:
    """Of the columns but the contexts, in fixed order."""
    return "user", "item", "rating", time, "weight"


def idle(weights: np.ndarray) -> int:
    """How many weights say nothing: not above 0, missing, or not finite, all in 32 bits."""
    single = np.finfo(np.float32)
    return len(weights) - int(((weights >= single.tiny) & (weights <= single.max)).sum())


def _order(users: np.ndarray, items: np.ndarray, minor: Sequence[np.ndarray]) -> np.ndarray | None:
    """Positions [n] that sort rows by integers ``users``, ``items``, then by ``minor``, whose last comes first; None
    where they are sorted already."""
    if not len(users):
        return None
    first, last = (int(bound(items)) for bound in (np.min, np.max))
    low, span = int(users.min()), last - first + 1
    if (int(users.max()) - low + 1) * span >= 1 << 63:
        return np.lexsort([*minor, items, users])
    # Both in one number: where no pair repeats, that is all there is to sort by.
    pairs = (users - low) * span + (items - first)
    if np.all(pairs[1:] > pairs[:-1]):
        return None
    order = np.argsort(pairs)
    ordered = pairs[order]
    return order if np.all(ordered[1:] > ordered[:-1]) else np.lexsort([*minor, pairs])


def _same(ticks: set[int]) -> int:
    if len(ticks) > 1:
        raise DataError("column 'timestamp': tables that are put together must have one resolution")
    return ticks.pop()


def _numbers(name: str, column: np.ndarray, dtype: type) -> np.ndarray:
    column = np.asarray(column)
    if not np.issubdtype(column.dtype, np.number):
        raise DataError(f"Column {name!r} must be numeric, got {column.dtype}")
    if np.issubdtype(column.dtype, np.floating):
        with np.errstate(over="ignore"):  # What is beyond 32 bits is counted.
            kept = column.astype(dtype) if np.issubdtype(dtype, np.floating) else column
        if bad := int((~np.isfinite(kept)).sum()):
            raise DataError(f"Column {name!r}: {bad} values are missing or not finite")
    return column.astype(dtype)
