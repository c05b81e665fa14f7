"""The candidates of each family: what to train, which one wins, and whether it replaces what is served."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from lethe.aggregation import Ensemble
from lethe.artifacts import ArtifactStore
from lethe.config import Params
from lethe.judging import judged_by, measure, merit
from lethe.models import rates
from lethe.pipeline import Builder, stages_before, write_learning_curve
from lethe.recipe import Recipe, recipes
from lethe.registry import Registry, Version
from lethe.unlearning.costs import Costs, learn
from lethe.unlearning.forecast import expected_seconds
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
    stages = [stage for artifact in trained for stage in stages_before(builder.store, artifact)]
    seconds = sum(artifact.record().get("seconds", 0.0) for artifact in (*stages, *trained, ensemble, evaluation))
    return Outcome(job, sub_models, ensemble.key, evaluation.key, round(seconds, 3))


@dataclass(frozen=True)
class Choice:
    """A family's winner, and what it was weighed by."""

    winner: Outcome
    metric: str
    value: float
    """Of that metric, on validation."""
    forgetting_seconds: float | None
    """Expected, for ``forgetting.expected_requests`` whole-user requests together; None where that isn't known."""
    rule: str

    def to_json(self, params: Params) -> dict[str, Any]:
        return {
            "rule": self.rule,
            self.metric: self.value,
            "expected_requests": params.forgetting.expected_requests,
            "forgetting_seconds": self.forgetting_seconds,
        }


def choose(workspace: Workspace, params: Params, outcomes: list[Outcome], costs: Costs) -> Choice:
    """The candidate with the best validation metric; the first listed wins a tie.

    Where requests are expected, it is the one that forgets most cheaply of those that come near enough to that metric
    (``forgetting.accuracy_given_up``); of equally cheap ones the more accurate.
    """
    settings, name = params.forgetting, judged_by(params, outcomes[0].job.recipe.model)
    values = [outcome.metrics(workspace)["valid"][name] for outcome in outcomes]
    merits = [merit(value, name) for value in values]
    requests = max(settings.expected_requests, 1)
    seconds = [expected_seconds(workspace, outcome.job.recipe, requests, costs) for outcome in outcomes]
    least = _near_enough(params, max(merits))
    rule = f"best validation {name}"
    place = max(range(len(outcomes)), key=lambda n: merits[n])
    if settings.expected_requests:
        rule = f"least expected seconds of forgetting within {settings.accuracy_given_up:.1%} of the {rule}"
        near = [n for n in range(len(outcomes)) if merits[n] >= least]
        place = min(near, key=lambda n: (_or_infinite(seconds[n]), -merits[n]))
    return Choice(outcomes[place], name, values[place], seconds[place], rule)


def _near_enough(params: Params, best: float) -> float:
    """The least merit that may win for being cheaper to forget from: errors count as negative merits."""
    return best - params.forgetting.accuracy_given_up * abs(best)


def _or_infinite(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def promote_winners(
    workspace: Workspace, params: Params, outcomes: list[Outcome], *, rebuilt: bool
) -> dict[str, Version]:
    """Choose and promote each family's winner, write the reports; returns what each family now serves."""
    by_family: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_family.setdefault(outcome.job.family, []).append(outcome)
    costs = learn(workspace)
    versions = {
        family: promote(workspace, params, choose(workspace, params, candidates, costs), rebuilt=rebuilt)
        for family, candidates in by_family.items()
    }
    if not rebuilt:
        registry = Registry(workspace)
        for family in set(registry.families()) - set(params.families):
            registry.drop(family)
    write_reports(workspace, outcomes, versions)
    learn(workspace)
    return versions


def promote(workspace: Workspace, params: Params, choice: Choice, *, rebuilt: bool) -> Version:
    """Register the winner. Ordinarily only if it beats what is served, on today's validation rows; after a forget
    request (``rebuilt``) always, because the version it replaces saw what was forgotten."""
    registry, winner = Registry(workspace), choice.winner
    builder, family = winner.job.builder(workspace), winner.job.family
    package = builder.package(winner.ensemble, family, guarantee(winner.job.recipe.layout))
    current = registry.current(family)
    if current is not None and current.digest == package.digest:
        return current
    name, new = choice.metric, choice.value
    if rebuilt:
        reason = "rebuilt from the remaining data"
    elif current is None:
        reason = f"first of its family, validation {name} {new:.4f}"
    else:
        old = _served_metric(workspace, params, builder, registry, current)
        cheaper = _cheaper(params, choice, old, current.choice.get("forgetting_seconds"))
        better = merit(new, name) > merit(old, name)
        if not better and not cheaper:
            return current
        reason = f"validation {name} {new:.4f} {'beats' if better else 'is near'} {old:.4f}"
        reason += ", and it forgets more cheaply" if cheaper else ""
    metrics = winner.metrics(workspace)["valid"]
    registry.promote(family, package, reason=reason, metrics=metrics, choice=choice.to_json(params))
    promoted = registry.current(family)
    assert promoted is not None
    return promoted


def _cheaper(params: Params, choice: Choice, old: float, seconds: float | None) -> bool:
    """Whether the rule that chose among candidates prefers the winner to what is served, of which it is cheaper."""
    settings = params.forgetting
    if not settings.expected_requests or choice.forgetting_seconds is None:
        return False
    near = merit(choice.value, choice.metric) >= _near_enough(params, merit(old, choice.metric))
    return near and choice.forgetting_seconds < _or_infinite(seconds)


def _served_metric(
    workspace: Workspace, params: Params, builder: Builder, registry: Registry, current: Version
) -> float:
    ensemble = Ensemble.load(registry.folder(current.tag) / "ensemble")
    parts = {part: builder.part(part) for part in ("train", "valid", "test")}
    model = builder.recipe.model
    metrics = measure(ensemble, parts, params.evaluation.cutoffs, ratings=rates(model))
    return metrics["valid"][judged_by(params, model)]


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
            "choice": version.choice,
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
