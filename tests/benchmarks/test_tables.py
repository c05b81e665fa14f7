"""The benchmark room on small made data: rows, resumption, the report, the check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import stats
from typer.testing import CliRunner

from benchmarks import collaborative, enmf_ml1m, machine, receraser_retrain_ml1m
from benchmarks.__main__ import app
from benchmarks.budget import Spent
from benchmarks.commands import accuracy, common, settings
from benchmarks.merge import merged
from benchmarks.report import compare, less_is_better, markdown, summarise, write_report
from benchmarks.table import TABLES, Result, Row, Table, published, run_table
from lethe.errors import ConfigError, DataError, LetheError
from tests.conftest import taste_blocks


def write_part(path: Path, users: np.ndarray, items: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"user": users, "item": items}), path)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Both data sets, made of two blocks of taste, rows in no order."""
    rows = taste_blocks(users=30, items=24)
    users = np.unique(rows.user_ids, return_inverse=True)[1]
    items = np.unique(rows.item_ids, return_inverse=True)[1]
    order = np.random.default_rng(1).permutation(len(users))
    users, items = users[order], items[order]
    for folder, every in (("ml-1m-loo", 10), ("ml-1m-receraser", 4)):
        test = np.arange(len(users)) % every == 0
        rest = np.arange(len(users)) % every == 1
        write_part(tmp_path / folder / "test.parquet", users[test], items[test])
        write_part(tmp_path / folder / "rest.parquet", users[rest], items[rest])
        write_part(tmp_path / folder / "train.parquet", users[~test & ~rest], items[~test & ~rest])
    return tmp_path


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command's own folders, elsewhere, and models with few epochs."""
    for name in ("WORK", "RESULTS", "REPORTS"):
        for module in (accuracy, common):
            monkeypatch.setattr(module, name, tmp_path / name.lower())
    monkeypatch.setattr(settings, "WORK", tmp_path / "work")
    for module in (accuracy, settings):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(
        collaborative, "tuned", lambda dataset, model: {"wmf": {"sweeps": 2}, "others": {"sweeps": 3}}.get(model, {})
    )
    return tmp_path


def result(value: float, users: list[float] | None = None) -> Result:
    return Result({"hr@5": value}, 1.0, users={} if users is None else {"hr@5": np.array(users)})


def table(*rows: Row) -> Table:
    return Table("enmf-ml1m", "A protocol.", {"Ours": {"hr@5": 0.5}}, list(rows))


def row(model: str, values: list[float], **options: object) -> Row:
    """Its users' values lie on either side of the row's, at a distance of a tenth of it."""
    spread = np.array([-0.1, 0.1])
    return Row(
        model, lambda seed: result(values[seed - 1], list(values[seed - 1] * (1 + spread))), {"m": model}, **options
    )  # type: ignore[arg-type]


def test_the_tables_have_the_papers_figures() -> None:
    assert enmf_ml1m.PUBLISHED["ENMF-A"]["hr@100"] == 0.4581
    assert enmf_ml1m.PUBLISHED["ENMF-A"]["ndcg@200"] == 0.1419
    assert receraser_retrain_ml1m.PUBLISHED["WMF"]["recall@20"] == 0.2507
    assert receraser_retrain_ml1m.PUBLISHED["LightGCN"]["ndcg@10"] == 0.3509


@pytest.mark.parametrize("name", ["enmf-ml1m", "receraser-retrain-ml1m"])
def test_every_table_has_the_floor_and_only_models_that_there_are(name: str, data_dir: Path) -> None:
    chosen = Table.load(name, data_dir)
    models = [row.model for row in chosen.rows]
    assert models[:2] == ["MostPop", "MostPop, seen items kept"]
    assert len(set(models)) == len(models)
    assert set(chosen.published) & set(models) >= {"BPR", "WMF"}


def test_a_row_is_trained_ranked_and_better_than_the_floor(data_dir: Path, room: Path) -> None:
    chosen = Table.load("receraser-retrain-ml1m", data_dir).only(["MostPop", "MostPop, seen items kept", "WMF"])
    results = run_table(chosen, 1, None, lambda line: None)
    floor, unmasked, wmf = (results[name][0] for name in results)
    assert wmf.metrics["ndcg@10"] > floor.metrics["ndcg@10"] > unmasked.metrics["ndcg@10"]
    assert set(wmf.users) == set(wmf.metrics)
    held_out = collaborative.read_split(data_dir, "ml-1m-receraser").test.user_ids
    assert len(wmf.users["recall@20"]) == len(np.unique(held_out))
    assert wmf.users["recall@20"].mean() == pytest.approx(wmf.metrics["recall@20"])


