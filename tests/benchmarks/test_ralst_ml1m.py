"""The table of models in time: its parts, its metrics against a naive loop, its rows on made data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from benchmarks import ralst_ml1m
from benchmarks.collaborative import TIMED, TUNING, newest_parts
from benchmarks.ralst_ml1m import History, measure
from benchmarks.report import summarise
from benchmarks.table import Table, run_table
from lethe.errors import DataError
from lethe.tables.interactions import Interactions

USERS, ITEMS, EACH = 20, 100, 20


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Everybody goes around a ring of items from their own place, rows in no order."""
    users, places = np.repeat(np.arange(USERS), EACH), np.tile(np.arange(EACH), USERS)
    columns = {"user": users, "item": (5 * users + places) % ITEMS, "pos": places}
    order = np.random.default_rng(1).permutation(USERS * EACH)
    path = tmp_path / "ml-1m" / "interactions.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({name: column[order] for name, column in columns.items()}), path)
    return tmp_path


def history(data_dir: Path) -> History:
    parts = newest_parts(data_dir)
    return History(Interactions.concatenate(parts["train"], parts["valid"]), parts["test"])


def test_parts_go_by_time_within_each_user(data_dir: Path) -> None:
    parts = newest_parts(data_dir)
    for part, places in (("train", range(16)), ("valid", (16, 17)), ("test", (18, 19))):
        assert parts[part].timestamps is not None
        assert (np.sort(parts[part].timestamps) == np.repeat(list(places), USERS)).all()
    assert [len(part) for part in TUNING[TIMED].parts(data_dir, TIMED)] == [16 * USERS, 2 * USERS]


def test_no_data_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^--data-dir: .* is not there"):
        newest_parts(tmp_path)


@pytest.mark.parametrize("scaled", [False, True])
def test_metrics_are_those_of_a_naive_loop(data_dir: Path, scaled: bool) -> None:
    data = history(data_dir)
    table = np.random.default_rng(3).integers(0, 40, (USERS, len(data.catalogue.items))).astype(np.float32) / 40
    metrics, _ = measure(lambda users: table[users], data, scaled=scaled)
    gains, own, stretched = ([] for _ in range(3))
    known = data.catalogue.encode(data.known).csr().toarray()
    for user in range(USERS):
        mine = []
        for row in np.flatnonzero(data.cells.users == user):
            item, drawn = data.cells.items[row], data.drawn[row]
            assert len(drawn) == 99
            assert not known[user, drawn].any()
            assert not np.isin(drawn, data.cells.items[data.cells.users == user]).any()
            order = sorted([item, *drawn], key=lambda v: (-table[user, v], v))
            mine.append(1 / np.log2(order.index(item) + 2) if order.index(item) < 10 else 0.0)
            low, high = table[user].min(), table[user].max()
            for errors, scale in ((own, (0, 1) if scaled else (low, high)), (stretched, (low, high))):
                for v, y in ((item, 1), (drawn[0], 0)):
                    errors.append(((table[user, v] - scale[0]) / (scale[1] - scale[0]) - y) ** 2)
        gains.append(np.mean(mine))
    assert metrics["ndcg_of_100@10"] == pytest.approx(np.mean(gains))
    # Everybody here has as many test items, so the mean of users is that of cells.
    assert metrics["rmse"] == pytest.approx(np.sqrt(np.mean(own)), rel=1e-6)
    assert metrics["rmse_stretched"] == pytest.approx(np.sqrt(np.mean(stretched)), rel=1e-6)


def test_rows_learn_and_theta_is_reported(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gru = {"embedding_dim": 16, "learning_rate": 0.02, "epochs": 20, "batch_size": 8, "num_negatives": 0}
    settings = {"gru4rec": gru, "ra-lst": gru | {"long": {"epochs": 3}}, "implicit-lfm": {"epochs": 3}}
    settings["ra-lst-exact"] = gru
    settings["ra-lst-ranked"] = settings["ra-lst-exact-ranked"] = {"theta": 0.875}
    monkeypatch.setattr(ralst_ml1m, "tuned", lambda dataset, model: settings.get(model, {}))
    table = Table.load("ralst-ml1m", data_dir)
    said: list[str] = []
    results = run_table(table, 1, None, said.append)
    assert results["GRU4Rec"][0].metrics["ndcg@10"] > 2 * results["MostPop"][0].metrics["ndcg@10"]
    assert 0 < results["RA_LST"][0].metrics["theta"] < 1
    for row in ("RA_LST, θ by ranking", "RA_LST, exact long part, θ by ranking"):
        assert results[row][0].metrics["theta"] == 0.875
    assert {len(runs[0].users["ndcg@10"]) for runs in results.values()} == {USERS}
    report = summarise(table, results, "")
    fused = next(row for row in report["rows"] if row["model"] == "RA_LST")
    assert fused["metrics"]["ndcg_of_100@10"]["published"] == 0.4501
    assert fused["metrics"]["ndcg@10"]["published"] is None
    assert "theta" in said[-1]


def test_theta_is_chosen_on_validation(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ralst_ml1m, "PARAMS", tmp_path)
    monkeypatch.setattr(
        ralst_ml1m, "tuned", lambda dataset, model: {"embedding_dim": 8, "epochs": 5, "long": {"epochs": 3}}
    )
    ran = CliRunner().invoke(ralst_ml1m.app, ["theta", "--data-dir", str(data_dir)])
    assert ran.exit_code == 0, ran.output
    figures = {line.split()[1]: float(line.split()[3]) for line in ran.output.splitlines()[1:]}
    text = (tmp_path / TIMED / "ra-lst-ranked.yaml").read_text()
    assert figures[f"{yaml.safe_load(text)['theta']:.3f}"] == max(figures.values())
    assert "python -m benchmarks.ralst_ml1m" in text
