"""``lethe tune``: what is given reaches the search, and what it came to is said."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from lethe.cli import app
from lethe.core.workspace import Workspace
from tests.conftest import taste_blocks


@pytest.fixture
def split(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """With parts to search on, and its folder the current one."""
    rows = taste_blocks()
    rows.take([place for place in range(len(rows)) if place % 7]).write(tiny.split("tiny", "train"))
    rows.take(range(0, len(rows), 7)).write(tiny.split("tiny", "valid"))
    monkeypatch.chdir(tiny.root)
    return tiny


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(app, ["tune", *arguments])
    assert ran.exit_code == 0, ran.exception or ran.output
    return ran.stdout


def test_options_that_are_set_or_listed_decide_what_is_searched_and_a_search_is_resumed(split: Workspace) -> None:
    given = ("wmf", "tiny", "--set", "sweeps=2", "--grid", "reg=[0.1, 1.0]", "--budget", "1h", "--json")
    report = json.loads(run(*given))
    assert report["trials"] == 3, "the default of .02 joins the two"
    assert report["values"]["sweeps"] == 2
    assert set(report["values"]) == {"embedding_dim", "sweeps", "reg"}
    assert report["better"] == (report["value"] > report["default"])
    text = (split.root / "params" / "tiny" / "wmf.yaml").read_text()
    assert text.startswith("# lethe tune wmf tiny --budget 1h --set sweeps=2 --grid 'reg=[0.1, 1.0]'\n")
    assert yaml.safe_load(text) == report["values"]
    ran = CliRunner().invoke(app, ["tune", *given[:-1]])
    assert "trial" not in ran.stderr, "all are kept"


def test_an_option_that_is_set_is_not_searched(split: Workspace) -> None:
    report = json.loads(run("item-knn", "tiny", "--set", "neighbours=7", "--trials", "4", "--json"))
    assert report["values"]["neighbours"] == 7
    assert report["trials"] == 4
    assert report["edges"] == [edge for edge in report["edges"] if "neighbours" not in edge]


def test_each_trial_is_said_with_the_best_so_far_and_so_is_a_search_that_found_nothing(split: Workspace) -> None:
    ran = CliRunner().invoke(app, ["tune", "mostpop", "tiny"])
    assert "nothing else was tried" in ran.stdout
    assert "trial 0: 0." in ran.stderr
    assert "best so far 0." in ran.stderr
    found = run("ease", "tiny", "--set", "reg=1e12", "--grid", "precision=[float32, float64]")
    assert found.startswith("none of 2 trials beat the settings of params.yaml, ndcg@10 0.")
    assert yaml.safe_load((split.root / "params" / "tiny" / "ease.yaml").read_text())["reg"] == 1e12
    assert CliRunner().invoke(app, ["--quiet", "tune", "mostpop", "tiny"]).output == ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--budget", "5"], "budget: '5' must be a number and its unit: 90s, 20m or 2h"),
        (["--set", "reg"], "set: 'reg' must be an option and its value, such as embedding_dim=64"),
        (["--set", "rge=1"], "set.wmf.rge: unknown key"),
        (["--grid", "reg=3"], "grid.reg: 3 must be a list of values, such as reg=[16, 64]"),
        (["--grid", "reg=[3"], "grid: 'reg=[3' must be an option and its value"),
        (["--set", "reg=1", "--set", "reg=2"], "set: reg is given twice, must be given once"),
        (["--grid", "reg=[1]", "--grid", "reg=[2]"], "grid: reg is given twice, must be given once"),
        (["--set", "sweeps=2026-02-30"], "set: 'sweeps=2026-02-30' must be an option and its value"),
        (["--set", "sweeps=010"], "set: 'sweeps=010' must be an option and its value"),
        (["--trials", "0"], "trials: 0 must be at least 1"),
    ],
)
def test_a_fault_is_one_line(split: Workspace, arguments: list[str], line: str) -> None:
    ran = CliRunner().invoke(app, ["tune", "wmf", "tiny", *arguments])
    assert line in str(ran.exception)
    assert "\n" not in str(ran.exception)


def test_without_data_the_next_command_is_named(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.root)
    assert "run lethe train" in str(CliRunner().invoke(app, ["tune", "wmf", "tiny"]).exception)
