"""What params names is measured, and what decides is one of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe.build.candidates import finish, jobs
from lethe.build.judging import judged_by, merit
from lethe.config.params import Params
from lethe.data.stages import build_data
from lethe.errors import ConfigError
from lethe.evaluation.metrics import METRICS
from lethe.evaluation.rating import ERRORS
from tests.conftest import make_workspace, taste_blocks


def params_with(tmp_path: Path, **sections: Any) -> Params:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    values = yaml.safe_load(workspace.params.read_text()) | sections
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))
    return Params.read(workspace.params)


def test_metrics_named_in_params_are_measured_and_no_others(tmp_path: Path) -> None:
    evaluation = {"metrics": ["ndcg_kgat", "hr"], "rating_metrics": ["mse"], "cutoffs": [2, 3]}
    families = {
        "lists": {"dataset": "tiny", "candidates": [{"model": "mostpop", "sharding": "whole"}]},
        "stars": {"dataset": "tiny", "candidates": [{"model": "als", "sharding": "whole"}]},
    }
    training = {"metric": "ndcg_kgat@3", "rating_metric": "mse"}
    params = params_with(tmp_path, evaluation=evaluation, families=families, training=training)
    workspace = make_workspace(tmp_path / "other", taste_blocks())
    workspace.params.write_text((tmp_path / "w" / "params.yaml").read_text())
    build_data(workspace, params, "tiny", ["whole"])
    measured = {}
    for job in jobs(workspace, params):
        builder = job.builder(workspace)
        outcome = finish(workspace, params, job, {name: builder.sub_model(name).key for name in builder.shard_names()})
        measured[job.family] = outcome.metrics(workspace)
    for part in ("valid", "test"):
        assert set(measured["lists"][part]) == {"ndcg_kgat@2", "ndcg_kgat@3", "hr@2", "hr@3", "cold_users"}
        assert set(measured["stars"][part]) == {"mse", "cold_users", "cold_items"}


def test_a_metric_of_ones_own_is_an_entry_and_can_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "first", lambda hits, sizes, cutoff: hits[:, 0].astype(float))
    params = params_with(tmp_path, evaluation={"metrics": ["first"], "cutoffs": [4]}, training={"metric": "first@4"})
    assert judged_by(params, "wmf") == "first@4"


@pytest.mark.parametrize(
    ("model", "sections", "line"),
    [
        (
            "wmf",
            {"evaluation": {"metrics": ["ndcg", "charm"]}},
            "evaluation.metrics: unknown metric 'charm'; known are hr, recall, recall_min, ndcg, ndcg_kgat",
        ),
        (
            "als",
            {"evaluation": {"rating_metrics": ["ndcg"]}},
            "evaluation.rating_metrics: unknown metric 'ndcg'; known are rmse, mae, mse",
        ),
        (
            "wmf",
            {"evaluation": {"metrics": ["hr"], "cutoffs": [5, 9]}},
            "training.metric: 'ndcg@10' is not measured; measured are hr@5, hr@9",
        ),
        (
            "als",
            {"training": {"rating_metric": "mse"}},
            "training.rating_metric: 'mse' is not measured; measured are rmse, mae",
        ),
    ],
)
def test_what_is_unknown_or_not_measured_is_refused(
    model: str, sections: dict[str, Any], line: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        judged_by(params_with(tmp_path, **sections), model)
    assert str(caught.value) == line


@pytest.mark.parametrize("sections", [{"metrics": []}, {"rating_metrics": []}, {"charm": 1}])
def test_nothing_to_measure_is_no_evaluation(sections: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^params\.yaml\.evaluation\."):
        params_with(tmp_path, evaluation=sections)


def test_of_every_error_less_is_better() -> None:
    assert all(merit(0.2, name) > merit(0.3, name) for name in ERRORS)
    assert merit(0.3, "ndcg@10") > merit(0.2, "ndcg@10")
