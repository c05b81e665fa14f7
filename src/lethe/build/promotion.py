"""Which candidate of a family wins, and whether it replaces what is served."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lethe.build.builder import Builder
from lethe.build.candidates import Outcome
from lethe.build.costs import Costs, expected_seconds, learn
from lethe.build.judging import judged_by, merit
from lethe.build.measuring import measure
from lethe.build.registry import Registry, Version
from lethe.build.reports import write_reports
from lethe.config.params import Params
from lethe.core.canonical import Json
from lethe.core.environment import whole_code_digest
from lethe.core.workspace import Workspace
from lethe.learning.aggregation import Ensemble
from lethe.models import rates
from lethe.tables.reader import Reader


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

    def to_json(self, params: Params) -> Json:
        return {
            "rule": self.rule,
            self.metric: self.value,
            "expected_requests": params.forgetting.expected_requests,
            "forgetting_seconds": self.forgetting_seconds,
        }


def choose(
    workspace: Workspace, params: Params, outcomes: list[Outcome], costs: Costs, reader: Reader | None = None
) -> Choice:
    """The candidate with the best validation metric; the first listed wins a tie.

    Where requests are expected, it is the one that forgets most cheaply of those that come near enough to that metric
    (``forgetting.accuracy_given_up``); of equally cheap ones the more accurate.
    """
    settings, name = params.forgetting, judged_by(params, outcomes[0].job.recipe.model)
    values = [outcome.metrics(workspace)["valid"][name] for outcome in outcomes]
    merits = [merit(value, name) for value in values]
    requests = max(settings.expected_requests, 1)
    seconds = [expected_seconds(workspace, outcome.job.recipe, requests, costs, reader) for outcome in outcomes]
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
    workspace: Workspace, params: Params, outcomes: list[Outcome], *, rebuilt: bool, reader: Reader | None = None
) -> dict[str, Version]:
    """Choose and promote each family's winner, write the reports; returns what each family now serves."""
    by_family: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_family.setdefault(outcome.job.family, []).append(outcome)
    costs = learn(workspace)
    versions = {
        family: promote(
            workspace, params, choose(workspace, params, candidates, costs, reader), rebuilt=rebuilt, reader=reader
        )
        for family, candidates in by_family.items()
    }
    write_reports(workspace, params, outcomes, versions, rebuilt=rebuilt)
    if not rebuilt:
        registry = Registry(workspace)
        for family in set(registry.families()) - set(params.families):
            registry.drop(family)
    learn(workspace)
    return versions


def promote(
    workspace: Workspace, params: Params, choice: Choice, *, rebuilt: bool, reader: Reader | None = None
) -> Version:
    """Register the winner. Ordinarily only if it beats what is served, on today's validation rows, or equals it where
    that was made by other code, which can't be verified any more. Always after a forget request (``rebuilt``), because
    the version it replaces saw what was forgotten, and in a new epoch of the data, in which what was chosen before
    counts no more."""
    registry, winner = Registry(workspace), choice.winner
    builder, family = winner.job.builder(workspace, reader), winner.job.family
    package = builder.package(winner.ensemble, family, params)
    current = registry.current(family)
    if current is not None and current.digest == package.digest:
        return current
    name, new = choice.metric, choice.value
    if rebuilt:
        reason = "rebuilt from the remaining data"
    elif current is None:
        reason = f"first of its family, validation {name} {new:.4f}"
    elif current.recipe.epoch != winner.job.recipe.epoch:
        reason = f"first of epoch {winner.job.recipe.epoch}, validation {name} {new:.4f}"
    else:
        old = _served_metric(workspace, params, builder, registry, current)
        before = current.choice.get("forgetting_seconds")
        cheaper = _cheaper(params, choice, old, before if isinstance(before, float) else None)
        better = merit(new, name) > merit(old, name)
        renewed = current.code != whole_code_digest() and merit(new, name) >= merit(old, name)
        if not better and not cheaper and not renewed:
            return current
        reason = f"validation {name} {new:.4f} {'beats' if better else 'is near' if cheaper else 'equals'} {old:.4f}"
        reason += ", and it forgets more cheaply" if cheaper else ""
        reason += ", and it is made by today's code" if renewed else ""
    metrics = winner.metrics(workspace)["valid"]
    registry.promote(
        family,
        package,
        reason=reason,
        metrics=metrics,
        choice=choice.to_json(params),
        settings=params.datasets[builder.recipe.dataset].digest(),
    )
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
    metrics = measure(ensemble, parts, params.evaluation.measures(ratings=rates(model)))
    return metrics["valid"][judged_by(params, model)]
