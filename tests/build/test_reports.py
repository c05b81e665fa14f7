"""Reports of a training: by dataset, family and candidate; a forget run touches those of its datasets alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe.build.registry import Registry
from lethe.build.reports import read_reports
from lethe.core.reports import page_path
from lethe.core.workspace import Workspace
from lethe.forgetting import intake
from tests import house
from tests.conftest import make_workspace, taste_blocks, write_csv


def change(workspace: Workspace, **sections: Any) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    workspace.params.write_text(yaml.safe_dump(params | sections, sort_keys=False))


@pytest.fixture
def trained(tmp_path: Path) -> Workspace:
    """Datasets tiny and other; on each two families of the same model and sharding, one with a second candidate."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    write_csv(taste_blocks(users=20, seed=5), workspace.root / "other.csv")
    params = yaml.safe_load(workspace.params.read_text())
    other = copy.deepcopy(params["datasets"]["tiny"])
    other["source"]["path"] = "other.csv"
    bpr, popular = {"model": "bpr", "sharding": "whole"}, {"model": "mostpop", "sharding": "whole"}
    change(
        workspace,
        pipeline={"datasets": ["tiny", "other"], "shardings": ["whole"]},
        datasets=params["datasets"] | {"other": other},
        families={
            f"{name}-{dataset}": {"dataset": dataset, "candidates": candidates}
            for dataset in ("tiny", "other")
            for name, candidates in (("first", [bpr, popular]), ("second", [bpr]))
        },
    )
    house.train(workspace)
    return workspace


def report(workspace: Workspace, name: str) -> Any:
    return json.loads((workspace.reports / name).read_bytes())


def curves(workspace: Workspace) -> dict[str, bytes]:
    folder = workspace.reports / "learning_curves"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.csv")}


def forget(workspace: Workspace, dataset: str, user: str) -> None:
    intake.submit(workspace, dataset, user, [])
    house.rebuild(workspace)


def test_families_of_the_same_model_and_sharding_keep_a_curve_each(trained: Workspace) -> None:
    assert set(curves(trained)) == {
        f"{d}/{f}-{d}/bpr-whole.csv" for d in ("tiny", "other") for f in ("first", "second")
    }
    tiny, other = (curves(trained)[f"{d}/first-{d}/bpr-whole.csv"] for d in ("tiny", "other"))
    assert tiny != other
    assert tiny.decode().splitlines()[0] == "epoch,loss"
    assert len(tiny.decode().splitlines()) == 9


def test_the_reports_together_say_what_each_says(trained: Workspace) -> None:
    metrics, training = report(trained, "metrics.json"), report(trained, "training.json")
    assert set(metrics) == {"tiny", "other"}
    assert set(metrics["tiny"]["first-tiny"]) == {"bpr-whole", "mostpop-whole"}
    assert len(training["candidates"]) == 6
    for row in training["candidates"]:
        measured = metrics[row["dataset"]][row["family"]][f"{row['model']}-{row['sharding']}"]
        assert (measured["test"], measured["valid"]) == (row["metrics"], row["valid"])
        few = report(trained, f"metrics/{row['dataset']}/{row['family']}/{row['model']}-{row['sharding']}.json")
        assert few["valid"] == row["valid"]["ndcg@10"]
        assert all(value == row["metrics"][name] for name, value in few.items() if name != "valid")
        assert {"ndcg@10", "recall@10"} <= set(few) <= {"valid", *row["metrics"]}
        assert len(few) <= 6, "as a row it fits a terminal"
    assert set(training["winners"]) == {"first-tiny", "second-tiny", "first-other", "second-other"}
    assert [f"{one.dataset}/{one.family}" for one in read_reports(trained)] == sorted(
        f"{winner['dataset']}/{family}" for family, winner in training["winners"].items()
    )