def test_settings_name_what_decides_a_row(data_dir: Path, room: Path) -> None:
    split = collaborative.read_split(data_dir, "ml-1m-receraser")

    def settings(**options: object) -> dict[str, object]:
        return collaborative.model_row("WMF", "wmf", split, cutoffs=(5,), metrics=("hr",), **options).settings  # type: ignore[arg-type]

    assert settings() == settings()
    assert settings(settings="others") != settings()
    assert settings(masked=False) != settings()


def test_validation_of_leave_one_out_is_the_last_row_in_file_order(tmp_path: Path) -> None:
    write_part(tmp_path / "ml-1m-loo" / "train.parquet", np.array([1, 0, 1, 0]), np.array([9, 5, 2, 7]))
    train, valid = collaborative.last_rows(tmp_path, "ml-1m-loo")
    assert list(zip(train.user_ids, train.item_ids, strict=True)) == [(0, 5), (1, 9)]
    assert list(zip(valid.user_ids, valid.item_ids, strict=True)) == [(0, 7), (1, 2)]


def test_a_stopped_run_goes_on_seed_by_seed(tmp_path: Path) -> None:
    ran: list[int] = []

    def once(seed: int) -> Result:
        ran.append(seed)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return result(seed / 10, [seed / 10, 0.5])

    chosen = table(Row("Ours", once, {"lr": 1}))
    with pytest.raises(KeyboardInterrupt):
        run_table(chosen, 3, tmp_path, lambda line: None)
    results = run_table(chosen, 3, tmp_path, lambda line: None)
    assert ran == [1, 2, 2, 3]
    again = run_table(chosen, 3, tmp_path, lambda line: None)
    assert ran == [1, 2, 2, 3]
    assert [r.metrics for r in again["Ours"]] == [r.metrics for r in results["Ours"]]
    assert np.array_equal(again["Ours"][0].users["hr@5"], results["Ours"][0].users["hr@5"])
    run_table(table(Row("Ours", once, {"lr": 2})), 1, tmp_path, lambda line: None)
    assert ran[4:] == [1]


def test_the_report_has_mean_deviation_difference_and_p() -> None:
    chosen = table(
        row("Floor", [0.1, 0.1]), row("Best", [0.4, 0.4]), row("Ours", [0.6, 0.7], baseline=False, note="New.")
    )
    report = summarise(chosen, run_table(chosen, 2, None, lambda line: None), "python -m benchmarks")
    by_model = {line["model"]: line for line in report["rows"]}
    ours = by_model["Ours"]["metrics"]["hr@5"]
    assert (ours["mean"], ours["published"], ours["difference"]) == (0.65, 0.5, 0.15)
    assert ours["std"] == pytest.approx(0.07071)
    # Two users gain .225 and .275, and the two seeds come to .6 and .7: variances of a mean of .000625 and .0025.
    degrees = 0.003125**2 / (0.000625**2 + 0.0025**2)
    assert ours["p"] == pytest.approx(2 * stats.t.sf(0.25 / 0.003125**0.5, degrees))
    assert report["best_baseline"] == {"": {"hr@5": "Best"}}
    assert by_model["Best"]["metrics"]["hr@5"]["p"] is None
    assert by_model["Ours"]["seeds"] == 2
    text = markdown(report, chosen.published)
    assert "| Ours | 2 | .6500 ± .0707 / .5000 (+.1500) | 1.00 |" in text
    assert "| Best | 2 | **.4000** ± .0000 | 1.00 |" in text
    assert "* Ours: New." in text
    json.dumps(report, allow_nan=False)


def test_rows_are_tested_against_those_the_table_names() -> None:
    users = {"Floor": [0.1, 0.3, 0.2], "Other": [0.2, 0.3, 0.4], "Ours": [0.5, 0.4, 0.9]}
    rows = [
        Row(name, lambda seed, name=name: result(float(np.mean(users[name])), users[name]), {"m": name})  # type: ignore[misc]
        for name in users
    ]
    chosen = Table("enmf-ml1m", "", {"Ours": {"hr@5": None}}, rows, against=("Floor", "Absent"))
    report = summarise(chosen, run_table(chosen, 1, None, lambda line: None), "command")
    against = {found["model"]: found["against"] for found in report["rows"]}
    assert against["Floor"] == {}
    for name in ("Other", "Ours"):
        expected = stats.ttest_rel(users[name], users["Floor"]).pvalue
        assert against[name]["Floor"]["hr@5"] == pytest.approx(expected)
        assert f"| {name} against Floor | {expected:.2g} |" in markdown(report, chosen.published)


