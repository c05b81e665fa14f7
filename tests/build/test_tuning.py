"""Tuning: seeded, resumable, pruned, and a file that says where it came from."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lethe.build import objectives, tuning
from lethe.build.objectives import Task
from lethe.build.recipes import recipes
from lethe.build.space import Axis, Space
from lethe.build.trials import Trial, Tuned, count_cells
from lethe.build.tuning import Budget, search, tune
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError, LetheError
from lethe.models.parts.base import Model
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace, taste_blocks
from tests.side import side_tables

GRID = {"negative_weight": [0.05, 0.2, 0.5], "dropout": [0.0, 0.3, 0.6]}
SMALL = {"embedding_dim": 8, "sweeps": 2}


def parts() -> tuple[Interactions, Interactions]:
    rows = taste_blocks()
    held = np.arange(len(rows)) % 8 == 0
    return rows.take(~held), rows.take(held)


def run(storage: Path, trials: int = 6, **options: object) -> tuple[Tuned, list[Trial]]:
    seen: list[Trial] = []
    told: dict[str, Any] = {"model": "wmf", "metric": "recall@5", "seed": 3, "base": SMALL, "grid": GRID} | options
    task = Task(*parts(), **{name: told[name] for name in ("metric", "objective", "scoring") if name in told})
    space = Space(told["model"], told["base"], told["grid"])
    budget = Budget(trials, told["seed"], at_once=told.get("at_once", 1))
    return search(space, task, budget, storage, seen.append), seen


def test_the_same_search_twice_ends_the_same(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a.sqlite"), run(tmp_path / "b.sqlite")
    assert first == second
    assert len(first[1]) == 6
    assert first[0].value == max(trial.value for trial in first[1] if trial.value is not None)
    assert run(tmp_path / "c.sqlite", seed=4)[1] != first[1]


def test_the_defaults_are_the_first_trial(tmp_path: Path) -> None:
    found, trials = run(tmp_path / "a.sqlite", trials=1)
    assert trials[0].values == {"negative_weight": 0.2, "dropout": 0.5}
    assert found.default == found.value
    assert found.values == SMALL | trials[0].values


def test_a_killed_search_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.sqlite")

    class Killed(BaseException):
        pass

    def measure(model: Model) -> float:
        measured.append(float(model.factors_or_fail()[0].abs().sum()))
        if len(measured) == 4:
            raise Killed
        return measured[-1]

    measured: list[float] = []
    with pytest.raises(Killed):
        run(tmp_path / "a.sqlite", objective=measure)
    resumed, later = run(tmp_path / "a.sqlite", objective=measure)
    unbroken, trials = run(tmp_path / "b.sqlite", objective=measure)
    assert resumed == unbroken
    assert 0 < len(later) < len(trials)
    assert later == trials[-len(later) :]
    assert run(tmp_path / "whole.sqlite")[1] == []
    assert run(tmp_path / "whole.sqlite")[0] == whole[0]


def test_trials_of_a_round_know_nothing_of_one_another(tmp_path: Path) -> None:
    """So a search that was stopped inside a round, by a kill or by the count of trials, ends as one that was not."""
    options = {"at_once": 4, "grid": GRID | {"reg": [0.1, 0.01, 0.001]}}
    whole, trials = run(tmp_path / "whole.sqlite", trials=11, **options)
    assert len({tuple(sorted(trial.values.items())) for trial in trials}) == 11
    for count in (2, 6, 7):
        run(tmp_path / "parts.sqlite", trials=count, **options)
    resumed, later = run(tmp_path / "parts.sqlite", trials=11, **options)
    assert resumed == whole
    assert sorted(trial.number for trial in later) == [7, 8, 9, 10]
    assert run(tmp_path / "parts.sqlite", trials=11, **options | {"at_once": 1})[1], "another search"


def test_a_small_grid_is_walked_whole(tmp_path: Path) -> None:
    _, trials = run(tmp_path / "a.sqlite", trials=99)
    tried = {tuple(sorted(trial.values.items())) for trial in trials}
    # The default dropout of .5 joins the three of the grid.
    assert len(trials) == len(tried) == 3 * 4


def test_no_settings_are_tried_twice(tmp_path: Path) -> None:
    _, trials = run(tmp_path / "a.sqlite", trials=11)
    tried = {tuple(sorted(trial.values.items())) for trial in trials}
    assert len(trials) == len(tried) == 11


def test_fields_that_hold_mappings_are_tuned_too() -> None:
    space = Space("collective-behaviours", grid={"weights": [{"view": 0.2}, {"view": 0.5}, {"view": 0.2}]})
    assert space.axes() == {"weights": Axis(({}, {"view": 0.2}, {"view": 0.5}))}


def test_other_data_are_another_search(tmp_path: Path) -> None:
    run(tmp_path / "a.sqlite", trials=2)
    train, valid = parts()
    seen: list[Trial] = []
    less = train.take(np.arange(len(train)) > 0)
    task, space = Task(less, valid, "recall@5"), Space("wmf", SMALL, GRID)
    search(space, task, Budget(2, seed=3), tmp_path / "a.sqlite", seen.append)
    assert len(seen) == 2


def test_a_bad_trial_is_given_up_before_its_end(tmp_path: Path) -> None:
    """Rates of nearly nothing fall behind at the first quarter."""
    calls: list[int] = []

    def measure(model: Model) -> float:
        calls.append(1)
        return float(model.factors_or_fail()[0].abs().mean())

    rates = [0.05, 0.06, 0.07, 0.08, 0.09, 1e-7]
    found, trials = run(
        tmp_path / "a.sqlite",
        trials=9,
        model="enmf-u",
        base={"embedding_dim": 4, "epochs": 8},
        grid={"learning_rate": rates},
        objective=measure,
    )
    assert [trial.values["learning_rate"] for trial in trials if trial.value is None] == [1e-7]
    assert found.given_up == 1
    assert len(calls) == 5 * 4 + 1


def test_a_trial_that_diverges_is_given_up(tmp_path: Path) -> None:
    grid = {"learning_rate": [1e30]}
    base = {"embedding_dim": 4, "epochs": 3, "optimizer": "sgd", "learning_rate": 0.001}
    found, trials = run(tmp_path / "a.sqlite", model="enmf-u", base=base, grid=grid)
    assert [trial.value is None for trial in trials] == [False, True]
    assert found.values["learning_rate"] == 0.001
    with pytest.raises(LetheError) as error:
        run(tmp_path / "b.sqlite", model="enmf-u", base=base | {"learning_rate": 1e30}, grid=grid)
    assert "\n" not in str(error.value)


def test_a_solver_that_has_no_rate_is_not_tuned_for_one(tmp_path: Path) -> None:
    _, trials = run(tmp_path / "a.sqlite", trials=1, grid=None)
    assert set(trials[0].values) == {"dropout", "embedding_dim", "negative_weight", "reg", "reg_exponent", "sweeps"}
    _, trials = run(tmp_path / "b.sqlite", trials=1, grid=None, base=SMALL | {"solver": "gradient", "epochs": 1})
    assert "learning_rate" in trials[0].values


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": "nonesuch"}, "unknown model 'nonesuch'"),
        ({"metric": "recall"}, "NAME@K"),
        ({"metric": "charm@5"}, "'charm@5' must read NAME@K"),
        ({"trials": 0}, "trials: 0 must be at least 1"),
        ({"at_once": 0}, "at-once: 0 must be at least 1"),
        ({"grid": {"charm": [1]}}, "grid.wmf.charm: unknown key"),
        ({"grid": {"dropout": [1.5]}}, "grid.wmf.dropout"),
        ({"grid": {"dropout": []}}, "grid.dropout: no values"),
    ],
)
def test_faults_are_one_line(tmp_path: Path, options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        run(tmp_path / "a.sqlite", **options)  # type: ignore[arg-type]
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_tune_writes_what_the_pipeline_then_reads(tiny: Workspace) -> None:
    train, valid = parts()
    train.write(tiny.split("tiny", "train"))
    valid.write(tiny.split("tiny", "valid"))
    params = Params.read(tiny.params)
    command = "lethe tune wmf --dataset tiny --trials 3"
    grid = {"negative_weight": [0.05, 0.4]}
    found = tune(tiny, params, "wmf", "tiny", command=command, trials=3, metric="recall@5", grid=grid)
    text = (tiny.root / "params" / "tiny" / "wmf.yaml").read_text()
    assert text.startswith(f"# {command}\n# Validation recall@5 {found.value:.5f}")
    assert yaml.safe_load(text) == found.values
    recipe = recipes(tiny, params, "plain")[1]
    assert recipe.config["negative_weight"] == found.values["negative_weight"]
    assert (tiny.state / "tuning" / "tiny-wmf.sqlite").is_file()


def test_what_an_earlier_search_left_stays_where_it_is_better(tiny: Workspace) -> None:
    rows = taste_blocks()
    held = np.arange(len(rows)) % 7 == 0
    rows.take(~held).write(tiny.split("tiny", "train"))
    rows.take(held).write(tiny.split("tiny", "valid"))
    options: dict[str, Any] = {"command": "here", "metric": "ndcg@5"}
    params, poor = Params.read(tiny.params), {"reg": 1e12}
    best = tune(tiny, params, "wmf", "tiny", grid={"reg": [0.05]}, **options)
    worst = tune(tiny, params, "wmf", "tiny", base=poor, grid={"dropout": [0.4]}, **options)
    assert worst.value < best.value
    path = tiny.root / "params" / "tiny" / "wmf.yaml"
    assert yaml.safe_load(path.read_text()) == worst.values, "what --set says is wanted"
    tune(tiny, params, "wmf", "tiny", grid={"reg": [0.05]}, **options)
    before = path.read_bytes()
    poorer = params.model_copy(update={"models": {"wmf": poor}})
    less = tune(tiny, poorer, "wmf", "tiny", grid={"dropout": [0.4]}, **options)
    assert less.standing is not None
    assert less.standing > less.value
    assert path.read_bytes() == before


@pytest.mark.parametrize("metric", ["recal@5", "recall", "recall@0", "recall@05", "recall@²", "rmse"])
def test_a_metric_that_there_is_not_is_said_before_anything_is_tried(tmp_path: Path, metric: str) -> None:
    train, valid = parts()
    with pytest.raises(
        ConfigError, match=f"^metric: '{metric}' must read NAME@K, for example recall@10; names are hr, "
    ):
        search(Space("wmf"), Task(train, valid, metric), Budget(1, 3), tmp_path / "a.sqlite")
    assert not (tmp_path / "a.sqlite").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[1, 2]", r"params/tiny/wmf.yaml: \[1, 2\] must be options and their values, such as embedding_dim: 64"),
        ("regg: 1", r"params/tiny/wmf.yaml.regg: unknown key \(did you mean 'reg'\?\)"),
    ],
    ids=["a list", "an unknown option"],
)
def test_what_an_earlier_search_left_is_looked_at_before_anything_is_tried(
    tiny: Workspace, text: str, line: str
) -> None:
    for part, rows in zip(("train", "valid"), parts(), strict=True):
        rows.write(tiny.split("tiny", part))
    path = tiny.root / "params" / "tiny" / "wmf.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ConfigError, match=line):
        tune(tiny, Params.read(tiny.params), "wmf", "tiny", command="here", trials=1, metric="recall@5")
    assert not (tiny.state / "tuning" / "tiny-wmf.sqlite").exists()
    assert path.read_text() == text


def test_a_budget_of_time_ends_a_search_after_the_settings_it_begins_with_and_more_time_resumes_it(
    tmp_path: Path,
) -> None:
    train, valid = parts()
    space = Space("item-knn")
    seen: list[Trial] = []

    def spend(seconds: float) -> Tuned:
        # Looked at as each round begins and ends, a second later each time.
        clock = itertools.count().__next__
        budget = Budget(count_cells(space.axes()), 3, seconds=seconds, clock=clock)
        return search(space, Task(train, valid, "recall@5"), budget, tmp_path / "a.sqlite", seen.append)

    first = spend(1e-9)
    assert [trial.number for trial in seen] == [0]
    assert not first.better
    assert first.value == first.default
    spend(6)
    assert [trial.number for trial in seen] == [0, 1, 2]
    with pytest.raises(ConfigError, match="budget: 0 seconds must be more than 0"):
        spend(0)


def test_no_model_is_left_worse_than_it_was_and_a_search_that_found_nothing_says_so(tmp_path: Path) -> None:
    def nearest_to_the_default(model: Model) -> float:
        return -abs(float(model.config.neighbours) - 50)

    tuned, _ = run(
        tmp_path / "a.sqlite", trials=9, model="item-knn", base={}, grid=None, objective=nearest_to_the_default
    )
    assert (tuned.value, tuned.better) == (tuned.default, False)
    tuning.write_tuned(tmp_path / "item-knn.yaml", tuned, "command")
    assert "# None was better than the settings of the start" in (tmp_path / "item-knn.yaml").read_text()


def test_tune_names_what_it_does_not_know(tiny: Workspace) -> None:
    params = Params.read(tiny.params)
    with pytest.raises(ConfigError, match="unknown dataset 'moon'"):
        tune(tiny, params, "wmf", "moon", command="")
    with pytest.raises(ConfigError, match="unknown model 'moon'"):
        tune(tiny, params, "moon", "tiny", command="")


def test_what_a_model_declares_is_searched_from_its_defaults_and_an_edge_is_said(tmp_path: Path) -> None:
    def fewest(model: Model) -> float:
        return -float(model.config.neighbours)

    found, trials = run(tmp_path / "a.sqlite", trials=20, model="item-knn", base={}, grid=None, objective=fewest)
    assert trials[0].values == {"neighbours": 50, "shrinkage": 10.0}
    assert len({tuple(trial.values.values()) for trial in trials}) == 20
    assert found.values["neighbours"] == 5
    assert found.edges[0] == "neighbours (lowest)"
    tuning.write_tuned(tmp_path / "item-knn.yaml", found, "command")
    assert "# At an edge of what was tried: neighbours (lowest)" in (tmp_path / "item-knn.yaml").read_text()


def test_two_searches_do_not_share_a_file(tmp_path: Path) -> None:
    storage = tmp_path / "a.sqlite"
    with tuning.FileLock(storage.with_suffix(".lock")), pytest.raises(ConfigError, match="another search"):
        run(storage)


def test_scores_in_half_precision_are_near_those_in_single(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    evaluate_users = objectives.evaluate_users

    def watched(score: Any, *tables: Any, **options: Any) -> Any:
        seen.append(score(np.arange(5)))
        return evaluate_users(score, *tables, **options)

    monkeypatch.setattr(objectives, "evaluate_users", watched)
    single, half = (
        run(tmp_path / "a.sqlite", trials=1, scoring=precision)[0].value for precision in ("float32", "bfloat16")
    )
    assert half == pytest.approx(single, abs=0.05)
    assert [scores.dtype for scores in seen] == [np.float32, np.float32], "two searches, not one"
    assert 0 < np.abs(seen[1] - seen[0]).max() < 0.01 * np.abs(seen[0]).max()


def test_a_model_that_needs_side_tables_is_tuned_with_those_of_the_dataset(tmp_path: Path) -> None:
    rows = taste_blocks()
    workspace = make_workspace(tmp_path / "w", rows, tables=side_tables(rows))
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", ["whole"])
    found = tune(workspace, params, "collective-social", "tiny", command="here", trials=1, grid={"sweeps": [2]})
    assert found.value > 0
    assert (workspace.root / "params" / "tiny" / "collective-social.yaml").is_file()
