"""What a deletion costs: shards touched and seconds, one by one and in batches, against training the model whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.collaborative import Split, read_split
from benchmarks.receraser_ml1m import DATASET
from benchmarks.sharded import Kind, build, code, columns, measured, params_of, recipe, room, values
from benchmarks.table import Result, Row
from lethe.build.builder import Builder, slices_before
from lethe.build.recipe import Recipe
from lethe.core.environment import code_digest
from lethe.core.random import keyed_hash
from lethe.core.workspace import Workspace
from lethe.evaluation.ranking import evaluate_users
from lethe.learning.ensemble import Ensemble
from lethe.serving.packing import write_package
from lethe.tables.interactions import Interactions

PROTOCOL = (
    "MovieLens-1M, split of the RecEraser paper, K = 10 under user hash, stacked (LightGCN by BPR: refit). 100 users,"
    " or 100 interactions, drawn by key, are forgotten one by one, in batches of 10, or all at once, each time from the"
    " whole data. Shards touched is the mean over all batches. Seconds of the processor: the mean over as many batches"
    " as stand in the row's note. Retrain is the same model on all rows, measured in the same run; × Retrain is how"
    " many times longer that takes; recall@20 is that of the whole build. Data stages and redeployment, the same for"
    " both, are not in it."
)
PUBLISHED = columns("shards touched", "recall@20", "Retrain's recall@20")
REQUESTS = 100
MEASURED = {1: 5, 10: 2, 100: 1}
"""Batches that are really carried out, by their size."""
KINDS = {
    "WMF": Kind("wmf", "user-hash", "stacked", settings="shards-stacked", whole=True),
    "WMF, 4 slices": Kind("wmf", "user-hash", "stacked", settings="shards-stacked", whole=True, slices=4),
    "EASE": Kind("cooccurrence", "user-hash", "ease", settings="ease-counts"),
    "LightGCN": Kind("lightgcn", "user-hash", "stacked", settings="shards-stacked", whole=True),
    "LightGCN, 4 slices": Kind("lightgcn", "user-hash", "stacked", settings="shards-stacked", whole=True, slices=4),
    "LightGCN by BPR": Kind("lightgcn", "user-hash", "refit", settings="lightgcn-bpr"),
}
SLOW = {"LightGCN by BPR"}
"""Minutes a training: users one by one alone."""


def rows(data_dir: Path) -> list[Row]:
    split = read_split(data_dir, DATASET)
    found = []
    whole = cache(partial(retrain, split))
    for label, kind in KINDS.items():
        for what in ("users",) if label in SLOW else ("users", "interactions"):
            for size in (1,) if label in SLOW else MEASURED:
                how = {1: "one by one"}.get(size, f"in batches of {size}")
                found.append(cost_row(f"{label}: {what} {how}", split, kind, what, size, whole))
    return found


def cost_row(
    label: str, split: Split, kind: Kind, what: str, size: int, whole: Callable[[Kind, int], Whole], note: str = ""
) -> Row:
    """What it costs to forget users or interactions, ``size`` at a time; ``whole`` trains the model on all rows."""
    chosen = values(split, kind)

    def run(seed: int) -> Result:
        requests = drawn(split.train, what)
        batches = [requests[first : first + size] for first in range(0, REQUESTS, size)]
        workspace = room(split, kind, seed)
        shards = _shards(workspace, kind)
        touched = [sum(bool(_gone(rows, batch).any()) for rows in shards.values()) for batch in batches]
        spent = [carry_out(split, kind, seed, batch) for batch in batches[: MEASURED[size]]]
        times = {name: float(np.mean([one[name] for one in spent])) for name in spent[0]}
        seconds = sum(times.values())
        # EASE whole is not its counts, but the model of that name.
        alone = (
            Kind("ease") if kind.aggregator == "ease" else Kind(kind.model, settings=kind.settings, whole=kind.whole)
        )
        _, _, ensemble = build(split, kind, chosen, seed)
        recall = measured(Ensemble.load(ensemble.path), split.train, split.test)["recall@20"]
        retrained = whole(alone, seed)
        metrics = {"shards touched": float(np.mean(touched)), "recall@20": float(recall.mean())}
        metrics["Retrain's recall@20"] = retrained.recall
        return Result(metrics, seconds, {**times, "× Retrain": retrained.seconds / seconds})

    decides = {
        "data": split.digest,
        "recipe": {**recipe(split, kind, chosen, 0).plain(), "seed": None},
        "what": [what, size, REQUESTS, MEASURED[size], *PUBLISHED[""]],
        "code": [code(kind), code_digest(evaluate_users, write_package)],
    }
    carried = f"{MEASURED[size]} of {REQUESTS // size} batches carried out"
    return Row(label, run, decides, False, 1, f"{carried}{note}")


Gone = Sequence[tuple[int, int | None]]
"""Users with an item, or with None for everything of theirs."""


def drawn(rows: Interactions, what: str) -> list[tuple[int, int | None]]:
    if what == "users":
        users = np.unique(rows.user_ids)
        return [(int(user), None) for user in users[np.argsort(keyed_hash(users, "cost"))][:REQUESTS]]
    places = np.argsort(keyed_hash(np.arange(len(rows)), "cost"))[:REQUESTS]
    return [(int(rows.user_ids[place]), int(rows.item_ids[place])) for place in places]


def _gone(rows: Interactions, batch: Gone) -> np.ndarray:
    named = np.zeros(len(rows), dtype=bool)
    for user, item in batch:
        named |= (rows.user_ids == user) & (True if item is None else rows.item_ids == item)
    return named


def _shards(workspace: Workspace, kind: Kind) -> dict[str, Interactions]:
    tables = sorted(workspace.shards(DATASET, kind.room).glob("*.parquet"))
    return {path.stem: Interactions.read(path) for path in tables}


def carry_out(split: Split, kind: Kind, seed: int, batch: Gone) -> dict[str, float]:
    """Seconds of making anew what the batch touches; sub-models of the whole data are made before the clock starts."""
    remaining = replace(split, train=split.train.take(~_gone(split.train, batch)))
    everything, rest = (Builder(room(one, kind, seed), _recipe(one, kind, seed)) for one in (split, remaining))
    known = set()
    for name in everything.shard_names():
        sub_model = everything.sub_model(name)
        for artifact in (sub_model, *slices_before(everything.store, sub_model)):
            shutil.copytree(artifact.path, rest.store.root / artifact.kind / artifact.key)
            known.add(artifact.key)
    try:
        return _spent(rest, known)
    finally:
        shutil.rmtree(rest.workspace.root)


class Whole(NamedTuple):
    """Seconds of training a model whole and packaging it, and its recall@20."""

    seconds: float
    recall: float


def retrain(split: Split, kind: Kind, seed: int) -> Whole:
    """A model trained whole, now."""
    builder = Builder(room(split, kind, seed), _recipe(split, kind, seed))
    data = split.train.digest()
    for artifact in list(builder.store.all()):
        made_of = artifact.inputs.get("model"), artifact.inputs.get("data")
        if artifact.kind == "package" or made_of == (kind.model, data):
            builder.store.remove(artifact)
    seconds = sum(_spent(builder, set()).values())
    _, _, ensemble = build(split, kind, values(split, kind), seed)
    return Whole(seconds, float(measured(Ensemble.load(ensemble.path), split.train, split.test)["recall@20"].mean()))


def _recipe(split: Split, kind: Kind, seed: int) -> Recipe:
    return recipe(split, kind, values(split, kind), seed)


def _spent(builder: Builder, known: set[str]) -> dict[str, float]:
    """Seconds of the processor of each part, without the sub-models and slices that are known."""
    workspace, dataset = builder.workspace, builder.recipe.dataset
    builder.part("train").write(workspace.interactions(dataset))
    made = {name: builder.sub_model(name) for name in builder.shard_names()}
    trained = [part for one in made.values() for part in (one, *slices_before(builder.store, one))]
    ensemble = builder.ensemble({name: artifact.key for name, artifact in made.items()})
    params = params_of(dataset, builder.recipe.sharding, builder.recipe.layout, builder.recipe.seed)
    package = builder.package(ensemble.key, "family", params)
    parts = {
        "sub-models": [part for part in trained if part.key not in known],
        "aggregator": [ensemble],
        "package": [package],
    }
    return {name: sum(artifact.record().cpu_seconds for artifact in held) for name, held in parts.items()}
