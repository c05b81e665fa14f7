"""Who gains and who loses by sharding and by forgetting: accuracy by how active users are."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.collaborative import Split, read_split
from benchmarks.receraser_ml1m import DATASET, METHODS, MODELS, kind
from benchmarks.sharded import Kind, build, code, columns, grouped_bars, measured, recipe, values
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest
from lethe.core.random import keyed_hash, unit_interval
from lethe.evaluation.ranking import evaluate_users
from lethe.learning.ensemble import Ensemble
from lethe.tables.ids import Ids

PROTOCOL = (
    "MovieLens-1M, split of the RecEraser paper, WMF, K = 10; recall@20 is hits/|test|, of the users who stay, in"
    " quarters by how many training rows they have (q1 the least active). 5 % of the users, drawn by key, leave: before"
    " and after, under the assignment frozen before. Settings as in receraser-ml1m. Two seeds."
)
GROUPS = ("q1", "q2", "q3", "q4")
PUBLISHED = columns("recall@20", *GROUPS)
LEAVING = 0.05
ROWS = ("Retrain", *METHODS)


def rows(data_dir: Path) -> list[Row]:
    split = read_split(data_dir, DATASET)
    found = []
    for method in ROWS:
        one = Kind(MODELS["WMF"]) if method == "Retrain" else kind("WMF", method)
        for when in ("before", "after"):
            found.append(_row(f"{method}, {when}", split, one, after=when == "after"))
    return found


def _row(label: str, split: Split, one: Kind, *, after: bool) -> Row:
    stay = {
        name: part.take(unit_interval(keyed_hash(part.user_ids, "leaving")) >= LEAVING)
        for name, part in (("train", split.train), ("test", split.test))
    }
    known = Split(split.dataset, stay["train"] if after else split.train, stay["test"])
    people = Ids.of(stay["test"].user_ids)
    held = people.encode(stay["train"].user_ids)
    activity = np.bincount(held[held >= 0], minlength=len(people))
    quarter = np.searchsorted(np.quantile(activity, (0.25, 0.5, 0.75)), activity)
    chosen = values(split, one)

    def run(seed: int) -> Result:
        builder, sub_models, ensemble = build(known, one, chosen, seed, before=split if after else None)
        users = measured(Ensemble.load(ensemble.path), stay["train"], stay["test"])["recall@20"]
        seconds = sum(artifact.record().cpu_seconds for artifact in (ensemble, *sub_models.values()))
        builder.store.remove(ensemble)
        groups = {name: float(users[quarter == place].mean()) for place, name in enumerate(GROUPS)}
        return Result({"recall@20": float(users.mean()), **groups}, seconds)

    decides = {
        "data": [known.digest, split.digest],
        "recipe": {**recipe(split, one, chosen, 0).plain(), "seed": None},
        "code": [code(one), code_digest(evaluate_users)],
        "groups": [LEAVING, list(GROUPS)],
    }
    return Row(label, run, decides, False, 2)


def plot(report: dict[str, Any], axes: Any) -> None:
    partial(grouped_bars, metrics=GROUPS)(report, axes, {name: name for name in ROWS}, ("before", "after"))
