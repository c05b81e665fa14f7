"""The ENSFM table on Frappe: which app in which situation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.collaborative import RANKING, SLOW, Split, default_rows, model_row, ranked, searched_rows
from benchmarks.ensfm_ml1m import COLUMNS, CUTOFFS, METRICS, OTHERS
from benchmarks.side_data import frappe
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest

PROTOCOL = (
    "Frappe, the split of the ENSFM paper: one item held out of 3,387 combinations of a user and seven contexts, each"
    " of which has train rows too. As in the paper's program every item that the user has not used in the very same"
    " contexts is a candidate, so items they used in others are: 90 % of the held-out pairs are in train under other"
    " contexts, and a user's own history by count is the baseline to beat. Means over the 3,387 combinations. Settings"
    " are tuned on as many train rows, drawn at random from combinations with two or more, never on test. Baselines are"
    " all rows without contexts."
)
PUBLISHED = {
    model: dict(zip(COLUMNS, figures, strict=True))
    for model, figures in {
        "MostPop, seen items kept": (0.2539, 0.3493, 0.4136, 0.1595, 0.1898, 0.2060),
        "FM": (0.4204, 0.5486, 0.6590, 0.3054, 0.3469, 0.3750),
        "DeepFM": (0.4632, 0.6035, 0.7322, 0.3308, 0.3765, 0.4092),
        "NFM": (0.4798, 0.6197, 0.7382, 0.3469, 0.3924, 0.4225),
        "ONCF": (0.5359, 0.6531, 0.7691, 0.3940, 0.4320, 0.4614),
        "CFM": (0.5462, 0.6720, 0.7774, 0.4153, 0.4560, 0.4859),
        "ENMF": (0.5682, 0.6833, 0.7749, 0.4314, 0.4642, 0.4914),
        "ENSFM": (0.6094, 0.7118, 0.7889, 0.4771, 0.5105, 0.5301),
    }.items()
}

_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", {}),
    (
        "MostPop, seen items kept",
        "mostpop",
        {"masked": False, "note": "items of train stay candidates; the paper's MostPop row is this one"},
    ),
    ("ENMF", "enmf-u", {"note": "without contexts; a pair counts once for each of its train rows"}),
    ("ENMF, exact solver", "wmf", {"note": "ENMF's objective by alternating least squares (model wmf)"}),
    ("ENSFM", "ensfm", {"baseline": False}),
    (
        "Context history",
        "context-history",
        {"baseline": False, "note": "contexts plus history: own rows weighed by equal contexts, over exact factors"},
    ),
]
_MODELS = {label: model for label, model, _ in _ROWS}


def rows(data_dir: Path) -> list[Row]:
    split = frappe(data_dir)
    modelled = [model_row(label, model, split, **METRICS, **options) for label, model, options in _ROWS]
    searched = [*searched_rows(split, OTHERS, **METRICS, **SLOW), *default_rows(split, _MODELS | OTHERS, **METRICS)]
    return [*modelled[:2], own_history(split), *modelled[2:], *searched]


def own_history(split: Split) -> Row:
    """A user's own items by how often they were used in any contexts; equal counts, and all others, by popularity."""
    settings = {"data": split.digest, "rule": "own history", "code": code_digest(*RANKING)}

    def run(seed: int) -> Result:
        rows = split.catalogue.encode(split.train)
        counts = np.zeros((rows.num_users, rows.num_items), dtype=np.float32)
        np.add.at(counts, (rows.users, rows.items), 1)
        popularity = rows.item_counts / (1 + rows.item_counts.max())
        users = ranked(
            split, lambda users, contexts: counts[users] + popularity, cutoffs=CUTOFFS, metrics=("hr", "ndcg")
        )
        return Result({name: float(column.mean()) for name, column in users.items()}, 0.0, users=users)

    return Row("Own history", run, settings, max_seeds=1, note="counted, nothing learnt; 1 seed: there is no chance")
