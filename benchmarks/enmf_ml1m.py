"""The ENMF table on MovieLens-1M: leave-one-out, every unseen item a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.collaborative import default_rows, model_row, read_split
from benchmarks.table import Row

DATASET = "ml-1m-loo"
PROTOCOL = (
    "MovieLens-1M, leave-one-out of the ENMF paper: each user's last rating in file order is held out (316 distinct"
    " items); every item not in the user's train rows is a candidate; means over all 6,040 users. Settings are tuned on"
    " each remaining user's last row in file order, never on test. Baselines are all rows but ENMF's. A user's own"
    " history can't serve as a trivial rule here: no pair occurs twice."
)
CUTOFFS = (50, 100, 200)
_COLUMNS = [f"{name}@{cutoff}" for name in ("hr", "ndcg") for cutoff in CUTOFFS]
PUBLISHED = {
    model: dict(zip(_COLUMNS, figures, strict=True))
    for model, figures in {
        "MostPop": (0.1842, 0.2099, 0.3382, 0.0441, 0.0481, 0.0659),
        "ItemKNN": (0.2101, 0.2889, 0.3918, 0.0598, 0.0724, 0.0867),
        "BPR": (0.2637, 0.4048, 0.5710, 0.0757, 0.0986, 0.1217),
        "WMF": (0.2924, 0.4378, 0.6040, 0.0909, 0.1073, 0.1324),
        "ExpoMF": (0.2904, 0.4368, 0.5927, 0.0865, 0.1100, 0.1346),
        "GMF": (0.2847, 0.4226, 0.5847, 0.0821, 0.1086, 0.1289),
        "NCF": (0.2902, 0.4316, 0.6023, 0.0837, 0.1097, 0.1324),
        "ConvNCF": (0.2943, 0.4403, 0.6017, 0.0872, 0.1112, 0.1333),
        "ENMF-U": (0.3117, 0.4574, 0.6092, 0.0962, 0.1198, 0.1410),
        "ENMF-I": (0.3105, 0.4576, 0.6107, 0.0956, 0.1194, 0.1398),
        "ENMF-A": (0.3124, 0.4581, 0.6139, 0.0968, 0.1202, 0.1419),
    }.items()
}

_SLOW: dict[str, Any] = {"max_seeds": 3, "note": "3 seeds: slow"}
_FIXED: dict[str, Any] = {"max_seeds": 1, "note": "nothing in it is random: 1 run"}
_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", _FIXED),
    (
        "MostPop, seen items kept",
        "mostpop",
        _FIXED | {"masked": False, "note": "items of train stay candidates; nothing random: 1 run"},
    ),
    ("ItemKNN", "item-knn", _FIXED),
    ("BPR", "bpr", {}),
    ("WMF", "wmf", {"settings": "wmf-l2", "note": "alternating least squares with L2, no dropout"}),
    ("ExpoMF", "expomf", {}),
    ("GMF", "gmf", _SLOW),
    ("NCF", "neumf", _SLOW),
    ("ConvNCF", "convncf", {"max_seeds": 3, "note": "3 seeds: slow; half the published size"}),
    ("EASE", "ease", _FIXED),
    ("SLIM", "slim", _FIXED),
    ("LightGCN", "lightgcn", {}),
    ("UltraGCN", "ultragcn", {}),
    ("SimpleX", "simplex", {}),
    ("ENMF-U", "enmf-u", {"baseline": False, "note": "by gradient"}),
    ("ENMF-I", "enmf-i", {"baseline": False, "note": "by gradient"}),
    ("ENMF-A", "enmf-a", {"baseline": False, "note": "by gradient"}),
    (
        "ENMF, exact solver",
        "wmf",
        {
            "baseline": False,
            "note": "ENMF's objective, dropout integrated out, by alternating least squares (model wmf)",
        },
    ),
]


def rows(data_dir: Path) -> list[Row]:
    split = read_split(data_dir, DATASET)
    metrics: dict[str, Any] = {"cutoffs": CUTOFFS, "metrics": ("hr", "ndcg")}
    made = [model_row(label, model, split, **metrics, **options) for label, model, options in _ROWS]
    return made + default_rows(split, {label: model for label, model, _ in _ROWS if label != "WMF"}, **metrics)
