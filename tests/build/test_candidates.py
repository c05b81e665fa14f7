"""Winners weighed by what forgetting will cost, the rule on record; and requests that wait for one another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lethe.build import costs
from lethe.build.candidates import Outcome, jobs
from lethe.build.choice import choose
from lethe.build.costs import Costs
from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.forgetting import intake
from lethe.forgetting import run as runs
from tests import house
from tests.conftest import make_workspace, taste_blocks


def settle(workspace: Workspace, **forgetting: object) -> Params:
    values = yaml.safe_load(workspace.params.read_text())
    values["forgetting"] = forgetting
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))
    return Params.read(workspace.params)


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Workspace, list[Outcome]]:
    workspace = make_workspace(tmp_path / "w", taste_blocks(), ("wmf", "bpr"))
    values = yaml.safe_load(workspace.params.read_text())
    values["families"] = {"sharded": values["families"]["sharded"]}
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", ["user-hash-3"])
    return workspace, [house.build(workspace, params, job) for job in jobs(workspace, params)]


def dear(known: Costs, outcome: Outcome) -> Costs:
    """The same records, but training this candidate's model took a thousand times as long."""
    recipe = outcome.job.recipe
    what = costs.training(recipe.model, recipe.config)
    return Costs(tuple(r._replace(seconds=1000 * r.seconds) if r.what == what else r for r in known.records))


def test_the_cheapest_near_the_best_wins_where_requests_are_expected(trained) -> None:
    workspace, outcomes = trained
    known = costs.learn(workspace)
    plain = choose(workspace, settle(workspace), outcomes, known)
    best = plain.winner
    assert plain.rule == "best validation ndcg@10"
    (other,) = (outcome for outcome in outcomes if outcome is not best)
    weighed = settle(workspace, expected_requests=3, accuracy_given_up=0.9)
    for expensive, cheap in ((best, other), (other, best)):
        chosen = choose(workspace, weighed, outcomes, dear(known, expensive))
        assert chosen.winner is cheap
        assert chosen.forgetting_seconds is not None
        assert chosen.rule.startswith("least expected seconds of forgetting within 90.0% of the best")
    strict = settle(workspace, expected_requests=3, accuracy_given_up=0.0)
    assert choose(workspace, strict, outcomes, dear(known, best)).winner is best


def test_rule_and_figures_are_recorded_with_the_promotion(trained) -> None:
    workspace, outcomes = trained
    params = settle(workspace, expected_requests=2, accuracy_given_up=0.9)
    house.promote(workspace, params, outcomes)
    version = Registry(workspace).current("sharded")
    assert version is not None
    grounds = version.grounds
    assert grounds is not None
    assert (grounds.rule or "").startswith("least expected seconds")
    assert grounds.expected_requests == 2
    assert (grounds.forgetting_seconds or 0.0) > 0
    assert grounds.figures["ndcg@10"] == pytest.approx(version.metrics["ndcg@10"])
    known = Costs.read(workspace)
    assert known.seconds("package", 100) is not None, "the next plan can predict all parts"
    assert len(costs.learn(workspace).records) == len(known.records), "nothing is counted twice"


def test_records_outlive_the_artifacts(trained) -> None:
    workspace, _ = trained
    before = costs.learn(workspace)
    for path in workspace.artifacts.rglob("record.json"):
        path.unlink()
    assert costs.learn(workspace) == before


def test_a_scheduled_run_lets_requests_wait_for_one_another_up_to_the_earliest_due_date(trained) -> None:
    workspace, outcomes = trained
    params = settle(workspace, batch="until-due", lead_hours=48, due_days=10)
    house.promote(workspace, params, outcomes)
    first = intake.submit(workspace, None, "user-001", [])
    intake.submit(workspace, None, "user-002", [])
    plan = runs.current_plan(workspace)
    assert plan.families[0].predicted.seconds is not None
    now = datetime.now(UTC)
    assert runs.begin(workspace, scheduled=True, now=now) is None
    assert runs.begin(workspace, scheduled=True, now=now + timedelta(days=7, hours=20)) is None
    run = runs.begin(workspace, scheduled=True, now=now + timedelta(days=8, hours=1))
    assert run is not None
    assert len(run.requests) == 2, "each touched shard is rebuilt once"
    assert first.id in run.requests


def test_a_run_that_somebody_asks_for_does_not_wait(trained) -> None:
    workspace, outcomes = trained
    house.promote(workspace, settle(workspace, batch="until-due"), outcomes)
    intake.submit(workspace, None, "user-001", [])
    assert runs.begin(workspace) is not None


def test_a_run_at_once_does_not_wait(trained) -> None:
    workspace, outcomes = trained
    house.promote(workspace, settle(workspace), outcomes)
    intake.submit(workspace, None, "user-001", [])
    assert runs.begin(workspace, scheduled=True) is not None
