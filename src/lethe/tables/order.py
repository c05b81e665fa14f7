"""Rows in any order, brought into canonical order with no more of them in memory than a block at a time.

Blocks are sorted one by one and put aside as runs in files, which are then read side by side (``merged``): all rows of
a user come together, whichever runs they are in. What fits into one block is put nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lethe.tables.blocks import Block, length, merged, rows_of
from lethe.tables.interactions import Interactions

RUN_GROUP = 1 << 15
"""Rows of a run that lie together: of each run as many are decoded at once."""


def in_order(blocks: Iterable[Interactions], aside: Path) -> Iterator[Interactions]:
    """All rows of the blocks, each of them in canonical order, as blocks in canonical order; each user's in one.

    ``aside`` is a folder for this table alone. Its files are the caller's to remove.
    """
    blocks = iter(blocks)
    first, second = next(blocks, None), next(blocks, None)
    if first is None:
        return
    if second is None:
        yield first
        return
    runs = _put_aside(chain((first, second), blocks), aside)
    del first, second
    yield from map(together, merged(runs))


def together(blocks: Iterable[Block]) -> Interactions:
    """The rows of blocks of several tables as one. A user's may stand in several, and in two places of one."""
    parts = list(blocks)
    tables = [rows_of(part) for part in parts if length(part)] or [rows_of(parts[0])]
    return tables[0].in_order() if len(tables) == 1 else Interactions.concatenate(*tables)


def _put_aside(blocks: Iterable[Interactions], aside: Path) -> list[Path]:
    """The files of the runs. A block that begins with a user who is not before the last of a run is put behind it: a
    table that lies in the order of its users is one run, however large it is."""
    runs: list[Path] = []
    writer: pq.ParquetWriter | None = None
    last: Any = None
    try:
        for block in blocks:
            if runs and not len(block):
                continue
            table = block.to_table()
            if writer is None or (last is not None and block.user_ids[0] < last):
                if writer is not None:
                    writer.close()
                runs.append(aside / f"{len(runs)}.parquet")
                writer = pq.ParquetWriter(runs[-1], table.schema, compression="lz4", use_dictionary=False)
            writer.write_table(table, row_group_size=RUN_GROUP)
            last = block.user_ids[-1] if len(block) else None
    finally:
        if writer is not None:
            writer.close()
    return runs
