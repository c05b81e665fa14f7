"""A log of made interactions, as a shop writes one: rows in the order of time, users and items as they come.

It is drawn and written a block at a time, so that making it takes less memory than what is measured on it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BLOCK = 1 << 20
FIRST_SECOND, SECONDS_A_ROW = 1_600_000_000, 1e-1


def write_log(path: Path, rows: int, users: int, items: int, seed: int = 7) -> None:
    """``rows`` rows: log-normal activity of users, Zipf popularity of items. Pairs repeat, as in any log."""
    generator = np.random.default_rng(seed)
    activity = np.cumsum(generator.lognormal(0, 1.05, users))
    popularity = np.cumsum(1 / np.arange(10, items + 10) ** 0.8)
    names = generator.permutation(items)
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("user", pa.int64()), ("item", pa.int64()), ("rating", pa.float32()), ("time", pa.int64())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            columns = [
                _drawn(activity, count, generator),
                names[_drawn(popularity, count, generator)],
                generator.integers(1, 6, count).astype(np.float32),
                FIRST_SECOND + (np.arange(start, start + count) * SECONDS_A_ROW).astype(np.int64),
            ]
            writer.write_table(pa.table(columns, schema=schema))


def _drawn(sums: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Places [count], likelier the more their weight adds to ``sums``."""
    # In order, so that the search goes through memory once.
    draws = np.sort(generator.random(count) * sums[-1])
    return generator.permutation(np.minimum(np.searchsorted(sums, draws), len(sums) - 1))
