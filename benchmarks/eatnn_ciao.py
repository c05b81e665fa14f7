"""The EATNN table on Ciao: reviews and trust, every item without the user's training rows a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.collaborative import SLOW, Split, default_rows, model_row
from benchmarks.side_data import SEED, ciao
from benchmarks.table import Row
from lethe.config.dataset import RandomSplit
from lethe.core.random import Stream
from lethe.data.split import split

PROTOCOL = (
    "Ciao, the 80/10/10 split of the EATNN paper; every item not in the user's train rows is a candidate; means over"
    " the users of test (those that train doesn't know are ranked by popularity); recall is hits / min(K, |test|)."
    " Settings are tuned on the set's validation part, never on test. Links of users without a train row are left out."
    " Rows of a part of the training data keep that part of the rows by key, and all of their users' links."
)
AGAINST = ("MostPop", "ENMF")
CUTOFFS = (10, 50, 100)
_COLUMNS = [f"{name}@{cutoff}" for name in ("recall_min", "ndcg") for cutoff in CUTOFFS]
PUBLISHED = {
    model: dict(zip(_COLUMNS, figures, strict=True))
    for model, figures in {
        "BPR": (0.0591, 0.1600, 0.2135, 0.0409, 0.0688, 0.0805),
        "ExpoMF": (0.0642, 0.1556, 0.2050, 0.0445, 0.0706, 0.0816),
        "NCF": (0.0667, 0.1584, 0.2141, 0.0456, 0.0718, 0.0837),
        "SBPR": (0.0623, 0.1631, 0.2146, 0.0436, 0.0695, 0.0832),
        "TranSIV": (0.0678, 0.1651, 0.2184, 0.0473, 0.0753, 0.0865),
        "SAMN": (0.0719, 0.1671, 0.2233, 0.0495, 0.0768, 0.0883),
        "EATNN": (0.0778, 0.1764, 0.2305, 0.0547, 0.0824, 0.0943),
    }.items()
}
_OURS: dict[str, Any] = {"baseline": False}
_SHORT: dict[str, Any] = {"baseline": False, "max_seeds": 2}
_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", {}),
    ("MostPop, seen items kept", "mostpop", {"masked": False, "note": "items of train stay candidates"}),
    ("BPR", "bpr", {}),
    ("ExpoMF", "expomf", SLOW),
    ("NCF", "neumf", SLOW),
    ("SBPR", "sbpr", {}),
    ("TranSIV", "transiv", SLOW),
    ("SAMN", "samn", SLOW),
    ("ENMF", "enmf-u", {}),
    ("ENMF, exact solver", "wmf", {"note": "ENMF's objective, dropout integrated out, by alternating least squares"}),
    ("EATNN", "eatnn", _OURS),
    ("Collective", "collective-social", _OURS | {"note": "interactions and links as blocks of one exact solver"}),
    (
        "EATNN-S",
        "eatnn",
        _SHORT | {"values": {"social_weight": 0.0}, "note": "2 seeds; ablation: no loss of the links"},
    ),
    (
        "EATNN-A",
        "eatnn",
        _SHORT | {"values": {"attention": False}, "note": "2 seeds; ablation: every attention weight is 1/2"},
    ),
]
_PARTS = (
    ("MostPop", "mostpop"),
    ("ENMF, exact solver", "wmf"),
    ("EATNN", "eatnn"),
    ("Collective", "collective-social"),
)


def rows(data_dir: Path) -> list[Row]:
    whole = ciao(data_dir)
    metrics: dict[str, Any] = {"cutoffs": CUTOFFS, "metrics": ("recall_min", "ndcg")}
    made = [model_row(label, model, whole, **metrics, **options) for label, model, options in _ROWS]
    made += default_rows(whole, {label: model for label, model, options in _ROWS if "values" not in options}, **metrics)
    for percent in (25, 50):
        part = _part(whole, percent / 100)
        note = f"2 seeds; {percent} % of the training rows"
        made += [
            model_row(f"{label}, {percent} %", model, part, **metrics, **_SHORT, note=note) for label, model in _PARTS
        ]
    return made


def _part(whole: Split, fraction: float) -> Split:
    kept = split(whole.train, RandomSplit(valid=1 - fraction, test=0.0), Stream(SEED)("part"))["train"]
    return Split(whole.dataset, kept, whole.test, whole.tables)
