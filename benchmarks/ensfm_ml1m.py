"""The ENSFM table on MovieLens-1M: leave-one-out with features of users and items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.collaborative import SLOW, model_row, searched_rows
from benchmarks.side_data import ml1m_features
from benchmarks.table import Row

PROTOCOL = (
    "MovieLens-1M, leave-one-out of the ENSFM paper: each user's newest rating is held out; every item not in the"
    " user's train rows is a candidate; means over all 6,040 users. Features: gender, age, occupation; an item's first"
    " genre. Settings are tuned on each user's newest remaining rating, never on test. Baselines are all rows but"
    " ENSFM's and the exact solver's."
)
CUTOFFS = (5, 10, 20)
COLUMNS = [f"{name}@{cutoff}" for name in ("hr", "ndcg") for cutoff in CUTOFFS]
PUBLISHED = {
    model: dict(zip(COLUMNS, figures, strict=True))
    for model, figures in {
        "MostPop": (0.0084, 0.0308, 0.0763, 0.0041, 0.0111, 0.0227),
        "FM": (0.0377, 0.0687, 0.1164, 0.0234, 0.0334, 0.0453),
        "DeepFM": (0.0413, 0.0754, 0.1351, 0.0247, 0.0365, 0.0503),
        "NFM": (0.0421, 0.0775, 0.1334, 0.0268, 0.0381, 0.0521),
        "ONCF": (0.0491, 0.0801, 0.1368, 0.0301, 0.0402, 0.0543),
        "CFM": (0.0514, 0.0812, 0.1398, 0.0318, 0.0419, 0.0567),
        "ENMF": (0.0534, 0.0867, 0.1523, 0.0332, 0.0448, 0.0606),
        "ENSFM": (0.0601, 0.1024, 0.1690, 0.0373, 0.0508, 0.0674),
    }.items()
}

METRICS: dict[str, Any] = {"cutoffs": CUTOFFS, "metrics": ("hr", "ndcg")}
OTHERS = {"FM": "fm", "DeepFM": "deepfm", "NFM": "nfm", "ONCF": "convncf", "CFM": "cfm"}
"""The paper's other baselines."""
_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", {}),
    ("MostPop, seen items kept", "mostpop", {"masked": False, "note": "items of train stay candidates"}),
    ("ENMF", "enmf-u", {"note": "without features"}),
    (
        "ENMF, exact solver",
        "wmf",
        {"baseline": False, "note": "without features; ENMF's objective by alternating least squares (model wmf)"},
    ),
    ("ENSFM", "ensfm", {"baseline": False}),
]


def rows(data_dir: Path) -> list[Row]:
    split = ml1m_features(data_dir)
    made = [model_row(label, model, split, **METRICS, **options) for label, model, options in _ROWS]
    return [*made, *searched_rows(split, OTHERS, **METRICS, **SLOW)]