def test_forgetting_in_one_dataset_leaves_the_reports_of_the_other(trained: Workspace) -> None:
    before = {name: report(trained, name) for name in ("metrics.json", "training.json")}
    drawn = curves(trained)
    own = {path: path.read_bytes() for path in (trained.reports / "training" / "other").iterdir()}
    forget(trained, "tiny", "user-003")
    after = {name: report(trained, name) for name in before}
    assert after["metrics.json"]["other"] == before["metrics.json"]["other"]
    for key in ("candidates", "winners"):
        rows, was = (_of_other(reports["training.json"][key]) for reports in (after, before))
        assert was
        assert rows == was
    assert {name: text for name, text in curves(trained).items() if name.startswith("other/")} == {
        name: text for name, text in drawn.items() if name.startswith("other/")
    }
    assert {path: path.read_bytes() for path in own} == own


def test_what_was_not_trained_anew_has_seen_the_forgotten_and_goes(trained: Workspace) -> None:
    before, drawn = report(trained, "metrics.json")["tiny"], curves(trained)
    winner = report(trained, "training.json")["winners"]["first-tiny"]
    stray = trained.reports / "learning_curves" / "bpr-whole.csv"
    stray.write_text("of an older layout")
    forget(trained, "tiny", "user-003")
    assert winner["rows"] == "all"
    assert set(before["first-tiny"]) == {"bpr-whole", "mostpop-whole"}
    assert report(trained, "metrics.json")["tiny"] == {"first-tiny": {}, "second-tiny": {}}
    assert [path.name for path in (trained.reports / "metrics").iterdir()] == ["other"]
    trained_anew = [row for row in report(trained, "training.json")["candidates"] if row["dataset"] == "tiny"]
    assert {row["rows"] for row in trained_anew} == {"all"}, "what is served is rebuilt, and nothing is left to measure"
    name = "tiny/second-tiny/bpr-whole.csv"
    assert curves(trained)[name] != drawn[name]
    assert not stray.exists()


def test_where_the_measured_build_is_served_the_next_training_measures_it_again(trained: Workspace) -> None:
    change(trained, promotion={"serve": "train"})
    house.train(trained)
    before, evaluations = report(trained, "metrics.json")["tiny"], list((trained.artifacts / "evaluation").iterdir())
    forget(trained, "tiny", "user-003")
    rebuilt = Registry(trained).served()
    assert report(trained, "metrics.json")["tiny"] == {"first-tiny": {}, "second-tiny": {}}
    assert list((trained.artifacts / "evaluation").iterdir()) == evaluations, "nobody waits for figures"
    decisions = house.train(trained)
    assert {(one.outcome, one.why) for one in decisions} == {("kept", "today's data give what is served")}
    assert Registry(trained).served() == rebuilt
    assert all(one.new for one in decisions)
    after = report(trained, "metrics.json")["tiny"]
    assert set(after["second-tiny"]) == {"bpr-whole"}
    assert after["second-tiny"] != before["second-tiny"]


def test_a_family_that_left_loses_its_reports(trained: Workspace) -> None:
    families = yaml.safe_load(trained.params.read_text())["families"]
    change(trained, families={name: family for name, family in families.items() if name != "second-other"})
    house.train(trained)
    assert set(report(trained, "metrics.json")["other"]) == {"first-other"}
    assert "second-other" not in report(trained, "training.json")["winners"]
    assert "other/second-other/bpr-whole.csv" not in curves(trained)
    assert list(trained.reports.rglob("second-other*")) == []


def test_a_damaged_report_stops_nothing_and_goes(trained: Workspace) -> None:
    (trained.reports / "training" / "other" / "first-other.json").write_text('{"family": ')
    forget(trained, "tiny", "user-003")
    assert set(report(trained, "metrics.json")["other"]) == {"second-other"}


def _of_other(rows: Any) -> list[dict[str, Any]]:
    return [row for row in (rows.values() if isinstance(rows, dict) else rows) if row["dataset"] == "other"]


def test_the_page_of_before_goes_with_what_is_forgotten(trained: Workspace) -> None:
    page_path(trained).write_text("figures of candidates that have seen them")
    forget(trained, "tiny", "user-003")
    assert not page_path(trained).exists()
