"""What is to be trained for each family, its candidates or what it serves, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from lethe.build.builder import Builder, slices_before
from lethe.build.checks import check_params
from lethe.build.recipe import Recipe
from lethe.build.recipes import recipes
from lethe.build.registry import Registry
from lethe.build.stored import artifact_store
from lethe.config.params import Params
from lethe.config.sharding import Rows
from lethe.core.artifacts import Artifact
from lethe.core.workspace import Workspace
from lethe.evaluation.quality import Quality
from lethe.learning.device import pick_device
from lethe.tables.reader import Reader


@dataclass(frozen=True)
class Job:
    """A recipe to be trained for a family, and the device that may train it: auto, cpu or cuda."""

    family: str
    recipe: Recipe
    device: str
    compared: bool = True
    """Whether it is measured. After a forget request what is served is replaced whatever its figures, and nobody waits
    for them: the next training makes them."""

    def of(self, rows: Rows) -> Job:
        """The same with other rows of the data."""
        return replace(self, recipe=self.recipe.of(rows))

    def builder(self, workspace: Workspace, reader: Reader | None = None) -> Builder:
        return Builder(workspace, self.recipe, reader or Reader())

    def sub_model(self, workspace: Workspace, shard: str, reader: Reader | None = None) -> Artifact:
        return self.builder(workspace, reader).sub_model(shard, self.device)


def train_shard(workspace: Workspace, job: Job, shard: str, reader: Reader | None = None) -> str:
    """Key of the trained sub-model of a shard."""
    return job.sub_model(workspace, shard, reader).key


def jobs(workspace: Workspace, params: Params, datasets: list[str] | None = None) -> list[Job]:
    """Every candidate of every family. With ``datasets`` (a forget run): only what is served from those datasets, by
    the recipe it was promoted with, because neither the winner nor its hyper-parameters are decided anew."""
    device = params.training.device
    pick_device(device)  # Before anything is trained.
    if datasets is None:
        check_params(workspace, params)
        return [
            Job(family, recipe, device) for family in params.families for recipe in recipes(workspace, params, family)
        ]
    served = {family: version.recipe for family, version in Registry(workspace).served().items()}
    rebuilt = [(family, recipe) for family, recipe in served.items() if recipe.dataset in datasets]
    return [Job(family, recipe, device, compared=False) for family, recipe in rebuilt]


@dataclass(frozen=True)
class Outcome:
    """A trained recipe, by keys; a candidate, which learnt the training part alone, is evaluated too."""

    job: Job
    sub_models: dict[str, str]
    ensemble: str
    evaluation: str | None
    seconds: float
    """Making all its artifacts, whenever that was: sub-models, aggregator, evaluation."""

    def metrics(self, workspace: Workspace) -> dict[str, dict[str, float]]:
        """{"valid": {...}, "test": {...}}, empty ones for what wasn't measured."""
        metrics: dict[str, dict[str, float]] | None = self._measured(workspace, "metrics.json")
        return metrics or {"valid": {}, "test": {}}

    def quality(self, workspace: Workspace) -> dict[str, Quality]:
        """What stands beside the means of each part; empty for what wasn't measured."""
        plain = self._measured(workspace, "quality.json") or {}
        return {part: Quality.parse(values, part) for part, values in plain.items()}

    def history(self, workspace: Workspace) -> str:
        """Rows that were its users' history when test was measured; empty where it wasn't."""
        return str((self._measured(workspace, "history.json") or {"test": ""})["test"])

    def _measured(self, workspace: Workspace, name: str) -> Any:
        """What a file of its evaluation holds; None where it has none."""
        if self.evaluation is None:
            return None
        return json.loads(artifact_store(workspace).get("evaluation", self.evaluation).file(name).read_text())

    def row(self, workspace: Workspace) -> dict[str, str | float]:
        """For people to read: what it is, and how it did on validation."""
        recipe, valid = self.job.recipe, self.metrics(workspace)["valid"]
        named = {"family": self.job.family, "model": recipe.model, "sharding": recipe.sharding}
        return named | {key: round(value, 4) for key, value in valid.items()} | {"seconds": self.seconds}


def finish(
    workspace: Workspace, params: Params, job: Job, sub_models: dict[str, str], reader: Reader | None = None
) -> Outcome:
    """Aggregate trained sub-models {shard name: key}, and evaluate where rows are left to be measured on."""
    builder = job.builder(workspace, reader)
    trained = [builder.store.get("sub-model", key) for key in sub_models.values()]
    ensemble = builder.ensemble(sub_models, job.device)
    wanted = job.compared and job.recipe.rows == "train"
    measured = [builder.evaluation(ensemble.key, params.evaluation, job.device)] if wanted else []
    slices = [one for artifact in trained for one in slices_before(builder.store, artifact)]
    records = [artifact.record() for artifact in (*slices, *trained, ensemble, *measured)]
    seconds = sum(record.seconds for record in records if record is not None)
    evaluation = measured[0].key if measured else None
    return Outcome(job, sub_models, ensemble.key, evaluation, round(seconds, 3))
