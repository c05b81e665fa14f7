"""What a deletion makes learnt again, shard by shard, and what that will cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lethe.data.tables import SideTables
from lethe.models import configure
from lethe.recipe import Recipe
from lethe.slices import stage_config
from lethe.unlearning.costs import Costs, aggregating, training
from lethe.unlearning.requests import ForgetRequest, mentions
from lethe.workspace import Workspace


@dataclass(frozen=True)
class Shard:
    """What of a shard leaves, and what is learnt again.

    ``rows`` and ``gone`` count its training rows and those that leave; ``stages``: the rows of each training that has
    to be done anew (one, or one a slice from the touched one on; none for a shard that is left empty). ``touched``: it
    held such rows, in its side tables or otherwise.
    """

    rows: int
    gone: int
    stages: tuple[int, ...]
    touched: bool


@dataclass(frozen=True)
class Predicted:
    """Seconds of each part of the work, None where nothing like it was ever recorded, and the predictions' error.

    The data stages and the redeployment, which are the same under every sharding, are not in it.
    """

    parts: dict[str, float | None]
    error: float | None
    """Mean relative error that predicting the training records from one another would have had."""

    @property
    def seconds(self) -> float | None:
        known = [seconds for seconds in self.parts.values() if seconds is not None]
        return sum(known) if len(known) == len(self.parts) else None

    def __str__(self) -> str:
        unknown = [name for name, seconds in self.parts.items() if seconds is None]
        if self.seconds is None:
            return f"no record yet of {', '.join(unknown)}"
        return f"{self.seconds:.1f} s" + ("" if self.error is None else f" (error {self.error:.0%})")

    def to_json(self) -> dict[str, Any]:
        parts = {name: None if seconds is None else round(seconds, 3) for name, seconds in self.parts.items()}
        total, error = self.seconds, self.error
        return {
            "seconds": None if total is None else round(total, 3),
            "parts": parts,
            "error": None if error is None else round(error, 3),
        }


def shards_of(workspace: Workspace, recipe: Recipe, requests: Sequence[ForgetRequest]) -> dict[str, Shard]:
    """Every shard of the recipe's sharding, and what the requests, all of its dataset, touch in it."""
    tables = sorted(workspace.shards(recipe.dataset, recipe.sharding).glob("*.parquet"))
    return {path.stem: _shard(path, requests, recipe.layout.slices) for path in tables}


def _shard(path: Path, requests: Sequence[ForgetRequest], slices: int) -> Shard:
    users, items, places = _columns(path, "user", "item", "slice")
    # Two requests may be about the same row: it leaves once.
    covered = [request.covers(users, items) for request in requests]
    gone = np.any(covered, axis=0) if covered else np.zeros(len(users), dtype=bool)
    tables = SideTables.read(path.parent / "side" / path.stem)
    mentioned = any(mentions(tables, request) for request in requests)
    stages: tuple[int, ...] = ()
    if (gone.any() or mentioned) and not gone.all():
        # A side table has no slices: whoever is only mentioned may be so in the first.
        first = 0 if mentioned else int(places[gone].min())
        left = np.bincount(places[~gone], minlength=slices).cumsum()
        stages = tuple(int(rows) for rows in left[first:slices] if rows)
    return Shard(len(users), int(gone.sum()), stages, bool(gone.any() or mentioned))


def _columns(path: Path, *names: str) -> tuple[np.ndarray, ...]:
    """Columns of a shard's table; slices are 0 where it isn't sliced."""
    table = pq.read_table(path)
    nothing = np.zeros(table.num_rows, dtype=np.int64)
    return tuple(table[name].to_numpy() if name in table.column_names else nothing for name in names)


def predict(recipe: Recipe, shards: Mapping[str, Shard], costs: Costs) -> Predicted:
    """The work behind what is touched, from the records of earlier work."""
    what = _training(recipe)
    trainings = [costs.seconds(what, rows) for shard in shards.values() for rows in shard.stages]
    known = [seconds for seconds in trainings if seconds is not None]
    left = sum(shard.rows - shard.gone for shard in shards.values())
    return Predicted(
        {
            "sub-models": sum(known) if len(known) == len(trainings) else None,
            **_behind(recipe, left, costs),
            "package": costs.seconds("package", left),
        },
        costs.error(what),
    )


def _behind(recipe: Recipe, rows: int, costs: Costs) -> dict[str, float | None]:
    """What is made anew whatever was touched, before a winner is packaged."""
    return {
        "aggregator": costs.seconds(aggregating(recipe.layout.aggregator, recipe.aggregator), rows),
        "evaluation": costs.seconds("evaluation", rows),
    }


def _training(recipe: Recipe) -> str:
    config = configure(recipe.model, recipe.config)
    if recipe.layout.slices > 1:
        config = stage_config(config, recipe.layout.slices, recipe.model)
    return training(recipe.model, config.plain())


def expected_seconds(workspace: Workspace, recipe: Recipe, requests: int, costs: Costs) -> float | None:
    """What training, aggregating and evaluating for that many whole-user requests, fulfilled together, is expected to
    cost; None where it isn't known.

    The users are drawn at random, each alone: a part that holds a share f of them stays untouched with probability
    (1 - f)^requests. A shard is learnt again from its first touched slice on.
    """
    tables = sorted(workspace.shards(recipe.dataset, recipe.sharding).glob("*.parquet"))
    held = [_columns(path, "user", "slice") for path in tables]
    held = [(users, places) for users, places in held if len(users)]
    everyone = len(np.unique(np.concatenate([users for users, _ in held]))) if held else 0
    rows, total = sum(len(users) for users, _ in held), 0.0
    for users, places in held:
        untouched = 1.0
        for slice_ in range(recipe.layout.slices):
            share = len(np.unique(users[places <= slice_])) / everyone
            still = (1 - share) ** requests
            # The first touched slice is this one: its stage and all later ones are learnt again.
            later = [int((places <= stage).sum()) for stage in range(slice_, recipe.layout.slices)]
            again = [costs.seconds(_training(recipe), count) for count in later if count]
            if any(seconds is None for seconds in again):
                return None
            total += (untouched - still) * sum(seconds for seconds in again if seconds is not None)
            untouched = still
    behind = list(_behind(recipe, rows, costs).values())
    return None if None in behind else total + sum(seconds for seconds in behind if seconds is not None)
