"""A frozen assignment that is kept, laid some users at a time: what follows it hangs on how many rows each user or item
has, and on how full the shards are, but not on the rows themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow.parquet as pq

from lethe.config.sharding import Sharding
from lethe.core.random import Stream
from lethe.data.partition import partition_of
from lethe.data.partition.assignment import Assignment
from lethe.data.partition.balanced import cap_of
from lethe.data.partition.kept import keep_entities, keep_pairs, load_of, shards_before
from lethe.tables.blocks import held, rows_of, side_by_side
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Column

Laid: TypeAlias = tuple[Interactions, Assignment | None, np.ndarray]
"""Rows, what was assigned of their users before, and their shards [n]."""


def are_alike(rows: Path, kept: Path) -> bool:
    """Whether ids are of the same kinds in both, so that they can be looked at side by side."""
    now, before = pq.read_schema(rows), pq.read_schema(kept)
    return all(now.field(name).type == before.field(name).type for name in ("user", "item"))


def kept_in_steps(rows: Path, kept: Path, layout: Sharding, stream: Stream) -> Iterator[Laid]:
    """The rows some users at a time, in the shards that the partition lays them into when it looks at all together."""
    cap, count = cap_of(pq.read_metadata(rows).num_rows, layout.num_shards, layout), layout.num_shards
    by = partition_of(layout).lays
    if by == "pair":
        load = np.zeros(count, dtype=np.int64)
        for own, previous in _steps(rows, kept):
            before = shards_before(own, previous, count)
            load += load_of(before, np.ones(len(before), np.int64), count)
        for own, previous in _steps(rows, kept):
            yield own, previous, keep_pairs(own, previous, count, cap, stream, load)
        return
    entities, known = Ids.in_file(rows, by), Ids.in_file(kept, by)
    sizes, shards = np.zeros(len(entities), dtype=np.int64), np.full(len(known), -1)
    for own, previous in _steps(rows, kept):
        sizes += np.bincount(entities.encode(_ids(own, by)), minlength=len(entities))
        places = known.encode(_ids(previous, by))
        unseen = np.flatnonzero(shards[places] < 0)[::-1]
        # Backwards, so that the first row of each says where it lies.
        shards[places[unseen]] = previous.shards[unseen]
    shards = keep_entities(entities, sizes, known.values, shards, count, cap, stream)
    for own, previous in _steps(rows, kept):
        yield own, previous, shards[entities.encode(_ids(own, by))]


def _steps(rows: Path, kept: Path) -> Iterator[tuple[Interactions, Assignment]]:
    for block, (before,) in side_by_side(rows, [kept], also=Assignment.PLACES):
        yield rows_of(block), Assignment.of_columns(held(before))


def _ids(table: Interactions | Assignment, by: str) -> Column:
    return table.user_ids if by == "user" else table.item_ids