def test_of_errors_the_best_is_the_least() -> None:
    rows = [
        Row(name, lambda seed, v=value: Result({"rmse": v + seed * v / 1000}, 1.0), {})
        for name, value in (("A", 0.9), ("B", 0.8))
    ]  # type: ignore[misc]
    chosen = Table("lfm-ml1m", "", {"A": {"rmse": 0.9}}, rows)
    report = summarise(chosen, run_table(chosen, 3, None, lambda line: None), "")
    assert report["best_baseline"] == {"": {"rmse": "B"}}
    assert report["rows"][0]["metrics"]["rmse"]["p"] < 0.05


def test_differences_keep_their_digits() -> None:
    rows = [
        Row("A", lambda seed: Result({"mse": 1.58}, 1.0), {}),
        Row("B", lambda seed: Result({"mse": 0.25}, 1.0), {}),
    ]
    chosen = Table("anime", "", {"A": {"mse": 11.74}, "B": {"mse": 0.5}}, rows)
    text = markdown(summarise(chosen, run_table(chosen, 1, None, lambda line: None), ""), chosen.published)
    assert "1.5800 / 11.7400 (-10.1600)" in text
    assert ".2500** / .5000 (-.2500)" in text


def test_each_base_has_a_best_baseline_of_its_own_and_costs_are_not_tested() -> None:
    def of(name: str, base: str, value: float, cost: float, baseline: bool = True) -> Row:
        made = lambda seed: Result({"recall@5": value * (1 + seed / 1000), "shards/user": cost}, 1.0)  # noqa: E731
        return Row(name, made, {"of": name}, baseline=baseline, base=base)

    rows = [of("A weak", "A", 0.1, 1), of("A strong", "A", 0.2, 9), of("A ours", "A", 0.3, 3, baseline=False)]
    rows += [of("B only", "B", 0.8, 2), of("B ours", "B", 0.7, 5, baseline=False), of("C ours", "C", 0.5, 5, False)]
    chosen = Table("partitions", "", {"": {"recall@5": None, "shards/user": None}}, rows)
    report = summarise(chosen, run_table(chosen, 3, None, lambda line: None), "")
    assert report["best_baseline"] == {
        "A": {"recall@5": "A strong", "shards/user": "A weak"},
        "B": {"recall@5": "B only", "shards/user": "B only"},
        "C": {},
    }
    p = {row["model"]: {name: figures["p"] for name, figures in row["metrics"].items()} for row in report["rows"]}
    assert {name for name, of_metric in p.items() if of_metric["recall@5"] is not None} == {
        "A weak",
        "A ours",
        "B ours",
    }
    assert all(of_metric["shards/user"] is None for of_metric in p.values())
    text = markdown(report, chosen.published)
    assert "| A weak | 3 | .1002 ± .0001 ↓ | **1.0000** ± .0000 | 1.00 |" in text
    assert "| A ours | 3 | .3006 ± .0003 ↑ | 3.0000 ± .0000 | 1.00 |" in text
    assert "| B only | 3 | **.8016** ± .0008 | **2.0000** ± .0000 | 1.00 |" in text


@pytest.mark.parametrize(
    ("metric", "less"),
    [
        *((name, True) for name in ("rmse", "mae", "mse", "mape", "rmse_stretched", "mse@10", "mae on cold items")),
        *((name, True) for name in ("shards/user", "largest shard", "epochs to best", "cold_users")),
        *((name, False) for name in ("recall@20", "ndcg_of_100@10", "hr@5", "theta", "validation value", "msexpected")),
    ],
)
def test_of_errors_and_costs_less_is_better(metric: str, less: bool) -> None:
    assert less_is_better(metric) is less


@pytest.mark.parametrize("name", [name for name in TABLES if (common.RESULTS / f"{name}.json").is_file()])
def test_a_committed_table_says_what_its_report_says(name: str) -> None:
    path = common.RESULTS / f"{name}.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    shown, made = path.with_suffix(".md").read_text(encoding="utf-8"), markdown(report, published(name))
    assert [line for line in shown.splitlines() if line.startswith("|")] == [
        line for line in made.splitlines() if line.startswith("|")
    ]
    means = {row["model"]: {m: f["mean"] for m, f in row["metrics"].items()} for row in report["rows"]}
    for base, best in report["best_baseline"].items():
        rivals = [row["model"] for row in report["rows"] if row["base"] == base and row["baseline"]]
        for metric, winner in best.items():
            values = [means[rival][metric] for rival in rivals if metric in means[rival]]
            assert means[winner][metric] == (min(values) if less_is_better(metric) else max(values)), (base, metric)


