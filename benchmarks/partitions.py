"""Every partition: accuracy, how many shards a user's request touches, and what the shards cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.aggregators import crossed
from benchmarks.sharded import columns, grouped_bars
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
    return crossed(data_dir, PARTITIONS, AGGREGATORS)


def plot(report: dict[str, Any], axes: Any) -> None:
    grouped_bars(report, axes, PARTITIONS, AGGREGATORS)
