"""Every aggregator over the same WMF shards, under three partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.collaborative import read_split
from benchmarks.receraser_ml1m import DATASET
from benchmarks.sharded import Kind, columns, grouped_bars, sharded_row
from benchmarks.table import Row

PROTOCOL = (
    "MovieLens-1M, split of the RecEraser paper, WMF sub-models, K = 10; recall@K is hits/|test|. Aggregators have the"
    " settings of receraser-ml1m, sub-models those tuned whole, the same for all. Times: all sub-models, the mean"
    " shard, the aggregator. Two seeds."
)
PUBLISHED = columns("recall@10", "recall@20", "recall@50", "ndcg@20")
PARTITIONS = {"UBP": "ubp", "user hash": "user-hash", "InBP": "inbp"}
AGGREGATORS = ("mean", "static", "attention", "refit", "stacked")


def rows(data_dir: Path) -> list[Row]:
    return crossed(data_dir, PARTITIONS, AGGREGATORS)


def crossed(data_dir: Path, partitions: Mapping[str, str], aggregators: Sequence[str]) -> list[Row]:
    """A row for each of {label: partition} with each aggregator, after one for the whole."""
    split = read_split(data_dir, DATASET)
    found = [sharded_row("Retrain", split, Kind("wmf"), max_seeds=2)]
    for label, partition in partitions.items():
        for aggregator in aggregators:
            kind = Kind("wmf", partition, aggregator, settings=f"shards-{aggregator}", whole=True)
            found.append(sharded_row(f"{label}, {aggregator}", split, kind, baseline=aggregator == "mean", max_seeds=2))
    return found


def plot(report: dict[str, Any], axes: Any) -> None:
    grouped_bars(report, axes, PARTITIONS, AGGREGATORS)
