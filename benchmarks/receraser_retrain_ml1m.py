"""The Retrain columns of the RecEraser table on MovieLens-1M: one model on all rows, no shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.collaborative import model_row, read_split
from benchmarks.table import Row
from lethe.models import MODELS

DATASET = "ml-1m-receraser"
PROTOCOL = (
    "MovieLens-1M, 80/20 split of the RecEraser paper, its Retrain columns (one model on all 720,152 train rows);"
    " every item not in the user's train rows is a candidate; recall@K is hits/|test|, the paper's denominator, and"
    " recall_min@K hits/min(K, |test|). Settings are tuned on the 80,016 ratings in neither train nor test, never on"
    " test; the final models learn from train alone. Baselines are the rows the paper does not have. A user's own"
    " history can't serve as a trivial rule here: no pair occurs twice."
)
CUTOFFS = (10, 20, 50)
_COLUMNS = [f"{name}@{cutoff}" for name in ("recall", "ndcg") for cutoff in CUTOFFS]
PUBLISHED = {
    model: dict(zip(_COLUMNS, figures, strict=True))
    for model, figures in {
        "BPR": (0.1510, 0.2389, 0.4005, 0.3412, 0.3368, 0.3669),
        "WMF": (0.1592, 0.2507, 0.4165, 0.3546, 0.3509, 0.3838),
        "LightGCN": (0.1544, 0.2428, 0.4076, 0.3509, 0.3447, 0.3754),
    }.items()
}

_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", {}),
    ("MostPop, seen items kept", "mostpop", {"masked": False, "note": "items of train stay candidates"}),
    ("ItemKNN", "item-knn", {}),
    ("EASE", "ease", {}),
    ("BPR", "bpr", {"baseline": False}),
    ("WMF", "wmf", {"baseline": False, "note": "alternating least squares, dropout integrated out"}),
    ("LightGCN", "lightgcn", {"baseline": False, "note": "whole-matrix square loss"}),
]


def rows(data_dir: Path) -> list[Row]:
    """The rows whose model there is."""
    split = read_split(data_dir, DATASET)
    metrics = ("recall", "ndcg", "recall_min", "hr")
    return [
        model_row(label, model, split, cutoffs=CUTOFFS, metrics=metrics, **options)
        for label, model, options in _ROWS
        if model in MODELS
    ]
