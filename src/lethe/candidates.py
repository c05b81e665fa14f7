"""The candidates of each family: what to train, which one wins, and whether it replaces what is served."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lethe.aggregation import Ensemble
from lethe.artifacts import ArtifactStore
from lethe.config import Params
from lethe.pipeline import Builder, Recipe, measure, metric, recipes, write_learning_curve
from lethe.registry import Registry, Version
from lethe.unlearning.planner import guarantee
from lethe.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """A candidate to be trained for a family."""

    family: str
    recipe: Recipe

    def builder(self, workspace: Workspace) -> Builder:
        return Builder(workspace, self.recipe)


def jobs(workspace: Workspace, params: Params, datasets: list[str] | None = None) -> list[Job]:
    """Every candidate of every family. With ``datasets`` (a forget run): only what is served from those datasets, by
    the recipe it was promoted with, because neither the winner nor its hyper-parameters are decided anew."""
    if datasets is None:
        return [Job(family, recipe) for family in params.families for recipe in recipes(workspace, params, family)]
    served = {family: version.recipe for family, version in Registry(workspace).served().items()}
    return [Job(family, recipe) for family, recipe in served.items() if recipe.dataset in datasets]


@dataclass(frozen=True)
class Outcome:
    """A trained and evaluated candidate, by keys."""

    job: Job
    sub_models: dict[str, str]
    ensemble: str
    evaluation: str
    seconds: float
    """Making all its artifacts, whenever that was: sub-models, aggregator, evaluation."""

    def metrics(self, workspace: Workspace) -> dict[str, dict[str, float]]:
        artifact = ArtifactStore(workspace.artifacts).get("evaluation", self.evaluation)
        metrics: dict[str, dict[str, float]] = json.loads(artifact.file("metrics.json").read_text())
        return metrics


def finish(workspace: Workspace, params: Params, job: Job, sub_models: dict[str, str]) -> Outcome:
    """Aggregate and evaluate trained sub-models {shard name: key}, and draw their learning curve."""
    builder = job.builder(workspace)
    trained = [builder.store.get("sub-model", key) for key in sub_models.values()]
    ensemble = builder.ensemble(sub_models)
    evaluation = builder.evaluation(ensemble.key, params.evaluation.cutoffs)
    write_learning_curve(workspace, job.recipe.name, trained)
    seconds = sum(artifact.record().get("seconds", 0.0) for artifact in (*trained, ensemble, evaluation))
    return Outcome(job, sub_models, ensemble.key, evaluation.key, round(seconds, 3))


def choose(workspace: Workspace, params: Params, outcomes: list[Outcome]) -> Outcome:
    """The candidate with the highest validation metric; the first listed wins a tie."""
    return max(outcomes, key=lambda outcome: metric(outcome.metrics(workspace), params.training.metric))


def promote_winners(
    workspace: Workspace, params: Params, outcomes: list[Outcome], *, rebuilt: bool
) -> dict[str, Version]:
    """Choose and promote each family's winner, write the reports; returns what each family now serves."""
    by_family: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_family.setdefault(outcome.job.family, []).append(outcome)
    versions = {
        family: promote(workspace, params, choose(workspace, params, candidates), rebuilt=rebuilt)
        for family, candidates in by_family.items()
    }
    if not rebuilt:
        registry = Registry(workspace)
        for family in set(registry.families()) - set(params.families):
            registry.drop(family)
    write_reports(workspace, outcomes, versions)
    return versions


def promote(workspace: Workspace, params: Params, winner: Outcome, *, rebuilt: bool) -> Version:
    """Register the winner. Ordinarily only if it beats what is served, on today's validation rows; after a forget
    request (``rebuilt``) always, because the version it replaces saw what was forgotten."""
    registry = Registry(workspace)
    builder, family = winner.job.builder(workspace), winner.job.family
    package = builder.package(winner.ensemble, family, guarantee(winner.job.recipe.layout))
    current = registry.current(family)
    if current is not None and current.digest == package.digest:
        return current
    metrics = winner.metrics(workspace)
    new = metric(metrics, params.training.metric)
    if rebuilt:
        reason = "rebuilt from the remaining data"
    elif current is None:
        reason = f"first of its family, validation {params.training.metric} {new:.4f}"
    else:
        old = _served_metric(workspace, params, builder, registry, current)
        if old >= new:
            return current
        reason = f"validation {params.training.metric} {new:.4f} beats {old:.4f}"
    registry.promote(family, package, reason=reason, metrics=metrics["valid"])
    promoted = registry.current(family)
    assert promoted is not None
    return promoted


def _served_metric(
    workspace: Workspace, params: Params, builder: Builder, registry: Registry, current: Version
) -> float:
    ensemble = Ensemble.load(registry.folder(current.tag) / "ensemble")
    parts = {part: builder.part(part) for part in ("train", "valid", "test")}
    return metric(measure(ensemble, parts, params.evaluation.cutoffs), params.training.metric)


def write_reports(workspace: Workspace, outcomes: list[Outcome], versions: dict[str, Version]) -> None:
    """reports/metrics.json (a DVC metric: deterministic) and reports/training.json (with seconds)."""
    metrics: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        measured = outcome.metrics(workspace)
        metrics.setdefault(outcome.job.family, {})[outcome.job.recipe.name] = measured
        rows.append(
            {
                "family": outcome.job.family,
                "model": outcome.job.recipe.model,
                "sharding": outcome.job.recipe.sharding,
                "metrics": measured["test"],
                "valid": measured["valid"],
                "seconds": outcome.seconds,
            }
        )
    winners = {
        family: {
            "model": version.info["model"],
            "sharding": version.info["sharding"],
            "version": version.tag,
            "reason": version.reason,
        }
        for family, version in versions.items()
    }
    workspace.reports.mkdir(parents=True, exist_ok=True)
    # A curve of a candidate that wasn't trained this time may have seen what is gone by now.
    for curve in (workspace.reports / "learning_curves").glob("*.csv"):
        if curve.stem not in {outcome.job.recipe.name for outcome in outcomes}:
            curve.unlink()
    (workspace.reports / "metrics.json").write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")
    training = {"candidates": rows, "winners": winners}
    (workspace.reports / "training.json").write_text(json.dumps(training, indent=1) + "\n")
