"""Accuracy and the cost of a deletion over the number of shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.collaborative import read_split
from benchmarks.receraser_ml1m import DATASET
from benchmarks.sharded import Kind, columns, sharded_row
from benchmarks.table import Row

PROTOCOL = (
    "MovieLens-1M, split of the RecEraser paper, WMF sub-models, stacked, K shards; recall@K is hits/|test|. Settings"
    " are those of the table aggregators, the same for all K. A deletion that touches one shard costs the mean shard"
    " and the aggregator. Two seeds."
)
PUBLISHED = columns("recall@10", "recall@20", "recall@50", "ndcg@20")
PARTITIONS = {"UBP": "ubp", "user hash": "user-hash"}
COUNTS = (5, 10, 20, 30, 50)


def rows(data_dir: Path) -> list[Row]:
    split = read_split(data_dir, DATASET)
    found = [sharded_row("Retrain", split, Kind("wmf"), max_seeds=2)]
    for label, partition in PARTITIONS.items():
        for count in COUNTS:
            kind = Kind("wmf", partition, "stacked", num_shards=count, settings="shards-stacked", whole=True)
            found.append(sharded_row(f"{label}, K = {count}", split, kind, max_seeds=2))
    return found


def plot(report: dict[str, Any], axes: Any) -> None:
    by_name = {row["model"]: row for row in report["rows"]}
    costs = axes.twinx()
    for label in PARTITIONS:
        held = [by_name[name] for count in COUNTS if (name := f"{label}, K = {count}") in by_name]
        counts = [count for count in COUNTS if f"{label}, K = {count}" in by_name]
        axes.plot(
            counts, [row["metrics"]["recall@20"]["mean"] for row in held], marker="o", label=f"{label}: recall@20"
        )
        seconds = [row["times"]["one shard"] + row["times"]["aggregator"] for row in held]
        costs.plot(counts, seconds, linestyle=":", marker=".", label=f"{label}: seconds")
    if "Retrain" in by_name:
        axes.axhline(by_name["Retrain"]["metrics"]["recall@20"]["mean"], color="grey", linewidth=0.8, label="Retrain")
    axes.set(xlabel="shards K", ylabel="recall@20")
    costs.set(ylabel="seconds of a deletion in one shard", ylim=(0, None))
    axes.legend(loc="lower left")