def test_slow_rows_have_fewer_seeds() -> None:
    chosen = table(row("Slow", [0.1, 0.2, 0.3], max_seeds=2), row("Ours", [0.1, 0.2, 0.3]))
    results = run_table(chosen, 3, None, lambda line: None)
    assert [len(runs) for runs in results.values()] == [2, 3]


def test_a_check_finds_what_lies_outside_the_spread() -> None:
    def report(value: float, deviation: float, model: str = "Ours") -> dict[str, object]:
        return {"rows": [{"model": model, "metrics": {"hr@5": {"mean": value, "std": deviation}}}]}

    assert compare(report(0.51, 0.0), report(0.50, 0.004)) == []
    assert compare(report(0.5004, 0.0), report(0.50, 0.0)) == []
    (fault,) = compare(report(0.52, 0.0), report(0.50, 0.004))
    assert fault.startswith("Ours hr@5: 0.52000, committed 0.50000")
    assert compare(report(0.5, 0.0, "Theirs"), report(0.5, 0.0)) == ["Theirs: not in the committed table"]


def test_the_command_writes_commits_and_checks(data_dir: Path, room: Path) -> None:
    base = ["tables", "--table", "receraser-retrain-ml1m", "--data-dir", str(data_dir), "--seeds", "2"]
    options = [*base, "--row", "MostPop", "--row", "WMF"]
    ran = CliRunner().invoke(app, [*options, "--commit"])
    assert ran.exit_code == 0, ran.output
    report = json.loads((room / "reports" / "receraser-retrain-ml1m.json").read_text())
    assert {"table", "protocol", "rows", "command", "environment", "pace"} <= set(report)
    assert [line["model"] for line in report["rows"]] == ["MostPop", "WMF"]
    page = (room / "results" / "receraser-retrain-ml1m.md").read_text()
    assert page.startswith("# receraser-retrain-ml1m")
    assert page.endswith(machine.said(report))
    ran = CliRunner().invoke(app, [*options, "--check"])
    assert ran.exit_code == 0, ran.output
    committed = room / "results" / "receraser-retrain-ml1m.json"
    committed.write_text(committed.read_text().replace('"mean": 0', '"mean": 9'))
    ran = CliRunner().invoke(app, [*options, "--check"])
    assert isinstance(ran.exception, LetheError)
    assert "outside the seeds' spread" in str(ran.exception)


def test_rows_that_are_run_again_join_the_committed_ones(data_dir: Path, room: Path) -> None:
    base = ["tables", "--table", "receraser-retrain-ml1m", "--data-dir", str(data_dir), "--seeds", "1", "--commit"]
    for rows in (["MostPop", "MostPop, seen items kept"], ["WMF", "MostPop"]):
        ran = CliRunner().invoke(app, [*base, *(part for name in rows for part in ("--row", name))])
        assert ran.exit_code == 0, ran.output
    report = json.loads((room / "results" / "receraser-retrain-ml1m.json").read_text())
    assert [line["model"] for line in report["rows"]] == ["MostPop", "MostPop, seen items kept", "WMF"]
    assert all("command" in line for line in report["rows"])
    page = (room / "results" / "receraser-retrain-ml1m.md").read_text()
    assert page.index("| MostPop, seen items kept |") < page.index("| WMF |")


def test_a_test_against_what_is_no_longer_best_goes() -> None:
    def report(command: str, **values: float) -> dict[str, Any]:
        rows = [row(name, [value] * 3, base="", baseline=name != "Ours") for name, value in values.items()]
        chosen = Table("enmf-ml1m", "", {"": {"hr@5": None}}, rows)
        return summarise(chosen, run_table(chosen, 3, None, lambda line: None), command)

    old = report("first", Best=0.4, Floor=0.1, Ours=0.6, Gone=0.2) | {"pace": {"python": 0.2, "numpy": 0.1}}
    order = ["Floor", "Best", "Better", "Ours"]
    same = merged(report("second", Floor=0.2), old, order)
    assert [(line["model"], line["command"]) for line in same["rows"]] == [
        ("Floor", "second"),
        ("Best", "first"),
        ("Ours", "first"),
    ]
    assert [line["pace"] for line in same["rows"]] == [None, old["pace"], old["pace"]]
    p = {line["model"]: line["metrics"]["hr@5"]["p"] for line in same["rows"]}
    assert p["Ours"] == next(line for line in old["rows"] if line["model"] == "Ours")["metrics"]["hr@5"]["p"]
    assert p["Floor"] is None  # It was the only one of its run.
    other = merged(report("second", Better=0.5, Floor=0.1), old, order)
    assert other["best_baseline"] == {"": {"hr@5": "Better"}}
    p = {line["model"]: line["metrics"]["hr@5"]["p"] for line in other["rows"]}
    assert p["Floor"] is not None
    assert p["Ours"] is p["Best"] is p["Better"] is None


