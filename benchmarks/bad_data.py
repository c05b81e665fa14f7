"""Forgetting bad data: what a crowd of fake users spoils, what forgetting restores, whether anything is left."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.collaborative import Split, read_split
from benchmarks.receraser_ml1m import DATASET
from benchmarks.sharded import Kind, build, code, columns, measured, recipe, room, values
from benchmarks.table import Result, Row
from lethe.core.artifacts import Artifact
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.evaluation.ranking import evaluate_users, rank_users
from lethe.learning.ensemble import Ensemble
from lethe.tables.interactions import Interactions

FAKES, EACH, PROMOTED, POPULAR = 1208, 60, 10, 200
"""Fake users, a fifth of the real ones; rows of each; of those the same items for all; items that the others are of."""
PROTOCOL = (
    f"MovieLens-1M, split of the RecEraser paper. Bad data: {FAKES} users with {EACH} rows each, who all have the same"
    f" {PROMOTED} of the rarest fifth of the items, to promote them, and others of the {POPULAR} that most have, to be"
    " like many. Never had: built without them. With: built with them. Forgotten: their rows are removed and what they"
    " touched is built again, sub-models that are untouched are kept. Recall and NDCG are of the real users' test rows;"
    " promoted is the share of the places of their lists of 20 that the promoted items take; differing is how many"
    " artifacts of the forgotten build have other bytes than those never had, each built in a folder of its own."
    " Settings are those of receraser-ml1m. Baseline is what never had the data."
)
PUBLISHED = columns("recall@20", "ndcg@20", "promoted", "differing")
KINDS = {
    "WMF whole": Kind("wmf"),
    "WMF, 10 shards": Kind("wmf", "user-hash", "stacked", settings="shards-stacked", whole=True),
    "EASE whole": Kind("ease"),
    "EASE by counts": Kind("cooccurrence", "user-hash", "ease", settings="ease-counts"),
}


def rows(data_dir: Path) -> list[Row]:
    clean = read_split(data_dir, DATASET)
    bad = fakes(clean.train)
    spoilt = replace(clean, train=Interactions.concatenate(clean.train, bad))
    made = []
    for label, kind in KINDS.items():
        made.append(_row(f"{label}, never had", clean, clean, bad, kind, baseline=True, base=label))
        made.append(_row(f"{label}, with", clean, spoilt, bad, kind, baseline=False, base=label))
        made.append(_row(f"{label}, forgotten", clean, spoilt, bad, kind, baseline=False, base=label, forget=True))
    return made


def fakes(real: Interactions) -> Interactions:
    """The rows of the fake users, whose ids follow the real ones."""
    generator = Stream(1)("bad data").numpy("rows")
    items, counts = np.unique(real.item_ids, return_counts=True)
    rare = items[np.argsort(counts, kind="stable")][: len(items) // 5]
    promoted = generator.choice(rare, PROMOTED, replace=False)
    popular = np.setdiff1d(items[np.argsort(-counts, kind="stable")][:POPULAR], promoted)
    users = int(real.user_ids.max()) + 1 + np.arange(FAKES)
    hidden = [generator.choice(popular, EACH - PROMOTED, replace=False) for _ in users]
    return Interactions.of(np.repeat(users, EACH), np.concatenate([np.concatenate([promoted, own]) for own in hidden]))


def _promoted(bad: Interactions) -> np.ndarray:
    """The items that every fake user has."""
    items, counts = np.unique(bad.item_ids, return_counts=True)
    return items[counts == len(np.unique(bad.user_ids))]


def _row(
    label: str,
    clean: Split,
    learnt: Split,
    bad: Interactions,
    kind: Kind,
    *,
    baseline: bool,
    base: str,
    forget: bool = False,
) -> Row:
    decides = {
        "data": [clean.digest, learnt.digest],
        "recipe": {**recipe(clean, kind, values(clean, kind), 0).plain(), "seed": None},
        "forget": forget,
        "code": [code(kind), code_digest(evaluate_users)],
    }

    def run(seed: int) -> Result:
        if not forget:
            _, made = _built(learnt, kind, seed)
            differing = 0
        else:
            made, differing = _forgotten(clean, learnt, kind, seed)
        ensemble = Ensemble.load(made["ensemble"].path)
        users = measured(ensemble, clean.train, clean.test)
        means = {name: float(column.mean()) for name, column in users.items()}
        shares = {"promoted": _share(ensemble, clean, _promoted(bad)), "differing": float(differing)}
        seconds = sum(record.cpu_seconds for artifact in made.values() if (record := artifact.record()) is not None)
        return Result(means | shares, seconds, users=users)

    return Row(label, run, decides, baseline, base=base)


def _built(split: Split, kind: Kind, seed: int) -> tuple[Path, dict[str, Artifact]]:
    """(the workspace, artifacts by name): sub-models and the ensemble."""
    builder, sub_models, ensemble = build(split, kind, values(split, kind), seed)
    return builder.workspace.root, {**sub_models, "ensemble": ensemble}


def _forgotten(clean: Split, learnt: Split, kind: Kind, seed: int) -> tuple[Mapping[str, Artifact], int]:
    """What is built after the rows are gone, and how many of it have other bytes than what never had them.

    What never had them is built first and taken away, so that nothing of it can be used again.
    """
    never, without = _built(clean, kind, seed)
    digests = {name: artifact.digest for name, artifact in without.items()}
    shutil.rmtree(never)
    _, with_them = _built(learnt, kind, seed)
    remaining = replace(learnt, train=learnt.train.take(_kept(learnt.train, clean.train)))
    store = room(remaining, kind, seed).artifacts
    for name, artifact in with_them.items():
        # Untouched sub-models go on: their key is that of the rows that they were made from.
        if name != "ensemble":
            shutil.copytree(artifact.path, store / artifact.kind / artifact.key)
    _, after = _built(remaining, kind, seed)
    return after, sum(after[name].digest != digest for name, digest in digests.items())


def _kept(learnt: Interactions, real: Interactions) -> np.ndarray:
    """Which rows are of real users."""
    return np.isin(learnt.user_ids, real.user_ids)


def _share(ensemble: Ensemble, clean: Split, promoted: np.ndarray) -> float:
    """Of the places of all lists of 20, those that the promoted items take."""
    ranked = rank_users(ensemble.score, ensemble.catalogue, clean.train, clean.test, cutoffs=(20,), metrics=("recall",))
    places = ensemble.catalogue.items.encode(promoted)
    return float(ranked.shown[0][places[places >= 0]].sum() / ranked.shown[0].sum())
