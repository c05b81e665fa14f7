"""What the tables on complete knowledge graphs share: no paper has their split, so nothing is published."""

from __future__ import annotations

from typing import Any

from benchmarks.collaborative import SLOW, Split, default_rows, model_row, searched_rows
from benchmarks.table import Row

CUTOFFS = (10, 20, 40)
METRICS = ("recall", "ndcg")
COLUMNS = {f"{name}@{cutoff}": None for name in METRICS for cutoff in CUTOFFS}

_ABLATION: dict[str, Any] = {"baseline": False, "max_seeds": 2}
_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", {}),
    ("MostPop, seen items kept", "mostpop", {"masked": False, "note": "items of train stay candidates"}),
    ("ENMF", "enmf-u", {"note": "by gradient"}),
    ("ENMF, exact solver", "wmf", {"note": "ENMF's objective by alternating least squares (model wmf)"}),
    ("JNSKR", "jnskr", {"baseline": False}),
    ("JNSKR, no KG loss", "jnskr", {**_ABLATION, "values": {"graph_weight": 0.0}, "note": "2 seeds"}),
    ("JNSKR, no attention", "jnskr", {**_ABLATION, "values": {"attention": False}, "note": "2 seeds: fixed weights"}),
    ("JNSKR, alternating", "jnskr", {**_ABLATION, "values": {"training": "alternating"}, "note": "2 seeds"}),
    ("Collective", "collective-graph", {"baseline": False, "note": "exact solver"}),
]
OTHERS = {"NCF": "neumf", "NFM": "nfm", "CKE": "cke", "CFKG": "cfkg", "RippleNet": "ripplenet", "KGAT": "kgat"}
"""The paper's other baselines."""
DEFAULTS = {"ENMF": "enmf-u", "ENMF, exact solver": "wmf", "JNSKR": "jnskr", "Collective": "collective-graph"}


def graph_rows(split: Split) -> list[Row]:
    """MostPop, ENMF, JNSKR with its ablations and the exact solver, the paper's other baselines, and defaults."""
    metrics: dict[str, Any] = {"cutoffs": CUTOFFS, "metrics": METRICS}
    return [
        *(model_row(label, model, split, **metrics, **options) for label, model, options in _ROWS),
        *searched_rows(split, OTHERS, **metrics, **SLOW),
        *default_rows(split, DEFAULTS | OTHERS, **metrics),
    ]
