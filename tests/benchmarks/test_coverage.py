"""The list of what the sources name agrees with the code and the results; so does the page of their claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.claims import Comparison, Figures, Verdict, verdict
from benchmarks.commands import common
from benchmarks.coverage import BEYOND, STATES, Coverage, Item, report
from benchmarks.table import Result, Row, Table
from benchmarks.what_we_found import page
from lethe.errors import ConfigError
from tests.conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results"
COMMAND = "python -m benchmarks coverage --commit"


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    return Coverage.read()


def test_the_list_agrees_with_the_code_and_the_results(coverage: Coverage) -> None:
    assert coverage.faults(Figures(RESULTS)) == []


def test_every_item_of_the_sources_is_counted_once(coverage: Coverage) -> None:
    contents, text = report(coverage, Figures(RESULTS), COMMAND)
    listed = sum(len(items) for source, items in coverage.sources.items() if source != BEYOND)
    assert contents["items"] == listed == sum(contents[state] for state in STATES) == 203
    assert all(text.count(f"| {entry['what']} |") for entry in contents["sources"]["000"])
    whys = [entry["why"] for entries in contents["sources"].values() for entry in entries]
    states = [entry["state"] for entries in contents["sources"].values() for entry in entries]
    assert all(why for why, state in zip(whys, states, strict=True) if state not in ("measured", "built, not measured"))


def test_the_committed_report_is_current(coverage: Coverage) -> None:
    contents, text = report(coverage, Figures(RESULTS), COMMAND)
    assert json.loads((RESULTS / "coverage.json").read_text()) == contents, f"run `{COMMAND}`"
    assert (RESULTS / "coverage.md").read_text() == text


def test_the_page_of_claims_is_current(coverage: Coverage) -> None:
    made = page(coverage, Figures(RESULTS))
    assert (ROOT / "docs" / "what-we-found.md").read_text() == made, "run `python -m benchmarks claims`"


SYSTEM: dict[str, Any] = {"kind": "system", "what": "WMF"}


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"model": ["wmff"]}, "model 'wmff' is not in the code's table"),
        ({"partition": ["ubpp"]}, "partition 'ubpp' is not in the code's table"),
        ({"code": ["lethe.models.wmf.WWMF"]}, "lethe.models.wmf.WWMF can't be imported"),
        ({"code": ["lethe.nowhere"]}, "lethe.nowhere can't be imported"),
        ({"test": ["tests/nowhere.py"]}, "tests/nowhere.py is not there"),
        ({"results": {"lost": ["WMF"]}}, "lost.json: no such result in results"),
        ({"results": {"small": ["A", "C"]}}, "small has no row 'C'"),
        (
            {"kind": "claim", "better": [{"table": "small", "metric": "mrr", "row": "A", "than": ["B"]}]},
            "small has no 'mrr' in row 'A'",
        ),
    ],
)
def test_what_an_item_names_must_be_there(tmp_path: Path, values: dict[str, Any], fault: str) -> None:
    coverage = Coverage.parse({"sources": {"3": [SYSTEM | values]}}, "list")
    faults = coverage.faults(small(tmp_path / "results"))
    assert f"WMF: {fault}" in faults
    assert "model bpr is named by no item" in faults
    assert "table enmf-ml1m is named by no item" in faults
    with pytest.raises(ConfigError, match="faults: "):
        report(coverage, small(tmp_path / "results"), COMMAND)


def test_a_table_that_nobody_has_run_is_named_by_its_module(tmp_path: Path) -> None:
    named = {"kind": "table", "what": "Table 3.4", "code": ["benchmarks.enmf_ml1m"]}
    faults = Coverage.parse({"sources": {"3": [named]}}, "list").faults(small(tmp_path / "results"))
    assert "table enmf-ml1m is named by no item" not in faults
    assert "table lfm-ml1m is named by no item" in faults


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"model": ["wmf"]}, "built, not measured"),
        ({"model": ["wmf"], "results": {"small": ["A"]}}, "measured"),
        ({"results": {"small": ["A"]}, "part": "one of two"}, "measured in part"),
        ({"missing": "no such model"}, "missing"),
        ({"cannot": "no data"}, "can't be had"),
    ],
)
def test_the_state_follows_from_what_is_named(values: dict[str, Any], state: str) -> None:
    assert Item.parse(SYSTEM | values, "item").state == state


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model": ["wmf"], "missing": "not so"},
        {"missing": "yet", "cannot": "ever"},
        {"model": ["wmf"], "part": "of nothing"},
        {"kind": "claim", "results": {"small": ["A"]}},
    ],
)
def test_an_item_is_in_one_state(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^item:"):
        Item.parse(SYSTEM | values, "item")


def small(folder: Path) -> Figures:
    """Rows A .50, B .40 and .45 of hr@10; 10 and 30 seconds."""

    def row(model: str, hit: float, rmse: float, seconds: float) -> dict[str, Any]:
        metrics = {"hr@10": {"mean": hit, "std": 0.02}, "rmse": {"mean": rmse, "std": 0.0}}
        return {"model": model, "metrics": metrics, "seeds": 2, "seconds": seconds, "times": {"x": 1.0, "y": 2.0}}

    rows = [row("A", 0.5, 0.9, 10.0), row("B", 0.4, 0.8, 30.0), row("near", 0.47, 0.9, 30.0)]
    folder.mkdir(exist_ok=True)
    (folder / "small.json").write_text(json.dumps({"table": "small", "rows": rows}))
    return Figures(folder)


def comparison(metric: str, row: str, *than: str, by: float = 1.0) -> Comparison:
    return Comparison(table="small", metric=metric, row=row, than=than, by=by)


@pytest.mark.parametrize(
    ("comparisons", "said"),
    [
        ([comparison("hr@10", "A", "B")], "holds"),
        ([comparison("hr@10", "A", "near")], "does not hold"),  # Within the spread.
        ([comparison("hr@10", "A", "B", by=1.2)], "does not hold"),
        ([comparison("hr@10", "B", "A")], "does not hold"),
        ([comparison("rmse", "B", "A")], "holds"),
        ([comparison("seconds", "A", "B", by=2.9)], "holds"),
        ([comparison("seconds", "A", "B", by=3.1)], "does not hold"),
        ([comparison("x + y", "A", "B")], "does not hold"),
        ([comparison("hr@10", "A", "B", "near")], "does not hold"),  # The best is ahead of all.
        ([comparison("hr@10", "A", "B"), comparison("hr@10", "A", "near")], "holds in part"),
    ],
)
def test_a_claim_holds_where_the_row_is_ahead_by_more_than_the_spread(
    tmp_path: Path, comparisons: list[Comparison], said: Verdict
) -> None:
    assert verdict(comparisons, small(tmp_path)) == said


def test_times_of_parts_are_added(tmp_path: Path) -> None:
    assert small(tmp_path).cell("small", "A", "x + y")[:1] == (3.0,)


def test_rows_that_a_table_no_longer_makes_are_named(
    coverage: Coverage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, data_dir: Path) -> Table:
        known = Figures(RESULTS).rows(name) if (RESULTS / f"{name}.json").is_file() else set()
        labels = known - ({"WMF"} if name == "enmf-ml1m" else set())
        return Table(name, "", {}, [Row(label, lambda seed: Result({}, 0.0), {}) for label in sorted(labels)])

    monkeypatch.setattr(Table, "load", load)
    assert coverage.unmade(tmp_path) == ["enmf-ml1m's module makes no row 'WMF'"]
    monkeypatch.setattr(common, "REPORTS", tmp_path / "reports")
    done = CliRunner().invoke(app, ["coverage", "--data-dir", str(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert not (tmp_path / "reports").exists()


def test_the_command_prints_counts_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "REPORTS", tmp_path / "reports")
    done = CliRunner().invoke(app, ["coverage", "--json", "--data-dir", str(tmp_path / "none")])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["items"] == 203
    assert "none: not there" in done.stderr
