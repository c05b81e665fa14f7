"""Partitions at scale: seconds and peak memory of laying made interactions into shards, each in a process of its own.

``python -m benchmarks.partition_scale FOLDER PARTITION`` is that process; ``measure`` starts one for each and reads its
figures.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import Say
from benchmarks.page import grid, page
from benchmarks.runs import apart, peak_mib
from lethe.config.sharding import Balance
from lethe.core.random import Stream
from lethe.data.partition import PARTITIONS
from lethe.data.partition.assigning import pretrain
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

NUM_SHARDS, SLACK = 10, 1.2
PROTOCOL = (
    "Made interactions, log-normal activity of users and Zipf popularity of items, laid into 10 shards, slack 1.2, one"
    " thread, each in a process of its own: seconds of the processor and peak memory of the whole process, reading the"
    " rows included. The balanced partitions and BEKM begin from one set of embeddings (the row of that name; WMF)."
)


def made_rows(count: int, seed: int = 7) -> Interactions:
    """``count`` distinct interactions: 140 a user and 1,000 an item on average."""
    generator = np.random.default_rng(seed)
    num_users, num_items = max(count // 140, 1), max(count // 1000, 200)
    activity = generator.lognormal(4.4, 1.05, num_users)
    popularity = np.cumsum(1 / np.arange(10, num_items + 10) ** 0.8)
    pairs = np.empty(0, np.int64)
    while len(pairs) < count:
        per_user = np.ceil(activity * (count - len(pairs)) * 1.2 / activity.sum()).astype(np.int64)
        users = np.repeat(np.arange(num_users), per_user)
        items = np.searchsorted(popularity, generator.random(len(users)) * popularity[-1])
        pairs = np.unique(np.concatenate([pairs, users * num_items + np.minimum(items, num_items - 1)]))
    pairs = np.sort(generator.choice(pairs, count, replace=False))
    return Interactions.of(pairs // num_items, pairs % num_items)


def measure(rows: int, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One figure a partition, the embeddings first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.parquet"
    if not path.is_file():
        made_rows(rows).write(path)
    found = []
    for name in ("embeddings", *PARTITIONS):
        found.append(apart("partition_scale", folder, name))
        say(f"partition-scale  {name}  {found[-1]['seconds']:.1f} s  {found[-1]['peak_mib']:.0f} MiB")
    return found


def report(rows: int, figures: list[dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    cells = [(f["name"], f"{f['seconds']:.1f}", f"{f['peak_mib']:.0f}", f["largest"] or "–") for f in figures]
    seconds = grid(("partition", "seconds", "peak MiB", "largest shard / mean"), cells)
    said = f"Command: `{command}`: {figures[0]['rows']:,} rows."
    made = {"table": "partition-scale", "protocol": PROTOCOL, "command": command, "asked": rows, "rows": figures}
    return made, page("partition-scale", PROTOCOL, said, seconds)


def lay(folder: Path, name: str) -> dict[str, Any]:
    rows = Interactions.read(folder / "rows.parquet")
    vectors, start = folder / "vectors.npz", time.process_time()
    largest = None
    if name == "embeddings":
        _, users, items = pretrain(rows, Stream(1))
        np.savez(vectors, users=users, items=items)
    else:

        def embeddings(known: Interactions, stream: Stream) -> tuple[Catalogue, np.ndarray, np.ndarray]:
            stored = np.load(vectors)
            return Catalogue.of(known), stored["users"], stored["items"]

        shards = PARTITIONS[name].assign(
            rows,
            1 if name == "whole" else NUM_SHARDS,
            None,
            Stream(1),
            balance=Balance(slack=SLACK),
            embeddings=embeddings,
        )
        sizes = np.bincount(shards)
        largest = round(float(sizes.max() / sizes.mean()), 3)
    seconds = round(time.process_time() - start, 2)
    return {"name": name, "rows": len(rows), "seconds": seconds, "peak_mib": peak_mib(), "largest": largest}


if __name__ == "__main__":
    print(json.dumps(lay(Path(sys.argv[1]), sys.argv[2])))
