"""The JNSKR table on Amazon-book, with what there is of its knowledge graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.collaborative import default_rows, model_row, searched_rows
from benchmarks.knowledge import DEFAULTS, OTHERS
from benchmarks.side_data import amazon_book
from benchmarks.table import Row

PROTOCOL = (
    "Amazon-book, the 80/20 split of KGAT and JNSKR; every item not in the user's train rows is a candidate;"
    " means over the 70,591 users of test. recall = hits/|test|, the denominator of the paper; ndcg_kgat is the"
    " paper's NDCG, whose ideal counts the hits found, and ndcg the ordinary one. The graph of the papers"
    " (2,557,746 typed triples) is not to be had: ours is 277,285 links from items to entities one hop away, their"
    " relation lost, so JNSKR sees a single relation and no row but ENMF's compares like for like with the paper."
    " Settings are tuned on a keyed tenth of train, never on test. Baselines are all"
    " rows but JNSKR's, Collective and those with defaults."
)
CUTOFFS = (10, 20, 40)
_COLUMNS = [f"{name}@{cutoff}" for name in ("recall", "ndcg_kgat", "ndcg") for cutoff in CUTOFFS]
PUBLISHED = {
    model: dict(zip(_COLUMNS, figures, strict=False))
    for model, figures in {
        "NCF": (0.0874, 0.1319, 0.1924, 0.0724, 0.0895, 0.1111),
        "ENMF": (0.1002, 0.1472, 0.2085, 0.0797, 0.0998, 0.1215),
        "NFM": (0.0891, 0.1366, 0.1975, 0.0723, 0.0913, 0.1152),
        "CKE": (0.0875, 0.1343, 0.1946, 0.0705, 0.0885, 0.1114),
        "CFKG": (0.0769, 0.1142, 0.1901, 0.0603, 0.0770, 0.0985),
        "RippleNet": (0.0883, 0.1336, 0.2008, 0.0747, 0.0910, 0.1164),
        "KGAT": (0.1017, 0.1489, 0.2094, 0.0814, 0.1006, 0.1225),
        "JNSKR": (0.1056, 0.1558, 0.2178, 0.0842, 0.1068, 0.1271),
    }.items()
} | {"": dict.fromkeys(_COLUMNS)}

_TWO: dict[str, Any] = {"max_seeds": 2}
_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", {}),
    ("MostPop, seen items kept", "mostpop", {"masked": False, "note": "items of train stay candidates"}),
    ("ENMF", "enmf-u", {**_TWO, "note": "by gradient; 2 seeds: slow"}),
    ("ENMF, exact solver", "wmf", {"note": "ENMF's objective by alternating least squares (model wmf)"}),
    ("JNSKR", "jnskr", {**_TWO, "baseline": False, "note": "untyped links; 2 seeds: slow"}),
    ("JNSKR, no KG loss", "jnskr", {**_TWO, "baseline": False, "values": {"graph_weight": 0.0}}),
    ("Collective", "collective-graph", {"baseline": False, "note": "untyped links, exact solver"}),
]


def rows(data_dir: Path) -> list[Row]:
    split = amazon_book(data_dir)
    metrics: dict[str, Any] = {"cutoffs": CUTOFFS, "metrics": ("recall", "ndcg_kgat", "ndcg")}
    made = [model_row(label, model, split, **metrics, **options) for label, model, options in _ROWS]
    searched = [*searched_rows(split, OTHERS, **metrics), *default_rows(split, DEFAULTS | OTHERS, **metrics)]
    return [*made, *searched]
