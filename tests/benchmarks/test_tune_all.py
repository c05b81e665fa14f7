"""Tuning all models: each on two datasets that have what it reads, never worse on validation, resumed by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import tune_all
from benchmarks.tune_all import Row, fitting, measure, params_of
from lethe.config.params import Params
from lethe.models import MODELS

ONE_OF_A_KIND = ["mostpop", "item-knn", "bias-lfm", "collective-social", "context-history", "rp3beta"]
"""Without options, of items, of ratings, of side tables, of contexts, of two options."""


@pytest.mark.parametrize("model", MODELS)
def test_two_datasets_have_what_a_model_reads(model: str) -> None:
    assert len(fitting(Params.parse(params_of(tune_all.ROWS), "params"), model)) == 2


def test_no_model_is_worse_tuned_and_what_is_done_is_kept(tmp_path: Path) -> None:
    rows = {"users": 40, "items": 30, "interactions_per_user": 10}
    said: list[str] = []
    made = measure(tmp_path, ONE_OF_A_KIND, 60, said.append, trials=3, rows=rows)
    assert [row.model for row in made] == [model for model in ONE_OF_A_KIND for _ in range(2)]
    assert {row.on("validation") for row in made} == {"better", "equal"}
    assert {row.trials for row in made if row.model == "mostpop"} == {1}
    assert {row.trials for row in made if row.model != "mostpop"} == {3}
    assert {row.metric for row in made if row.less} == {"rmse"}
    assert len(said) == len(made)
    assert measure(tmp_path, ONE_OF_A_KIND, 60, said.append, trials=3, rows=rows) == made
    assert len(said) == len(made)
    contents, text = tune_all.report(made, 60, "command")
    assert sum(contents["validation"].values()) == sum(contents["test"].values()) == len(made)
    assert f"Of {len(made)} searches on validation" in text


def test_of_errors_less_is_better() -> None:
    row = Row("als", "made", "rmse", 0.9, 0.8, 0.9, 0.95, 3, 0, 1.0, (), True)
    assert (row.on("validation"), row.on("test")) == ("better", "worse")
    other = replace(row, metric="ndcg@10", less=False)
    assert (other.on("validation"), other.on("test")) == ("worse", "better")
    assert replace(row, tuned=0.9 + 1e-9).on("validation") == "equal"
