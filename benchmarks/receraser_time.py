"""The time table of the RecEraser paper: forgetting random interactions one by one, against training anew."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from benchmarks import receraser_ml1m
from benchmarks.collaborative import read_split
from benchmarks.forget_cost import PUBLISHED as PUBLISHED
from benchmarks.forget_cost import REQUESTS, cost_row, retrain
from benchmarks.table import Row

PROTOCOL = (
    f"Table 6.4: MovieLens-1M, split of the RecEraser paper, K = 10. {REQUESTS} random interactions, drawn by key, are"
    " forgotten one by one, each time from the whole data: one shard's sub-model and the aggregator are learned again."
    " Under UBP, where the paper has InBP; settings are those of receraser-ml1m. Seconds of the processor: the mean"
    " over as many deletions as stand in the row's note. Retrain is the same model on all rows, measured in the same"
    " run; × Retrain is how many times longer that takes. The paper's are of a GPU and of other epochs: ratios compare,"
    " minutes do not."
)
TIMES_RETRAIN = {"BPR": 15.0, "WMF": 11.8, "LightGCN": 17.6}
"""The paper's."""
METHODS = ("RecEraser", "refit")


def rows(data_dir: Path) -> list[Row]:
    split = read_split(data_dir, receraser_ml1m.DATASET)
    whole = cache(partial(retrain, split))
    made = []
    for base, times in TIMES_RETRAIN.items():
        for method in METHODS:
            published = f"; published × Retrain {times:g}" if method == "RecEraser" else ""
            kind = receraser_ml1m.kind(base, method)
            made.append(cost_row(f"{base} {method}", split, kind, "interactions", 1, whole, published))
    return made
