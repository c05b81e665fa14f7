"""Which shard every row is in, and what a partition is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.config.sharding import Balance
from lethe.core.random import Stream
from lethe.errors import DataError
from lethe.tables.catalogue import Catalogue
from lethe.tables.columns import to_arrow, write_parquet
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Column

Embeddings = Callable[[Interactions, Stream], tuple[Catalogue, np.ndarray, np.ndarray]]
"""Pre-trains two towers on all rows: (whose rows they are, users [num_users, d], items [num_items, d])."""


@dataclass(frozen=True)
class Assignment:
    """The shard of each row, in the canonical order of the interactions: aligned columns.

    user_ids, item_ids  [n] raw ids, int64 or text    shards, slices  [n] int64, from 0; slices may be None
    """

    user_ids: Column
    item_ids: Column
    shards: np.ndarray
    slices: np.ndarray | None = None

    PLACES: ClassVar[tuple[str, ...]] = ("shard", "slice")
    """Names of the columns beside the ids."""

    def to_table(self) -> pa.Table:
        """The columns under their names, as Arrow has them."""
        table = {
            "user": to_arrow(self.user_ids),
            "item": to_arrow(self.item_ids),
            "shard": pa.array(self.shards.astype(np.int64)),
        }
        if self.slices is not None:
            table["slice"] = pa.array(self.slices.astype(np.int64))
        return pa.table(table)

    def write(self, path: Path) -> None:
        """Write Parquet whose bytes are a function of the content, atomically."""
        write_parquet(self.to_table(), path)

    @classmethod
    def read(cls, path: Path) -> Assignment:
        """Read what ``write`` wrote; raises DataError where the file is no assignment."""
        columns = Interactions.read(path).columns()
        there = pq.read_schema(path).names
        if "shard" not in there:
            raise DataError(f"{path}: column 'shard' is missing, it has {there}")
        places = pq.read_table(path, columns=[name for name in cls.PLACES if name in there])
        return cls.of_columns(dict(columns) | {name: places[name].to_numpy() for name in places.column_names})

    @classmethod
    def of_columns(cls, column: Mapping[str, Column]) -> Assignment:
        """Of columns under the names of ``to_table``."""
        slices = column.get("slice")
        return cls(
            column["user"], column["item"], np.asarray(column["shard"]), None if slices is None else np.asarray(slices)
        )


class Assign(Protocol):
    """The one signature of all partitions."""

    def __call__(
        self,
        interactions: Interactions,
        num_shards: int,
        previous: Assignment | None,
        stream: Stream,
        *,
        balance: Balance,
        embeddings: Embeddings,
    ) -> np.ndarray:
        """The shard of each row -> [n] int64 in [0, num_shards): a pure function of its arguments.

        ``previous`` is the assignment frozen when the epoch began, or None to begin one; ``balance`` bounds the shards
        of the balanced partitions; ``embeddings`` is called only by those, and only to begin an epoch.
        Raises ConfigError where the parameters don't fit the rows.
        """
        ...


class Partition(NamedTuple):
    """A way to lay rows into shards, and what it promises."""

    assign: Assign
    frozen: bool
    """The assignment looked at the data, so it is kept for an epoch and rows are only added or dropped."""
    balanced: bool
    """No shard is larger than the sharding's ``slack`` allows when an epoch begins, with a strict cap."""
    keeps_users: bool
    """All rows of a user lie in one shard."""
    centred: bool = False
    """Its clusters have centres."""
    lays: Literal["user", "item", "pair"] = "pair"
    """What an assignment that is frozen lays into one shard each."""
