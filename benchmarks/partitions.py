"""Every partition: accuracy, how many shards a user's request touches, and what the shards cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.collaborative import read_split
from benchmarks.receraser_ml1m import DATASET
from benchmarks.sharded import Kind, columns, grouped_bars, sharded_row
from benchmarks.table import Row

PROTOCOL = (
    "MovieLens-1M, split of the RecEraser paper, WMF sub-models, K = 10; recall@K is hits/|test|. Settings as in the"
    " table aggregators, the same for all partitions. shards/user: how many shards hold rows of a user, so how many a"
    " whole-user request touches. Random is by key, of each interaction. Two seeds."
)
PUBLISHED = columns("recall@20", "ndcg@20", "shards/user", "largest shard")
PARTITIONS = {
    "random": "interaction-hash",
    "user hash": "user-hash",
    "UBP": "ubp",
    "IBP": "ibp",
    "InBP": "inbp",
    "BLPA": "graph-lpa",
    "BEKM": "graph-bekm",
}
AGGREGATORS = ("mean", "refit", "stacked")


def rows(data_dir: Path) -> list[Row]:
    split = read_split(data_dir, DATASET)
    found = [sharded_row("Retrain", split, Kind("wmf"), max_seeds=2)]
    for label, partition in PARTITIONS.items():
        for aggregator in AGGREGATORS:
            kind = Kind("wmf", partition, aggregator, settings=f"shards-{aggregator}", whole=True)
            found.append(sharded_row(f"{label}, {aggregator}", split, kind, baseline=aggregator == "mean", max_seeds=2))
    return found


def plot(report: dict[str, Any], axes: Any) -> None:
    grouped_bars(report, axes, PARTITIONS, AGGREGATORS)
