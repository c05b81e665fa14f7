"""What making things costs, learnt from the records of what was made: .lethe/costs.json, seconds and row counts only.

It outlives the artifacts, because a purge takes those of before a deletion with their records. A training, of a whole
shard or of a slice, costs its number of rows times the median of what a row of the same model and settings has cost.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lethe.build.inputs import EnsembleInputs, SubModelInputs
from lethe.build.recipe import Recipe
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.canonical import digest_json
from lethe.core.files import read_json, write_whole
from lethe.core.workspace import Workspace
from lethe.learning.slices import slice_config
from lethe.models import configure
from lethe.tables.ids import Ids
from lethe.tables.reader import Reader
from lethe.tables.texts import Column

KEPT = 50
"""Records of each kind of work, the newest."""


class Cost(NamedTuple):
    """One piece of work: what it was, over how many rows, by the clock; ``made`` tells records apart."""

    what: str
    rows: int
    seconds: float
    made: float


def training(model: str, config: Mapping[str, Any]) -> str:
    """The name of training a model: other settings cost something else."""
    return f"{model} {digest_json(config)[:8]}"


def aggregating(aggregator: str, config: Mapping[str, Any]) -> str:
    return f"{aggregator} {digest_json(config)[:8]}"


@dataclass(frozen=True)
class Costs:
    """Recorded work, oldest first, and what follows from it for work to come."""

    records: tuple[Cost, ...] = ()

    def seconds(self, what: str, rows: int) -> float | None:
        """Predicted; None where nothing of the kind was ever recorded."""
        return _predict([record for record in self.records if record.what == what], rows)

    def error(self, what: str) -> float | None:
        """Median relative error of predicting each record from the others; None where there are fewer than two. The
        median, as predictions are: what a first run compiles or loads says nothing of the next."""
        known = [record for record in self.records if record.what == what]
        predicted = [_predict([o for o in known if o is not record], record.rows) for record in known]
        errors = [abs(p - r.seconds) / r.seconds for p, r in zip(predicted, known, strict=True) if p and r.seconds]
        return statistics.median(errors) if errors else None

    @classmethod
    def read(cls, workspace: Workspace) -> Costs:
        path = workspace.state / "costs.json"
        return cls(tuple(Cost(*row) for row in read_json(path, list))) if path.is_file() else cls()


def _predict(known: list[Cost], rows: int) -> float | None:
    return rows * statistics.median(cost.seconds / max(cost.rows, 1) for cost in known) if known else None


def learn(workspace: Workspace) -> Costs:
    """Add the records of the artifacts that are there now, and write."""
    old = Costs.read(workspace).records
    seen = {cost.made for cost in old}
    new = sorted((c for c in _recorded(workspace) if c.made not in seen), key=lambda cost: cost.made)
    kept: list[Cost] = []
    for what in dict.fromkeys(cost.what for cost in (*old, *new)):
        kept += [cost for cost in (*old, *new) if cost.what == what][-KEPT:]
    write_whole(workspace.state / "costs.json", json.dumps(kept))
    return Costs(tuple(kept))


def _recorded(workspace: Workspace) -> Iterator[Cost]:
    for artifact in ArtifactStore(workspace.artifacts).all():
        record = artifact.record()
        if record is not None and record.rows is not None:
            yield Cost(_name(artifact), record.rows, record.seconds, record.made)


def _name(artifact: Artifact) -> str:
    match artifact.kind:
        case "sub-model" | "slice":
            learnt = SubModelInputs.of(artifact)
            return training(learnt.model, learnt.config)
        case "ensemble":
            combined = EnsembleInputs.of(artifact)
            return aggregating(combined.aggregator, combined.config)
        case kind:
            return kind


def slices_of(path: Path, reader: Reader) -> np.ndarray:
    """[n] int64: the slice of each row of a shard's table; 0 where it isn't sliced."""
    slices = reader.slices(path)
    return np.zeros(reader.rows(path), dtype=np.int64) if slices is None else slices


def _numbered(columns: Sequence[Column]) -> tuple[int, list[np.ndarray]]:
    """How many distinct ids there are in columns of users, and each column as numbers below that."""
    if not columns:
        return 0, []
    ids = Ids.of(*columns)
    return len(ids), [ids.encode(column) for column in columns]


def costs_behind(recipe: Recipe, rows: int, costs: Costs) -> dict[str, float | None]:
    """What is made anew whatever was touched, before what is served is packaged."""
    return {"aggregator": costs.seconds(aggregating(recipe.layout.aggregator, recipe.aggregator), rows)}


def training_of(recipe: Recipe) -> str:
    config = configure(recipe.model, recipe.config)
    if recipe.layout.slices > 1:
        config = slice_config(config, recipe.layout.slices, recipe.model)
    return training(recipe.model, config.plain())


def expected_seconds(
    workspace: Workspace, recipe: Recipe, requests: int, costs: Costs, reader: Reader | None = None
) -> float | None:
    """What training and aggregating for that many whole-user requests, fulfilled together, is expected to
    cost; None where it isn't known.

    The users are drawn at random, each alone: a part that holds a share f of them stays untouched with probability
    (1 - f)^requests. A shard is learnt again from its first touched slice on.
    """
    tables = sorted(workspace.shards(recipe.dataset, recipe.laid_in).glob("*.parquet"))
    reader = reader or Reader()
    held = [(reader.interactions(path).user_ids, slices_of(path, reader)) for path in tables]
    everyone, numbered = _numbered([users for users, _ in held if len(users)])
    rows, total = sum(map(len, numbered)), 0.0
    for users, places in zip(numbered, [places for users, places in held if len(users)], strict=True):
        untouched = 1.0
        for slice_ in range(recipe.layout.slices):
            share = np.count_nonzero(np.bincount(users[places <= slice_])) / everyone
            still = (1 - share) ** requests
            # The first touched slice is this one: it and all later ones are learnt again.
            later = [int((places <= last).sum()) for last in range(slice_, recipe.layout.slices)]
            again = [costs.seconds(training_of(recipe), count) for count in later if count]
            if any(seconds is None for seconds in again):
                return None
            total += (untouched - still) * sum(seconds for seconds in again if seconds is not None)
            untouched = still
    behind = list(costs_behind(recipe, rows, costs).values())
    return None if None in behind else total + sum(seconds for seconds in behind if seconds is not None)
