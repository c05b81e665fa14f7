"""A decision about what is served always says why."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace as Stub
from typing import Any

import pytest

from lethe.build import settling
from lethe.build.choice import Choice
from lethe.build.decision import Decision, Decisions
from lethe.build.grounds import Grounds
from lethe.config.params import Params

NOW = datetime(2026, 11, 27, tzinfo=UTC)
RULE = "least expected seconds of forgetting within 5.0% of the best validation ndcg@10"


def decided(new: float, old: float, seconds: float, before: float | None, monkeypatch: pytest.MonkeyPatch) -> Decision:
    """Of a winner by cost whose rival, what is served, was trained anew beside it; ``before``: seconds of forgetting
    from that, as they were reckoned when it was promoted."""
    params = Params.read(Path(__file__).parents[2] / "params.yaml")
    wanted = {"expected_requests": 10, "accuracy_given_up": 0.05}
    params = params.model_copy(update={"forgetting": params.forgetting.model_copy(update=wanted)})
    winner: Any = Stub(job=Stub(family="films", recipe=Stub(epoch=1)))
    current: Any = Stub(
        tag="films:1",
        info=Stub(family="films"),
        recipe=Stub(epoch=1),
        made=NOW,
        grounds=Grounds(RULE, {}, forgetting_seconds=before),
    )
    incumbent: Any = Stub(metrics=lambda _: {"valid": {"ndcg@10": old}})
    monkeypatch.setattr(Decisions, "read", lambda _: Decisions())
    monkeypatch.setattr(settling._Bout, "_against", lambda *_: None)
    choice = Choice(winner, "ndcg@10", new, seconds, RULE)
    bout = settling._Bout(None, params, choice, current, incumbent, NOW)  # type: ignore[arg-type]
    return bout.decide(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("new", "before", "why"),
    [
        (0.52, 9.0, "validation ndcg@10 0.5200 beats 0.5100"),
        (0.50, 9.0, "validation ndcg@10 0.5000 is near 0.5100, and it forgets more cheaply"),
        (0.50, None, "validation ndcg@10 0.5000 is near 0.5100, and it forgets more cheaply"),
        (0.50, 3.0, f"{RULE}, validation ndcg@10 0.5000 after 0.5100"),
    ],
    ids=["better", "cheaper", "cheaper than nobody knows", "what is served has become dearer"],
)
def test_another_candidate_that_wins_says_why(
    new: float, before: float | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = decided(new, 0.51, 5.0, before, monkeypatch)
    assert (decision.outcome, decision.why, decision.old) == ("replaced", why, 0.51)


def test_what_a_version_was_chosen_on_is_kept_in_one_form() -> None:
    plain = {"rule": RULE, "ndcg@10": 0.5, "expected_requests": 10, "forgetting_seconds": None}
    grounds = Grounds(RULE, {"ndcg@10": 0.5}, 10)
    assert grounds.plain() == plain
    assert Grounds.parse(plain) == grounds
    assert Grounds.parse({"rule": RULE}) == Grounds(RULE, {}), "as an older Lethe kept it"
    assert Grounds.parse({}) is None
