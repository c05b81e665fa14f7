"""The figures of the sources on small made data: what is declared, trained, watched, resumed, drawn and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from benchmarks import figure_data, figures, readme, statistics_of_data
from benchmarks.__main__ import app
from benchmarks.claims import Figures
from benchmarks.collaborative import Split
from benchmarks.commands import accuracy, common
from benchmarks.coverage import Coverage
from benchmarks.figure_report import cell, markdown
from benchmarks.figures import Figure, configured, read_figures
from benchmarks.watching import watch
from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model
from lethe.tables.interactions import Interactions
from tests.conftest import taste_blocks
from tests.contract import checkerboard

RESULTS = common.RESULTS / figures.FOLDER
TINY: dict[str, dict[str, Any]] = {
    "curve": {"every": 2, "lines": {"ENMF": {"model": "enmf-u", "set": {"epochs": 4}}}, "seeds": 2},
    "sweep": {"over": "embedding_dim", "axis": "d", "values": [2, 4], "lines": {"WMF": {"model": "wmf"}}},
    "groups": {"groups": [1, 6, 8], "lines": {"WMF": {"model": "wmf"}, "popular": {"model": "mostpop"}}},
    "bars": {"lines": {"WMF": {"model": "wmf"}, "original": {"model": "enmf-u", "loss": "full square loss"}}},
    "shards": {
        "over": "partition",
        "values": ["user-hash", "interaction-hash"],
        "lines": {"WMF": {"model": "wmf", "partition": "ubp", "aggregator": "mean", "num_shards": 2}},
        "metrics": ["recall@20", "one shard"],
    },
}


def blocks() -> Split:
    rows = taste_blocks(users=30, items=24)
    users, items = (np.unique(ids, return_inverse=True)[1] for ids in (rows.user_ids, rows.item_ids))
    test = np.arange(len(users)) % 4 == 0
    return Split("made", Interactions.of(users[~test], items[~test]), Interactions.of(users[test], items[test]))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command's own folders, elsewhere; a file of small figures, data of its own, models with few epochs."""
    for name in ("WORK", "RESULTS", "REPORTS"):
        for module in (accuracy, common):
            monkeypatch.setattr(module, name, tmp_path / name.lower())
    shared = {"what": "Fig. 1: what", "source": "3", "data": "made", "metrics": ["recall@5"]}
    declared = {name: shared | values for name, values in TINY.items()}
    (tmp_path / "figures.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    monkeypatch.setattr(figures, "FILE", tmp_path / "figures.yaml")
    monkeypatch.setitem(figure_data.SETS, "made", lambda folder: figure_data.of_split(blocks(), "a made split"))
    monkeypatch.setattr("benchmarks.sharded.ROOMS", tmp_path / "rooms")
    few = {"wmf": {"sweeps": 2, "embedding_dim": 4}, "enmf-u": {"epochs": 2, "embedding_dim": 4}}
    monkeypatch.setattr(figures, "tuned", lambda dataset, model: few.get(model, {}))
    yield tmp_path
    figure_data._read.cache_clear()


def make(*options: str) -> None:
    done = CliRunner().invoke(app, ["figures", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def report(room: Path, name: str) -> dict[str, Any]:
    return json.loads((room / "reports" / "figures" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_declared_line_can_be_configured_and_no_other_point_is_left_out() -> None:
    for name, figure in read_figures().items():
        assert figure.data in figure_data.SETS, name
        swept = () if figure.over in figures.SHARDING else figure.values
        made = [configured(figure, line, x) for line in figure.lines.values() for x in swept or (None,)]
        assert made.count(None) == (3 if name.endswith("-weights") else 0), name


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"every": 2, "groups": [1]}, "one of them, or none"),
        ({"over": "dropout"}, "'over' goes with 'values'"),
        ({"lines": {"A": {"model": "wmff"}}}, "model 'wmff' or loss 'non-sampling' is not there"),
        ({"lines": {"A": {"model": "wmf", "dropout": 0.5}}}, "unknown key; known keys"),
    ],
)
def test_a_figure_is_of_one_kind(values: dict[str, Any], rule: str) -> None:
    whole = {"what": "w", "source": "3", "data": "made", "metrics": ["hr@5"], "lines": {"A": {"model": "wmf"}}}
    with pytest.raises(ConfigError, match=rule):
        Figure.parse(whole | values, "figures")


def state(model: Model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("model", ["enmf-u", "lightgcn", "wmf", "implicit-lfm", "gmf"])
def test_a_watched_training_ends_in_the_same_bytes_and_shows_what_shorter_ones_end_in(model: str) -> None:
    """Up to a smaller number of epochs it is the shorter training itself, where no rate falls."""
    rows = figure_data.of_split(Split("made", checkerboard(), checkerboard()), "").data
    length = "sweeps" if model == "wmf" else "epochs"
    common = {"embedding_dim": 4} | ({"decay": "constant"} if "decay" in MODELS[model].Config.model_fields else {})

    def built(epochs: int) -> Model:
        return MODELS[model](configure(model, common | {length: epochs}), rows.shape)

    plain, shorter, watched = built(4), built(2), built(4)
    train(plain, rows, Stream(3))
    train(shorter, rows, Stream(3))
    course = watch(watched, rows, Stream(3), state, every=2)
    assert [look.epochs for look in course.looks] == [2, 4]
    assert 0 < course.looks[0].seconds < course.looks[1].seconds <= course.seconds
    for ended, expected in ((watched.state_dict(), plain), (course.looks[0].value, shorter)):
        for name, tensor in expected.state_dict().items():
            assert torch.equal(ended[name], tensor), name


def test_a_curve_has_each_epoch_and_the_whole(room: Path) -> None:
    make("--only", "curve")
    rows = {row["model"]: row for row in report(room, "curve")["rows"]}
    assert list(rows) == ["ENMF", "ENMF, epoch 2", "ENMF, epoch 4"]
    assert rows["ENMF"]["metrics"]["epochs"]["mean"] == 4
    assert rows["ENMF, epoch 4"]["metrics"] == {"recall@5": rows["ENMF"]["metrics"]["recall@5"]}
    assert rows["ENMF, epoch 2"]["seeds"] == 2
    assert rows["ENMF"]["times"]["seconds an epoch"] > 0


def test_a_sweep_is_resumed_and_its_settings_decide(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("--only", "sweep")
    first = report(room, "sweep")["rows"]
    assert [(row["model"], row["x"]) for row in first] == [("WMF, d 2", 2), ("WMF, d 4", 4)]
    assert first[0]["metrics"]["recall@5"] != first[1]["metrics"]["recall@5"]
    # Nothing is trained again; another point is.
    monkeypatch.setattr(figures, "watch", lambda *arguments: pytest.fail("trained again"))
    make("--only", "sweep")
    assert report(room, "sweep")["rows"] == first
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        make("--only", "sweep", "--seeds", "2")


def test_groups_hold_all_users_and_weigh_to_the_whole(room: Path) -> None:
    make("--only", "groups")
    rows = report(room, "groups")["rows"]
    people = len(np.unique(blocks().test.user_ids))
    for label in ("WMF", "popular"):
        whole, *parts = (row for row in rows if row["line"] == label)
        counts = [cell(part, "users")[0] for part in parts]
        assert [part["x"] for part in parts] == ["1 to 5", "6 to 7", "8 and more"]
        assert sum(counts) == people
        means = [cell(part, "recall@5")[0] for part in parts if "recall@5" in part["metrics"]]
        weighed = np.average(means, weights=[count for count in counts if count])
        assert weighed == pytest.approx(cell(whole, "recall@5")[0], abs=1e-4)


def test_all_kinds_are_written_drawn_committed_and_named_by_other_reports(room: Path) -> None:
    make("--commit")
    folder = room / "results" / "figures"
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in TINY for kind in ("json", "md", "svg")
    }
    assert "| interaction-hash |" in (folder / "shards.md").read_text()
    assert "| original | ." in (folder / "bars.md").read_text()
    known = Figures(room / "results")
    assert known.below("figures") == {f"figures/{name}" for name in TINY}
    assert known.cell("figures/shards", "WMF, user-hash", "one shard").less_is_better
    assert known.cell("figures/sweep", "WMF, d 4", "recall@5").mean > 0
    page = readme.results_page(room / "results")
    assert "### [Fig. 1: what [3]](../benchmarks/results/figures/bars.md)" in page
    assert "![Fig. 1: what [3]](../benchmarks/results/figures/curve.svg)" in page
    drawn = (folder / "sweep.svg").read_bytes()
    make("--only", "sweep")
    assert (room / "reports" / "figures" / "sweep.svg").read_bytes() == drawn
    # Of the list of what the sources have, a figure that it doesn't name is a fault.
    coverage = Coverage.parse(
        {"sources": {"3": [{"kind": "figure", "what": "Fig. 1", "results": {"figures/sweep": []}}]}}, ""
    )
    faults = coverage.faults(known)
    assert "figures/curve is named by no item" in faults
    assert "figures/sweep is named by no item" not in faults


def test_data_are_counted_over_all_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    split, aside = blocks(), Interactions.of(np.array([99, 0]), np.array([0, 98]))
    made = figure_data.of_split(split, "", aside)
    monkeypatch.setattr(statistics_of_data, "SETS", {"made": None})
    monkeypatch.setattr(statistics_of_data, "bench", lambda name, folder: made)
    monkeypatch.setattr(statistics_of_data, "PUBLISHED", {"made": {"users": 31, "items": 26}})
    (row,) = statistics_of_data.measure(Path("nowhere"))
    rows = len(split.train) + len(split.test) + 2
    assert row["counts"] == {"users": 31, "items": 25, "interactions": rows}
    _, text = statistics_of_data.report([row], "command")
    assert f"| made | 31 | 25 (26) | {rows} | {rows / 31 / 25:.2%} |" in text


def test_an_unknown_figure_is_one_line() -> None:
    done = CliRunner().invoke(app, ["figures", "--only", "moon"])
    assert isinstance(done.exception, ConfigError)
    assert "--only: unknown figure 'moon'; known figures: lfm-epochs" in str(done.exception)


def test_errors_of_ratings_are_of_held_out_rows_and_of_those_learned_from() -> None:
    rng = np.random.default_rng(4)
    users, items = np.repeat(np.arange(20), 10), np.tile(np.arange(10), 20)
    rows = Interactions.of(users, items, ratings=rng.integers(1, 6, 200).astype(np.float64))
    held = rng.random(200) < 0.2
    bench = figure_data.of_ratings("", rows.take(~held), rows.take(held))
    model = MODELS["lfm"](configure("lfm", {"epochs": 300, "reg": 0.0, "embedding_dim": 8}), bench.catalogue.shape)
    train(model, bench.data, Stream(1))
    means = bench.measure(model, ["rmse", "rmse on train", "mae on train"]).means
    assert means["rmse on train"] < 0.5 * means["rmse"]
    assert means["mae on train"] < means["rmse on train"]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_committed_figure_says_what_its_report_says(path: Path) -> None:
    made = json.loads(path.read_text(encoding="utf-8"))
    assert path.with_suffix(".md").read_text(encoding="utf-8") == markdown(made)
    assert made["table"] == path.stem
    declared = read_figures()[path.stem]
    assert list(made["lines"]) == list(declared.lines)
    assert made["metrics"] == list(declared.metrics)
