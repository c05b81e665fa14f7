"""A family of rating models is judged by its errors, of which less is better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.build.candidates import Outcome, jobs
from lethe.build.registry import Registry
from lethe.build.tuning import tune
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError
from lethe.evaluation.rating import evaluate_ratings, predict_by_scores
from lethe.learning.ensemble import Ensemble
from lethe.tables.interactions import Interactions
from tests import house
from tests.conftest import make_workspace

GOOD, BAD = {"embedding_dim": 4, "sweeps": 10}, {"embedding_dim": 4, "epochs": 0}


def rated(users: int = 24, items: int = 20) -> Interactions:
    """Half of the cells, with stars that are high in a user's own half of the items."""
    generator = np.random.default_rng(0)
    rows, columns = np.nonzero(generator.random((users, items)) < 0.6)
    stars = np.where(rows % 2 == columns * 2 // items, 5, 2) - (generator.random(len(rows)) < 0.2)
    names = (np.array([f"{kind}-{n:02d}" for n in part], object) for kind, part in (("u", rows), ("i", columns)))
    return Interactions.of(*names, stars, np.arange(len(rows)))


def workspace_of(folder: Path, candidates: list[tuple[str, str]], **training: str) -> Workspace:
    workspace = make_workspace(folder, rated())
    params = yaml.safe_load(workspace.params.read_text())
    params["families"] = {
        "ratings": {"dataset": "tiny", "candidates": [{"model": m, "sharding": s} for m, s in candidates]}
    }
    params["models"] |= {"als": GOOD, "lfm": BAD}
    params["training"] = training
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return workspace


def outcomes(workspace: Workspace) -> list[Outcome]:
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", list(params.pipeline.shardings))
    return [house.build(workspace, params, job) for job in jobs(workspace, params)]


def promote(workspace: Workspace, params: Params, trained: list[Outcome]) -> Version:
    """What the family serves then."""
    house.promote(workspace, params, trained)
    version = Registry(workspace).current("ratings")
    assert version is not None
    return version


@pytest.mark.parametrize("name", ["rmse", "mae"])
def test_the_smaller_error_wins_and_replaces_the_larger(name: str, tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "workspace", [("lfm", "whole"), ("als", "whole")], rating_metric=name)
    params = Params.read(workspace.params)
    worse, better = outcomes(workspace)
    errors = [outcome.metrics(workspace)["valid"][name] for outcome in (worse, better)]
    assert errors[0] > errors[1] + 0.1
    first = promote(workspace, params, [worse])
    assert (first.info.model, first.reason) == ("lfm", f"first of its family, validation {name} {errors[0]:.4f}")
    second = promote(workspace, params, [worse, better])
    assert (second.info.model, second.reason) == ("als", f"validation {name} {errors[1]:.4f} beats {errors[0]:.4f}")
    assert promote(workspace, params, [worse]).tag == second.tag
    assert (second.info.rates, second.info.repeatable) == (True, True)


def test_what_is_measured_are_the_errors_of_both_parts_cold_rows_counted(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "workspace", [("als", "whole")])
    (outcome,) = outcomes(workspace)
    builder, measured = outcome.job.builder(workspace), outcome.metrics(workspace)
    ensemble = Ensemble.load(builder.store.get("ensemble", outcome.ensemble).path)
    for part in ("valid", "test"):
        predict = predict_by_scores(ensemble.score, ensemble.catalogue, builder.part("train"))
        assert measured[part] == evaluate_ratings(predict, ensemble.catalogue, builder.part(part))
        assert set(measured[part]) == {"rmse", "mae", "cold_users", "cold_items"}
        quality = outcome.quality(workspace)[part]
        assert set(quality.intervals) == {"rmse", "mae"}
        assert all(low < measured[part][name] < high for name, (low, high) in quality.intervals.items())
        assert quality.lists == ()


def test_sharded_ratings_are_measured_too(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "workspace", [("als", "user-hash-3")])
    params = yaml.safe_load(workspace.params.read_text())
    params["shardings"]["user-hash-3"]["aggregator"] = "mean"
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    (outcome,) = outcomes(workspace)
    assert 0 < outcome.metrics(workspace)["test"]["rmse"] < 2


def test_ratings_and_preferences_are_not_compared(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "workspace", [("als", "whole"), ("wmf", "whole")])
    with pytest.raises(
        ConfigError, match=r"^families\.ratings\.candidates: 'als' learns ratings and 'wmf' preferences"
    ):
        jobs(workspace, Params.read(workspace.params))


def test_a_rating_model_is_tuned_for_its_error(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "workspace", [("als", "whole")])
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", ["whole"])
    found = tune(workspace, params, "als", "tiny", command="here", trials=2, grid={"reg": [1000.0]})
    assert found.metric == "-rmse"
    assert found.values["reg"] < 1000
    assert -2 < found.value < 0
    with pytest.raises(ConfigError, match=r"^metric: 'ndcg@10' does not judge ratings; known are rmse, mae, mse$"):
        tune(workspace, params, "als", "tiny", command="here", trials=1, metric="ndcg@10")
