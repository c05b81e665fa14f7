"""Selected on the split, served on everything: nobody is left out, nothing is offered twice, newer data are served."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lethe.build import settling
from lethe.build.candidates import jobs
from lethe.build.decision import Decision, Decisions
from lethe.build.registry import Registry
from lethe.build.rivals import Compared, compare
from lethe.cli.status import status_lines, status_report
from lethe.config.params import Params
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.evaluation.ranking import evaluate
from lethe.forgetting.rollback import roll_back
from lethe.learning.ensemble import Ensemble
from lethe.proof.verification import verify
from lethe.serving.package import Package
from lethe.tables.interactions import Interactions
from tests import house
from tests.conftest import make_workspace, taste_blocks, write_csv

NEW = "user-999"


def settings(workspace: Workspace, **sections: Any) -> Params:
    params = yaml.safe_load(workspace.params.read_text())
    workspace.params.write_text(yaml.safe_dump(params | sections, sort_keys=False))
    return Params.read(workspace.params)


def packages(workspace: Workspace) -> dict[str, Package]:
    registry = Registry(workspace)
    return {name: Package.load(registry.folder(version.tag)) for name, version in registry.served().items()}


def by_family(decisions: list[Decision]) -> dict[str, Decision]:
    return {decision.family: decision for decision in decisions}


def later(rows: Interactions) -> Interactions:
    """The rows with those of somebody new."""
    mine = rows.take(rows.user_ids == "user-000")
    new = Interactions.of(np.full(len(mine), NEW, dtype=object), mine.item_ids, mine.ratings, mine.timestamps)
    return Interactions.concatenate(rows, new)


@pytest.fixture
def trained(tiny: Workspace) -> Workspace:
    house.train(tiny)
    return tiny


def test_everybody_is_known_and_nothing_is_offered_that_they_have(trained: Workspace) -> None:
    rows = Interactions.read(trained.interactions("tiny"))
    for package in packages(trained).values():
        everything = len(package.counts)
        for user in np.unique(rows.user_ids):
            answer = package.recommend(user, everything)
            mine = set(rows.item_ids[rows.user_ids == user])
            assert answer.source == "model"
            assert not {item for item, _ in answer.items} & mine
            assert len(answer.items) == everything - len(mine)
        assert everything == len(np.unique(rows.item_ids))


def test_where_training_rows_are_served_the_measured_build_is(tiny: Workspace) -> None:
    settings(tiny, promotion={"serve": "train"})
    house.train(tiny)
    for version in Registry(tiny).served().values():
        assert version.recipe.rows == "train"
        assert version.info.ensemble.key == version.comparison
        assert not any("/all" in place for place in map(str, version.info.tables))
    assert verify(tiny).equal


def test_metrics_are_of_the_split_and_say_so(trained: Workspace) -> None:
    report = json.loads((trained.reports / "training.json").read_bytes())
    assert {row["rows"] for row in report["candidates"]} == {"train"}
    assert {winner["rows"] for winner in report["winners"].values()} == {"all"}
    for family, version in Registry(trained).served().items():
        measured = [
            row for row in report["candidates"] if row["family"] == family and row["model"] == version.info.model
        ]
        assert version.metrics == measured[0]["valid"]
        compared = ArtifactStore(trained.artifacts).get("ensemble", version.comparison)
        assert compared.digest != version.info.ensemble.digest
    assert verify(trained).equal


def test_somebody_new_is_served_after_the_next_training_and_not_before(trained: Workspace) -> None:
    before = {family: version.tag for family, version in Registry(trained).served().items()}
    assert all(package.recommend(NEW, 3).source == "popular" for package in packages(trained).values())
    write_csv(later(taste_blocks()), trained.root / "ratings.csv")
    decisions = by_family(house.train(trained))
    for family, package in packages(trained).items():
        decision = decisions[family]
        assert package.recommend(NEW, 3).source == "model"
        assert (decision.outcome, decision.version != before[family]) == ("replaced", True)
        assert decision.why.startswith("the same recipe on today's data")
        assert decision.new is not None
        assert decision.old is not None
        assert decision.users > 2
        assert Decisions.read(trained).last[family] == decision


def test_the_same_data_keep_what_is_served_and_confirm_it(trained: Workspace) -> None:
    before = {family: version.tag for family, version in Registry(trained).served().items()}
    for decision in house.train(trained):
        assert (decision.outcome, decision.version) == ("kept", before[decision.family])
        assert decision.why == "today's data give what is served"
        assert decision.fresh == decision.at


@pytest.mark.parametrize(
    ("against", "outcome"),
    [
        (Compared(0.40, 0.50, 24, 0.01, 0.005), "kept"),
        (Compared(0.40, 0.50, 24, 0.20, 0.100), "replaced"),  # Chance explains it.
        (Compared(0.496, 0.50, 24, 0.01, 0.005), "replaced"),  # Within the tolerance of 1 %.
        (Compared(0.60, 0.50, 24, 0.01, 1.000), "replaced"),
    ],
)
def test_the_same_recipe_is_renewed_unless_it_is_worse_beyond_chance_and_tolerance(
    against: Compared, outcome: str, trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {family: version.tag for family, version in Registry(trained).served().items()}
    write_csv(later(taste_blocks()), trained.root / "ratings.csv")
    monkeypatch.setattr(settling, "compare", lambda *_: against)
    for decision in house.train(trained):
        assert (decision.outcome, decision.new, decision.old) == (outcome, against.new, against.old)
        assert (decision.version == before[decision.family]) == (outcome == "kept")
        if outcome == "kept":
            assert "is worse than 0.5000 beyond chance and tolerance" in decision.why
            assert decision.fresh <= decision.at


def test_what_is_too_old_is_said_and_replaced_though_it_be_better(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any(one.too_old for one in status_report(trained).models.values())
    old = Decisions.read(trained)
    fresh = (datetime.now(UTC) - timedelta(days=31)).isoformat(timespec="seconds")
    aged = [one.model_copy(update={"fresh": fresh}) for one in old.last.values()]
    old.with_these(aged, old.last).write(trained)
    status = status_report(trained)
    assert all(one.too_old and 31 <= one.age_days < 32 for one in status.models.values())
    said = "older than promotion.max_age_days: run lethe train, which will replace it"
    assert all(f"{family}: {said}" in status_lines(status) for family in status.models)
    json.dumps(status.plain())
    write_csv(later(taste_blocks()), trained.root / "ratings.csv")
    monkeypatch.setattr(settling, "compare", lambda *_: Compared(0.1, 0.9, 24, 0.001, 0.0005))
    for decision in house.train(trained):
        assert (decision.outcome, decision.why) == ("replaced", "what is served is 31 days old, the limit is 30")
    assert not any(one.too_old for one in status_report(trained).models.values())


def test_another_recipe_has_to_win(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    families = {"plain": {"dataset": "tiny", "candidates": [{"model": "wmf", "sharding": "whole"}]}}
    settings(workspace, families=families)
    house.train(workspace)
    families["plain"]["candidates"] = [{"model": "mostpop", "sharding": "whole"}]
    settings(workspace, families=families)
    (decision,) = house.train(workspace)
    assert decision.outcome == "kept"
    assert decision.new is not None
    assert decision.old is not None
    assert decision.new < decision.old
    current = Registry(workspace).current("plain")
    assert current is not None
    assert current.info.model == "wmf"
    assert (current.info.rates, current.info.repeatable) == (False, True)


def test_what_was_rolled_back_from_stays_so_until_the_data_change(trained: Workspace) -> None:
    first = Registry(trained).served()["plain"].tag
    write_csv(later(taste_blocks()), trained.root / "ratings.csv")
    house.train(trained)
    assert roll_back(trained, "plain") == first
    decision = by_family(house.train(trained))["plain"]
    assert (decision.outcome, decision.version) == ("kept", first)
    assert "rolled back" in decision.why
    rows = later(taste_blocks())
    write_csv(rows.take(np.arange(len(rows)) > 0), trained.root / "ratings.csv")
    assert by_family(house.train(trained))["plain"].outcome == "replaced"


def test_a_request_rebuilds_what_is_served_and_the_next_training_what_is_compared(trained: Workspace) -> None:
    gone = "user-004"
    house.forget(trained, gone)
    for family, version in Registry(trained).served().items():
        assert version.recipe.rows == "all"
        assert not version.metrics, "what it was measured by has gone with the subject"
        assert Decisions.read(trained).last[family].why == "rebuilt from the remaining data"
    assert all(package.recommend(gone, 3).source == "popular" for package in packages(trained).values())
    kinds = {(a.kind, a.inputs.get("shard")) for a in ArtifactStore(trained.artifacts).all()}
    assert not any(kind == "evaluation" for kind, _ in kinds), "no comparison was made for the request"
    assert verify(trained).equal
    for decision in house.train(trained):
        assert (decision.outcome, decision.why) == ("kept", "today's data give what is served")
        assert decision.new is not None
    write_csv(later(taste_blocks()), trained.root / "ratings.csv")
    assert all(decision.users for decision in house.train(trained)), "and later ones are held against that"


def test_two_builds_are_compared_on_those_whom_both_know(trained: Workspace) -> None:
    params = Params.read(trained.params)
    outcomes = {o.job.recipe.name: o for o in (house.build(trained, params, job) for job in jobs(trained, params))}
    builder = outcomes["wmf-whole"].job.builder(trained)
    parts = {part: builder.part(part) for part in PARTS}
    better, popular = (
        Ensemble.load(builder.store.get("ensemble", outcomes[name].ensemble).path)
        for name in ("wmf-whole", "mostpop-whole")
    )
    measures = params.evaluation.measures(ratings=False)
    found = compare(better, popular, parts, measures, "ndcg@10")
    assert found is not None
    for value, one in ((found.new, better), (found.old, popular)):
        whole = evaluate(one.score, one.catalogue, parts["train"], parts["valid"])
        assert whole["cold_users"] == 0
        assert value == pytest.approx(whole["ndcg@10"])
    assert found.worse == 1.0
    turned = compare(popular, better, parts, measures, "ndcg@10")
    assert turned is not None
    assert turned.worse == pytest.approx(found.p_value / 2)
    assert compare(better, better, parts, measures, "ndcg@10") == (found.new, found.new, found.users, 1.0, 1.0)
    nobody = {
        **parts,
        "valid": parts["valid"].take(np.zeros(len(parts["valid"]), dtype=bool) | (np.arange(len(parts["valid"])) < 1)),
    }
    assert compare(better, popular, nobody, measures, "ndcg@10") is None
