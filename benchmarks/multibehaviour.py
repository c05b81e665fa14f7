"""Rows that the tables of several behaviours share: models that see purchases alone, a rule, and ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.collaborative import RANKING, SLOW, Split, default_rows, model_row, ranked, searched_rows, tuned
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest

CUTOFFS = (10, 50, 100)
METRICS: dict[str, Any] = {"cutoffs": CUTOFFS, "metrics": ("hr", "ndcg")}
COLUMNS = [f"{name}@{cutoff}" for name in METRICS["metrics"] for cutoff in CUTOFFS]
AGAINST = ("MostPop", "ENMF", "ENMF, exact solver", "EHCF")
SHORT: dict[str, Any] = {"baseline": False, "max_seeds": 2}
"""Ablations and sweeps."""
GRAPH = {"view": [], "cart": ["view"], "buy": ["view", "cart"]}

_OTHERS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", {}),
    ("MostPop, seen items kept", "mostpop", {"masked": False, "note": "items of train stay candidates"}),
    ("BPR", "bpr", {}),
    ("ENMF", "enmf-u", {}),
    ("ENMF, exact solver", "wmf", {"note": "ENMF's objective, dropout integrated out, by alternating least squares"}),
    ("LightGCN", "lightgcn", SLOW),
]
_SAMPLED = {"ExpoMF": "expomf", "NCF": "neumf", "CMF": "cmf", "MC-BPR": "mc-bpr", "NMTR": "nmtr"}


def headline_rows(split: Split) -> list[Row]:
    """Purchases alone, the rule, and the models of all behaviours."""
    # What sees purchases alone has the same settings under both protocols.
    purchases = replace(split, dataset=split.dataset.removesuffix("-clean"))
    made = [model_row(label, model, purchases, **METRICS, **options) for label, model, options in _OTHERS]
    made.insert(2, rule_row(split))
    ours = [("EHCF", "ehcf", ""), ("GHCF", "ghcf", "starts from the exact factors of the weighted union")]
    made += [model_row(label, model, split, **METRICS, baseline=False, note=note) for label, model, note in ours]
    note = "union of the behaviours, each with its weight, by the exact solver"
    return [*made, model_row("Collective", "collective-behaviours", split, **METRICS, baseline=False, note=note)]


def sampled_rows(split: Split) -> list[Row]:
    """The papers' other baselines: of purchases alone, and of all behaviours."""
    return searched_rows(split, _SAMPLED, **METRICS, **SLOW)


def unset_rows(split: Split) -> list[Row]:
    """All models with their defaults."""
    searched = {label: model for label, model, _ in _OTHERS[2:]} | _SAMPLED
    ours = {"EHCF": "ehcf", "GHCF": "ghcf", "Collective": "collective-behaviours"}
    return default_rows(split, searched | ours, **METRICS)


def subset_rows(split: Split, subsets: Sequence[Sequence[str]]) -> list[Row]:
    """Collective and EHCF on the purchases and some of the other behaviours; settings are those for all of them."""
    made = []
    for subset in subsets:
        left_out = {name: 0.0 for name in split.tables.behaviours if name not in subset}
        collective = {"weights": tuned(split.dataset, "collective-behaviours").get("weights", {}) | left_out}
        weights = tuned(split.dataset, "ehcf").get("weights", {})
        ehcf = {
            "graph": {name: [t for t in GRAPH[name] if t in subset] for name in (*subset, "buy")},
            "weights": {name: weight for name, weight in weights.items() if name in (*subset, "buy")},
        }
        label = " + ".join(["buy", *subset])
        # Collective on purchases alone is the row of ENMF's exact solver.
        models = (("Collective", "collective-behaviours", collective), ("EHCF", "ehcf", ehcf))
        for model, name, values in models if subset else models[1:]:
            made.append(
                model_row(f"{model}, {label}", name, split, **METRICS, **SHORT, values=values, note="2 seeds; subset")
            )
    return made


def ablation_rows(split: Split) -> list[Row]:
    """EHCF without its parts."""
    return [
        model_row(f"EHCF, {label}", "ehcf", split, **METRICS, **SHORT, values=values, note="2 seeds; ablation")
        for label, values in (("no transfer", {"transfer": False}), ("no joint learning", {"joint": False}))
    ]


def layer_rows(split: Split) -> list[Row]:
    """GHCF with 1 to 5 layers, others as tuned, but with weighed messages: unweighed ones grow layer by layer."""
    note = "2 seeds; sweep, messages weighed by μ"
    return [
        model_row(
            f"GHCF, {n} layers",
            "ghcf",
            split,
            **METRICS,
            **SHORT,
            values={"num_layers": n, "weigh_messages": True},
            note=note,
        )
        for n in range(1, 6)
    ]


def rule_row(split: Split) -> Row:
    """Own carted items first, then own viewed ones, then all others, each by popularity in train."""
    ranks = {"view": 1.0, "cart": 2.0}
    decides = {
        "data": split.digest,
        "model": "rule",
        "ranks": ranks,
        "code": code_digest(*RANKING),
        **{key: list(value) for key, value in METRICS.items()},
    }

    def run(seed: int) -> Result:
        data = split.catalogue.encode(split.train, split.side)
        popular = data.item_counts / (1.0 + data.item_counts.max())

        def scores(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
            table = np.tile(popular, (len(users), 1))
            for name, matrix in data.side.behaviours.items():
                done = matrix.csr()[users].toarray() > 0
                table = np.where(done, np.maximum(table, popular + ranks[name]), table)
            return table.astype(np.float32)

        users = ranked(split, scores, **METRICS)
        return Result({name: float(column.mean()) for name, column in users.items()}, 0.0, users=users)

    names = sorted(split.tables.behaviours, key=lambda name: -ranks[name])
    return Row(f"Own {' and '.join(names)} first", run, decides, True, 1, "a rule: the user's own, then by popularity")
