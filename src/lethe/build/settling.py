"""Whether a family's winner replaces what is served; decided on builds that learnt the training part alone.

What is served learnt all rows, so no row is left to measure it on: a new build is held against the one that the served
version was chosen by.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lethe.build.candidates import Job, Outcome
from lethe.build.choice import Choice, cheaper, choose
from lethe.build.costs import Costs, expected_seconds
from lethe.build.decision import Decision, Decisions
from lethe.build.grounds import Grounds
from lethe.build.judging import judged_by, merit
from lethe.build.registry import Registry
from lethe.build.rivals import Compared, compare
from lethe.build.stored import artifact_store
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.errors import ArtifactError
from lethe.learning.ensemble import Ensemble
from lethe.models import rates
from lethe.tables.reader import Reader


@dataclass(frozen=True)
class Settled:
    """What a training came to for a family, before what is to be served is built."""

    decision: Decision
    job: Job | None
    """What is to be built and served; None where what is served stays."""
    metrics: dict[str, float]
    """Of validation, of the build on the training part that it was chosen by."""
    comparison: str
    """Key of that build's ensemble; empty where it was rebuilt and not compared."""
    grounds: Grounds


def settle(
    workspace: Workspace,
    params: Params,
    outcomes: Sequence[Outcome],
    costs: Costs,
    reader: Reader | None = None,
    now: datetime | None = None,
) -> Settled:
    """Choose the winner among a family's candidates, and decide whether it replaces what is served.

    The served recipe on newer data does, unless it is worse than its older build beyond what chance and
    ``promotion.tolerance`` explain; another recipe has to win over it. In a new epoch of the data, and where what is
    served is older than ``promotion.max_age_days``, any winner does.
    """
    current = Registry(workspace).current(outcomes[0].job.family)
    served = None if current is None else current.recipe.of("train")
    # Of equals the first listed wins: what is served is not replaced by another recipe that is only as good.
    ordered = sorted(outcomes, key=lambda outcome: outcome.job.recipe != served)
    choice = choose(workspace, params, ordered, costs, reader)
    winner, at = choice.winner, now or datetime.now(UTC)
    if current is None:
        decision = _replaced(choice, f"first of its family, {_said(choice)}")
    else:
        incumbent = next((outcome for outcome in outcomes if outcome.job.recipe == served), None)
        decision = _Bout(workspace, params, choice, current, incumbent, at).decide(reader or Reader())
    return Settled(
        decision=decision.model_copy(update={"at": at.isoformat(timespec="seconds")}),
        job=winner.job.of(params.promotion.serve) if decision.outcome == "replaced" else None,
        metrics=winner.metrics(workspace)["valid"],
        comparison=winner.ensemble,
        grounds=choice.grounds(params),
    )