def test_tune_writes_values_with_their_command(data_dir: Path, room: Path) -> None:
    options = ["tune", "--dataset", "ml-1m-receraser", "--model", "wmf", "--data-dir", str(data_dir), "--trials", "2"]
    ran = CliRunner().invoke(app, [*options, "--set", "sweeps=1", "--grid", "dropout=[0.1, 0.4]"])
    assert ran.exit_code == 0, ran.output
    text = (room / "params" / "ml-1m-receraser" / "wmf.yaml").read_text()
    assert text.startswith("# python -m benchmarks")
    assert "# Table: receraser-retrain-ml1m.\n" in text
    assert "sweeps: 1\n" in text


def test_what_a_search_took_stands_in_the_table(data_dir: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [
        "tune",
        "--dataset",
        "ml-1m-receraser",
        "--model",
        "wmf",
        "--data-dir",
        str(data_dir),
        "--seconds",
        "1e-9",
    ]
    ran = CliRunner().invoke(app, [*options, "--set", "sweeps=1", "--grid", "dropout=[0.1, 0.4]"])
    assert ran.exit_code == 0, ran.output
    monkeypatch.setattr(collaborative, "PARAMS", room / "params")
    # Without time left the first setting is tried and no other.
    spent = collaborative.spent("ml-1m-receraser", "wmf")
    assert spent is not None
    assert (spent.trials, spent.edges) == (1, ())
    assert 0 <= spent.seconds < 60
    # What stands in the file and was better stays, and says so; by hand it has no value to compare.
    path = room / "params" / "ml-1m-receraser" / "wmf.yaml"
    path.write_text(
        "# its command\n# Validation recall@20 0.99999, 0.5 at the start; 8 trials, 0 of them given up.\nreg: 3.0\n"
    )
    again = [*options, "--set", "sweeps=1", "--grid", "dropout=[0.1, 0.4]"]
    assert CliRunner().invoke(app, again).exit_code == 0
    assert yaml.safe_load(path.read_text()) == {"reg": 3.0}
    assert path.read_text().splitlines()[-2] == "# its command"
    assert Spent.of(path).earlier
    assert CliRunner().invoke(app, [*again, "--anew"]).exit_code == 0
    assert yaml.safe_load(path.read_text())["sweeps"] == 1
    assert collaborative.spent("ml-1m-receraser", "mostpop") is None
    assert collaborative.spent("ml-1m-receraser", "bpr") == Spent(0)
    chosen = table(row("Ours", [0.1], spent=Spent(12, 3400, ("reg (lowest)",), earlier=True)), row("Floor", [0.1]))
    report = summarise(chosen, run_table(chosen, 1, None, lambda line: None), "")
    text = markdown(report, chosen.published)
    assert "| model | seeds | hr@5 | seconds | trials | search seconds |" in text
    assert "| 1.00 | 12 | 3,400 |" in text
    assert "| 1.00 | – | – |" in text
    assert "* Ours: at an edge of what was tried: reg (lowest)" in text
    assert "* Ours: settings of an earlier search, better on validation than any of this one" in text


def test_faults_are_one_line(data_dir: Path, tmp_path: Path) -> None:
    for call, text in (
        (lambda: Table.load("moon", data_dir), "known tables: " + ", ".join(TABLES)),
        (lambda: Table.load("enmf-ml1m", tmp_path / "nowhere"), "--data-dir"),
        (lambda: Table.load("enmf-ml1m", data_dir).only(["Moon"]), "unknown row 'Moon'"),
        (lambda: run_table(table(), 0, None), "--seeds: 0 must be at least 1"),
    ):
        with pytest.raises((ConfigError, DataError)) as error:
            call()
        assert text in str(error.value)
        assert "\n" not in str(error.value)


def test_reports_are_written_where_asked(tmp_path: Path) -> None:
    write_report({"table": "enmf-ml1m", "rows": []}, "text\n", tmp_path / "there")
    assert (tmp_path / "there" / "enmf-ml1m.md").read_text() == "text\n"
