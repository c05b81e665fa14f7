"""What a deletion makes learnt again, shard by shard, and what that will cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lethe.build.costs import Costs, costs_behind, slices_of, training_of
from lethe.build.recipe import Recipe
from lethe.core.canonical import Json
from lethe.core.workspace import Workspace
from lethe.forgetting.ledger.beside import changed_by, mentioned_by
from lethe.forgetting.ledger.requests import ForgetRequest, covered_by
from lethe.tables.inside import KnownIds
from lethe.tables.reader import Reader


@dataclass(frozen=True)
class Shard:
    """What of a shard leaves, and what is learnt again.

    ``rows`` and ``gone`` count its rows and those that leave; ``trainings``: the rows of each training that
    has to be done anew (one, or one a slice from the touched one on; none for a shard that is left empty).
    ``touched``: it held such rows, in its side tables or otherwise, or rows that lose a context.
    """

    rows: int
    gone: int
    trainings: tuple[int, ...]
    touched: bool


@dataclass(frozen=True)
class Predicted:
    """Seconds of each part of the work, None where nothing like it was ever recorded, and the predictions' error.

    The data stages and the redeployment, which are the same under every sharding, are not in it.
    """

    parts: dict[str, float | None]
    error: float | None
    """Median relative error that predicting the training records from one another would have had."""

    @property
    def seconds(self) -> float | None:
        known = [seconds for seconds in self.parts.values() if seconds is not None]
        return sum(known) if len(known) == len(self.parts) else None

    def __str__(self) -> str:
        unknown = [name for name, seconds in self.parts.items() if seconds is None]
        if self.seconds is None:
            return f"no record yet of {', '.join(unknown)}"
        if self.error is None:
            return f"{self.seconds:.1f} s"
        # Beyond that a percentage says no more than that nobody can tell.
        doubt = f"± {self.error:.0%}" if self.error <= 1 else "a rough guess: earlier trainings differed more than that"
        return f"{self.seconds:.1f} s ({doubt})"

    def to_json(self) -> Json:
        parts: Json = {name: None if seconds is None else round(seconds, 3) for name, seconds in self.parts.items()}
        total, error = self.seconds, self.error
        return {
            "seconds": None if total is None else round(total, 3),
            "parts": parts,
            "error": None if error is None else round(error, 3),
        }


def shards_of(
    workspace: Workspace, recipe: Recipe, requests: Sequence[ForgetRequest], reader: Reader
) -> dict[str, Shard]:
    """Every shard of the recipe's sharding, and what the requests, all of its dataset, touch in it."""
    tables = sorted(workspace.shards(recipe.dataset, recipe.laid_in).glob("*.parquet"))
    known = KnownIds((workspace.interactions(recipe.dataset),))
    return {path.stem: _shard(path, requests, recipe.layout.slices, reader, known) for path in tables}


def _shard(path: Path, requests: Sequence[ForgetRequest], slices: int, reader: Reader, known: KnownIds) -> Shard:
    rows, places = reader.interactions(path), slices_of(path, reader)
    users, items = rows.user_ids, rows.item_ids
    gone, changed = covered_by(requests, users, items), changed_by(requests, rows, known)
    tables = reader.side(path.parent / "side" / path.stem)
    mentioned = any(
        (covered_by(requests, rows.user_ids, rows.item_ids) | changed_by(requests, rows, known)).any()
        for rows in tables.behaviours.values()
    )
    mentioned |= any(mentioned_by(requests, t.columns, len(t), known).any() for t in tables.tables.values())
    trainings: tuple[int, ...] = ()
    touched = gone | changed
    if (touched.any() or mentioned) and not gone.all():
        # A side table has no slices: whoever is only mentioned may be so in the first.
        first = 0 if mentioned else int(places[touched].min())
        left = np.bincount(places[~gone], minlength=slices).cumsum()
        trainings = tuple(int(rows) for rows in left[first:slices] if rows)
    return Shard(len(users), int(gone.sum()), trainings, bool(touched.any() or mentioned))


def predict(recipe: Recipe, shards: Mapping[str, Shard], costs: Costs) -> Predicted:
    """The work behind what is touched, from the records of earlier work."""
    what = training_of(recipe)
    trainings = [costs.seconds(what, rows) for shard in shards.values() for rows in shard.trainings]
    known = [seconds for seconds in trainings if seconds is not None]
    left = sum(shard.rows - shard.gone for shard in shards.values())
    return Predicted(
        {
            "sub-models": sum(known) if len(known) == len(trainings) else None,
            **costs_behind(recipe, left, costs),
            "package": costs.seconds("package", left),
        },
        costs.error(what),
    )
