"""People folded in after training against people trained on: how much a new customer loses until the next training.

A tenth of the users is held out of training altogether, then answered by their history alone, as the service does; the
same users are answered by a model that was trained with them. Both see the same rows of theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import Say
from benchmarks.collaborative import TIMED, Split, newest_parts, read_split, tuned
from benchmarks.table import Result, Row, resumed
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.evaluation.ranking import evaluate_users
from lethe.learning.aggregation import identity
from lethe.learning.ensemble import Asked, Ensemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

METRIC = "recall@20"
FIGURES = ("trained", "folded_in", "popular")
GOAL = 0.97
HELD_OUT = 10
"""One user in so many."""

PAIRS = "ml-1m-receraser"
_LIKE_WMF = {"dropout": 0.4, "negative_weight": 0.2}
FAMILIES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "wmf": (PAIRS, {}),
    "enmf-u": (PAIRS, _LIKE_WMF),
    "ease": (PAIRS, {}),
    "lightgcn": (PAIRS, {}),
    "enmf-i": (PAIRS, _LIKE_WMF),
    "enmf-a": (PAIRS, _LIKE_WMF),
    "item-knn": (PAIRS, {}),
    "slim": (PAIRS, {}),
    "cooccurrence": (PAIRS, {}),
    "bpr": (PAIRS, {}),
    "ultragcn": (PAIRS, {}),
    "simplex": (PAIRS, {}),
    "expomf": (PAIRS, {}),
    "gmf": (PAIRS, {}),
    "sparse-ease": (PAIRS, {}),
    "rp3beta": (PAIRS, {}),
    "gf-cf": (PAIRS, {}),
    "turbo-cf": (PAIRS, {}),
    "user-knn": (PAIRS, {}),
    "mult-vae": (PAIRS, {}),
    "directau": (PAIRS, {}),
    "gru4rec": (TIMED, {}),
    "ra-lst-exact": (TIMED, {}),
    "sasrec": (TIMED, {}),
}
"""{model: (data set, what differs from its tuned values)}."""
GOALS = ("wmf", "enmf-u", "ease")


def run(names: list[str], data_dir: Path, seed: int, work: Path | None, say: Say) -> list[dict[str, Any]]:
    """A row a family: both figures and their ratio; rows that lie in the folder ``work`` are not made again.

    Raises ConfigError for an unknown family.
    """
    for name in names:
        if name not in FAMILIES:
            raise ConfigError(f"--family: unknown family {name!r}; known families: {', '.join(FAMILIES)}")
    splits = {dataset: read(data_dir, dataset) for dataset in {FAMILIES[name][0] for name in names or FAMILIES}}
    rows = []
    for name in names or list(FAMILIES):
        dataset, values = FAMILIES[name]
        row = row_of(name, splits[dataset], tuned(dataset, name) | dict(values))
        result = resumed(row, seed, work)
        rows.append({"family": name, "dataset": dataset, **result.metrics, "seconds": result.seconds})
        figures = "  ".join(f"{figure} {result.metrics[figure]:.4f}" for figure in FIGURES)
        say(f"{name}  {figures}  {result.metrics['ratio']:.3f}")
    return rows


def row_of(name: str, split: Split, values: Mapping[str, Any]) -> Row:
    """A family's row, with all that decides it."""
    config = configure(name, dict(values), f"params.{split.dataset}")
    decides = {
        "data": split.digest,
        "model": name,
        "config": config.plain(),
        "code": code_digest(compare, MODELS[name]),
    }
    return Row(name, lambda seed: compare(name, split, values, seed), decides)


def read(data_dir: Path, dataset: str) -> Split:
    """A data set as it is trained on and tested."""
    if dataset == PAIRS:
        return read_split(data_dir, dataset)
    parts = newest_parts(data_dir)
    return Split(dataset, parts["train"], parts["valid"])


def compare(name: str, split: Split, values: Mapping[str, Any], seed: int) -> Result:
    """Recall of the held-out users when they were trained on, when they are folded in, and when they get what is
    popular."""
    held = np.unique(split.train.user_ids)[seed % HELD_OUT :: HELD_OUT]
    ours, theirs = np.isin(split.train.user_ids, held), np.isin(split.test.user_ids, held)
    histories, test = split.train.take(ours), split.test.take(theirs)
    start = time.process_time()
    whole = build(name, split.train, values, seed)
    seconds = time.process_time() - start
    trained = recall(whole, lambda users: whole.score(whole.catalogue.users.encode(users)), histories, test)
    without = build(name, split.train.take(~ours), values, seed)
    by_user = of_each(histories)

    def fold(users: np.ndarray) -> np.ndarray:
        asked = Asked(histories=[by_user[user] for user in users.tolist()])
        return without.score(np.full(len(users), -1), asked)

    folded = recall(without, fold, histories, test)
    popular = np.bincount(without.catalogue.items.encode(split.train.take(~ours).item_ids)).astype(np.float32)
    floor = recall(without, lambda users: np.broadcast_to(popular, (len(users), len(popular))), histories, test)
    figures = {"trained": trained, "folded_in": folded, "popular": floor, "ratio": folded / trained}
    return Result({"users": len(held)} | figures, seconds)


def build(name: str, rows: Interactions, values: Mapping[str, Any], seed: int) -> Ensemble:
    """One model on all of some rows, as the service has it."""
    catalogue = Catalogue.of(rows)
    model = MODELS[name](configure(name, dict(values)), catalogue.shape)
    train(model, catalogue.encode(rows), Stream(seed)("benchmark", name))
    ensemble, _ = identity.fit([SubModel("whole", model.eval(), catalogue)], rows, identity.Config(), Stream(seed))
    return ensemble


def of_each(rows: Interactions) -> dict[Any, np.ndarray]:
    """{user id: item ids}, oldest first where rows have times."""
    order = np.arange(len(rows)) if rows.timestamps is None else np.argsort(rows.timestamps, kind="stable")
    users, items = rows.user_ids[order], rows.item_ids[order]
    by_user = np.argsort(users, kind="stable")
    people, starts = np.unique(users[by_user], return_index=True)
    return dict(zip(people.tolist(), np.split(items[by_user], starts[1:]), strict=True))


def recall(
    ensemble: Ensemble, score: Callable[[np.ndarray], np.ndarray], seen: Interactions, test: Interactions
) -> float:
    """Mean over the users of ``test``; ``score`` takes raw user ids."""
    people = Ids(np.unique(test.user_ids))
    catalogue = Catalogue(people, ensemble.catalogue.items)
    found = evaluate_users(
        lambda users: score(people.values[users]), catalogue, seen, test, cutoffs=[20], metrics=["recall"]
    )
    return float(found[METRIC].mean())


def report(rows: list[dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    lines = [
        "# fold-in",
        "",
        f"`{command}`",
        "",
        f"One user in {HELD_OUT} is held out of training and answered by their rows alone (folded in), or trained on. "
        f"{METRIC}, means over those users; popular: what they got before. Goal for {', '.join(GOALS)}: {GOAL:.0%}.",
        "",
        "| family | data | trained | folded in | popular | folded in / trained |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        figures = " | ".join(f"{row[name]:.4f}" for name in FIGURES)
        lines.append(f"| {row['family']} | {row['dataset']} | {figures} | {row['ratio']:.3f} |")
    return {"table": "fold-in", "command": command, "rows": rows}, "\n".join(lines) + "\n"
