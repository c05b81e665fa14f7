"""Which candidate of a family wins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lethe.build.candidates import Outcome
from lethe.build.costs import Costs, expected_seconds
from lethe.build.grounds import Grounds
from lethe.build.judging import judged_by, merit
from lethe.config.params import Params
from lethe.core.workspace import Workspace
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

    def grounds(self, params: Params) -> Grounds:
        figures, requests = {self.metric: self.value}, params.forgetting.expected_requests
        return Grounds(self.rule, figures, requests, self.forgetting_seconds)


def choose(
    workspace: Workspace, params: Params, outcomes: Sequence[Outcome], costs: Costs, reader: Reader | None = None
) -> Choice:
    """The candidate with the best validation metric; the first listed wins a tie.

    Where requests are expected, it is the one that forgets most cheaply, as it would be served, of those that come near
    enough to that metric (``forgetting.accuracy_given_up``); of equally cheap ones the more accurate.
    """
    settings, name = params.forgetting, judged_by(params, outcomes[0].job.recipe.model)
    values = [outcome.metrics(workspace)["valid"][name] for outcome in outcomes]
    merits = [merit(value, name) for value in values]
    requests, rows = max(settings.expected_requests, 1), params.promotion.serve
    seconds = [expected_seconds(workspace, one.job.recipe.of(rows), requests, costs, reader) for one in outcomes]
    least = _near_enough(params, max(merits))
    rule = f"best validation {name}"
    place = max(range(len(outcomes)), key=lambda n: merits[n])
    if settings.expected_requests:
        rule = f"least expected seconds of forgetting within {settings.accuracy_given_up:.1%} of the {rule}"
        near = [n for n in range(len(outcomes)) if merits[n] >= least]
        place = min(near, key=lambda n: (_or_infinite(seconds[n]), -merits[n]))
    return Choice(outcomes[place], name, values[place], seconds[place], rule)


def cheaper(params: Params, choice: Choice, new: float, old: float, seconds: float | None) -> bool:
    """Whether the rule that chose among candidates prefers the winner (``new``) to what is served (``old``, and its
    expected ``seconds`` of forgetting), of which it is cheaper."""
    if not params.forgetting.expected_requests or choice.forgetting_seconds is None:
        return False
    near = merit(new, choice.metric) >= _near_enough(params, merit(old, choice.metric))
    return near and choice.forgetting_seconds < _or_infinite(seconds)


def _near_enough(params: Params, best: float) -> float:
    """The least merit that may win for being cheaper to forget from: errors count as negative merits."""
    return best - params.forgetting.accuracy_given_up * abs(best)


def _or_infinite(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