def resettle(
    workspace: Workspace, params: Params, rebuilt: Outcome, costs: Costs, reader: Reader | None = None
) -> Settled:
    """After a forget request what is served is replaced whatever its metrics: it saw what was forgotten. Nothing is
    chosen anew, and the build that it was chosen by may be gone; the next training makes it again."""
    job, current = rebuilt.job, Registry(workspace).current(rebuilt.job.family)
    name, metrics = judged_by(params, job.recipe.model), rebuilt.metrics(workspace)["valid"]
    requests = max(params.forgetting.expected_requests, 1)
    grounds = Grounds(
        rule=current.grounds.rule if current is not None and current.grounds is not None else None,
        figures={name: metrics[name]} if name in metrics else {},
        expected_requests=params.forgetting.expected_requests,
        forgetting_seconds=expected_seconds(workspace, job.recipe, requests, costs, reader),
    )
    return Settled(
        decision=Decision(
            family=job.family,
            outcome="replaced",
            why="rebuilt from the remaining data",
            metric=name,
            new=metrics.get(name),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        job=job,
        metrics=metrics,
        comparison=rebuilt.ensemble if job.recipe.rows == "train" else "",
        grounds=grounds,
    )


@dataclass(frozen=True)
class _Bout:
    """A winner against what is served."""

    workspace: Workspace
    params: Params
    choice: Choice
    current: Version
    incumbent: Outcome | None
    """The served recipe as it was trained now; None where it is no candidate any more."""
    at: datetime

    def decide(self, reader: Reader) -> Decision:
        choice, current, settings = self.choice, self.current, self.params.promotion
        recipe, name = choice.winner.job.recipe, choice.metric
        if current.recipe.epoch != recipe.epoch:
            return _replaced(choice, f"first of epoch {recipe.epoch}, {_said(choice)}")
        age = Decisions.read(self.workspace).age_days(current, self.at)
        if age > settings.max_age_days:
            return _replaced(choice, f"what is served is {age:.0f} days old, the limit is {settings.max_age_days:g}")
        against = self._against(reader)
        if against is not None and self._much_worse(against):
            why = f"validation {name} {against.new:.4f} is worse than {against.old:.4f} beyond chance and tolerance"
            return _decision(choice, "kept", why, against)
        if self.incumbent is choice.winner:
            if against is None:
                return _replaced(choice, f"the same recipe on today's data, {_said(choice)}")
            why = f"the same recipe on today's data, validation {name} {against.new:.4f} after {against.old:.4f}"
            return _decision(choice, "replaced", why, against)
        if self.incumbent is not None:
            old = self.incumbent.metrics(self.workspace)["valid"][name]
            # What is served may cost more to forget from now than was reckoned when it was promoted.
            why = self._wins(choice.value, old) or f"{choice.rule}, {_said(choice)} after {old:.4f}"
            return _replaced(choice, why, old)
        if against is None:
            return _replaced(choice, f"{_said(choice)}, and nothing is left that it could be compared with")
        why = self._wins(against.new, against.old)
        if why:
            return _decision(choice, "replaced", why, against)
        why = f"another recipe must win, validation {name} {against.new:.4f} doesn't beat {against.old:.4f}"
        return _decision(choice, "kept", why, against)

    def _wins(self, new: float, old: float) -> str:
        """Why another recipe wins over what is served; empty where it doesn't."""
        name, grounds = self.choice.metric, self.current.grounds
        if merit(new, name) > merit(old, name):
            return f"validation {name} {new:.4f} beats {old:.4f}"
        if cheaper(self.params, self.choice, new, old, None if grounds is None else grounds.forgetting_seconds):
            return f"validation {name} {new:.4f} is near {old:.4f}, and it forgets more cheaply"
        return ""

    def _much_worse(self, against: Compared) -> bool:
        settings, forgetting = self.params.promotion, self.params.forgetting
        given_up = forgetting.accuracy_given_up if forgetting.expected_requests else 0.0
        lost = merit(against.old, self.choice.metric) - merit(against.new, self.choice.metric)
        sure = against.worse < 1 - settings.confidence
        return sure and lost > max(settings.tolerance, given_up) * abs(against.old)

    def _against(self, reader: Reader) -> Compared | None:
        """The winner beside the build that what is served was chosen by, on today's validation rows; None where that is
        gone, is the very same, or may have learnt those rows, because the dataset's settings have changed."""
        winner, current = self.choice.winner, self.current
        if current.settings != self.params.datasets[winner.job.recipe.dataset].digest():
            return None
        compared = Decisions.read(self.workspace).comparison(current)
        if compared == winner.ensemble:
            return None
        with suppress(ArtifactError):
            old = Ensemble.load(self._folder(compared))
            new = Ensemble.load(artifact_store(self.workspace).get("ensemble", winner.ensemble).path)
            builder = winner.job.builder(self.workspace, reader)
            parts = {part: builder.part(part) for part in PARTS}
            measures = self.params.evaluation.measures(ratings=rates(winner.job.recipe.model))
            return compare(new, old, parts, measures, self.choice.metric)
        return None

    def _folder(self, compared: str) -> Path:
        if self.current.recipe.rows == "train":
            return Registry(self.workspace).folder(self.current.tag) / "ensemble"
        return artifact_store(self.workspace).get("ensemble", compared).path


def _said(choice: Choice) -> str:
    return f"validation {choice.metric} {choice.value:.4f}"


def _replaced(choice: Choice, why: str, old: float | None = None) -> Decision:
    """Without a comparison on the same users."""
    family = choice.winner.job.family
    return Decision(family=family, outcome="replaced", why=why, metric=choice.metric, new=choice.value, old=old)


def _decision(choice: Choice, outcome: Literal["kept", "replaced"], why: str, against: Compared) -> Decision:
    return Decision(
        family=choice.winner.job.family,
        outcome=outcome,
        why=why,
        metric=choice.metric,
        new=against.new,
        old=against.old,
        users=against.users,
        p_value=against.p_value,
    )
