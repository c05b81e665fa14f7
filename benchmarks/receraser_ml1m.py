"""The RecEraser table on MovieLens-1M: three models, retrained whole or unlearned by shards, and EASE by counts."""

from __future__ import annotations

from pathlib import Path

from benchmarks.collaborative import read_split
from benchmarks.sharded import COLUMNS, Kind, sharded_row
from benchmarks.table import Row

DATASET = "ml-1m-receraser"
PROTOCOL = (
    "MovieLens-1M, 80/20 split of the RecEraser paper, K = 10; every item not in the user's train rows is a"
    " candidate; recall@K is hits/|test|, the paper's denominator. Published figures are under InBP; the partition of"
    " ours stands below. SISA: interactions at random (by key). Settings are tuned on the 80,016 ratings in neither"
    " train nor test, never on test: those of SISA and GraphEraser, and of WMF's stacked and refit, by a walk each"
    " (tune-shards), the user-hash rows with the values of UBP, RecEraser with its defaults and sub-models tuned whole"
    " (its walk is too slow to be part of this); under BPR and LightGCN our aggregators have the values tuned with WMF,"
    " sub-models those tuned whole. The final models learn from train alone. Times: all sub-models, the mean shard, the"
    " aggregator; a deletion that touches one shard costs the last two."
)
_FIGURES = {
    "BPR Retrain": (0.1510, 0.2389, 0.4005, 0.3412, 0.3368, 0.3669),
    "BPR SISA": (0.1080, 0.1737, 0.2970, 0.2774, 0.2679, 0.2840),
    "BPR GraphEraser": (0.1190, 0.1906, 0.3271, 0.2844, 0.2827, 0.3105),
    "BPR RecEraser": (0.1393, 0.2254, 0.3822, 0.3208, 0.3186, 0.3483),
    "WMF Retrain": (0.1592, 0.2507, 0.4165, 0.3546, 0.3509, 0.3838),
    "WMF SISA": (0.0759, 0.1266, 0.2309, 0.2058, 0.1998, 0.2174),
    "WMF GraphEraser": (0.1127, 0.1823, 0.3081, 0.2575, 0.2557, 0.2807),
    "WMF RecEraser": (0.1435, 0.2254, 0.3818, 0.3317, 0.3253, 0.3542),
    "LightGCN Retrain": (0.1544, 0.2428, 0.4076, 0.3509, 0.3447, 0.3754),
    "LightGCN SISA": (0.1089, 0.1743, 0.3084, 0.2767, 0.2686, 0.2905),
    "LightGCN GraphEraser": (0.1174, 0.1914, 0.3322, None, 0.2791, 0.3043),
    "LightGCN RecEraser": (0.1425, 0.2266, 0.3839, 0.3276, 0.3229, 0.3520),
}
PUBLISHED: dict[str, dict[str, float | None]] = {
    label: dict(zip(COLUMNS, figures, strict=True)) for label, figures in _FIGURES.items()
}

MODELS = {"BPR": "bpr", "WMF": "wmf", "LightGCN": "lightgcn"}
METHODS = {
    "SISA": ("interaction-hash", "mean"),
    "GraphEraser": ("graph-bekm", "static"),
    "RecEraser": ("ubp", "attention"),
    "stacked": ("ubp", "stacked"),
    "refit": ("ubp", "refit"),
    "stacked, user hash": ("user-hash", "stacked"),
    "refit, user hash": ("user-hash", "refit"),
}
"""Partition and aggregator of each."""
BASELINES = ("SISA", "GraphEraser")
"""The better of them is what the others of the same model are tested against."""


GRID: dict[str, dict[str, tuple[float, ...]]] = {
    "bpr": {"model.reg": (0.03, 0.1, 0.3), "model.learning_rate": (0.03,), "model.epochs": (80, 400, 800)},
    "lightgcn": {"model.dropout": (0.5, 0.7, 0.8, 0.9), "model.negative_weight": (0.03, 0.1)},
    "wmf": {"model.dropout": (0.3, 0.5, 0.7, 0.8, 0.9), "model.negative_weight": (0.03, 0.1, 0.4)},
    "mean": {},
    "static": {"aggregator.negative_weight": (0.05, 0.8)},
    "attention": {"aggregator.dropout": (0.2, 0.4)},
    "stacked": {"aggregator.dropout": (0.2, 0.4, 0.5), "aggregator.negative_weight": (0.1, 0.3)},
    "refit": {"aggregator.dropout": (0.2, 0.4, 0.5), "aggregator.negative_weight": (0.1, 0.3)},
}
"""Fields that a row's walk goes through: its model's, but not under attention, which is slow, and its aggregator's."""


def grid(kind: Kind) -> dict[str, tuple[float, ...]]:
    return {**(GRID[kind.model] if kind.aggregator != "attention" else {}), **GRID[kind.aggregator]}


def kind(model: str, method: str) -> Kind:
    """The kind of a row, by labels. The settings of our aggregators are those tuned with WMF under UBP."""
    partition, aggregator = METHODS[method]
    own = f"-{MODELS[model]}" if method in BASELINES and model != "WMF" else ""
    return Kind(MODELS[model], partition, aggregator, settings=f"shards-{aggregator}{own}")


def rows(data_dir: Path) -> list[Row]:
    split = read_split(data_dir, DATASET)
    found = []
    for label, model in MODELS.items():
        seeds = None if model == "wmf" else 2
        found.append(sharded_row(f"{label} Retrain", split, Kind(model), base=label, max_seeds=seeds))
        for method in METHODS:
            baseline = method in BASELINES
            found.append(
                sharded_row(
                    f"{label} {method}", split, kind(label, method), baseline=baseline, base=label, max_seeds=seeds
                )
            )
    counts = Kind("cooccurrence", "user-hash", "ease", settings="ease-counts")
    found.append(
        sharded_row("EASE Retrain", split, Kind("ease"), base="EASE", max_seeds=1, note="nothing in it is random")
    )
    found.append(
        sharded_row("EASE by counts", split, counts, base="EASE", max_seeds=1, note="equal to EASE Retrain bit for bit")
    )
    return found
