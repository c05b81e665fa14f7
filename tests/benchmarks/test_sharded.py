"""Rows of the unlearning tables on small made data: built by the product, re-used, tuned, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    activity_groups,
    aggregators,
    forget_cost,
    num_shards,
    partition_scale,
    partitions,
    receraser_ml1m,
    receraser_time,
    sharded,
)
from benchmarks.collaborative import Split
from benchmarks.report import draw, markdown, summarise
from benchmarks.sharded import Kind, sharded_row, tune, values
from benchmarks.table import Table
from lethe.tables.interactions import Interactions
from tests.conftest import taste_blocks


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    """Two blocks of taste; nothing tuned, and rooms of its own."""
    rows = taste_blocks(users=60, items=60)
    users, items = (np.unique(ids, return_inverse=True)[1] for ids in (rows.user_ids, rows.item_ids))
    # Some users are far more active than others.
    kept = np.random.default_rng(2).random(len(users)) < 0.4 + 0.6 * (users / 60)
    whole = Interactions.of(users[kept], items[kept])
    test = np.arange(len(whole)) % 4 == 0
    monkeypatch.setattr(sharded, "ROOMS", tmp_path / "rooms")
    monkeypatch.setattr(
        sharded, "tuned", lambda dataset, name: {"sweeps": 2, "embedding_dim": 8} if name == "wmf" else {}
    )
    return Split("ml-1m-receraser", whole.take(~test), whole.take(test))


def test_the_tables_have_the_papers_figures_and_the_issues_rows(tmp_path: Path) -> None:
    assert receraser_ml1m.PUBLISHED["WMF RecEraser"]["recall@20"] == 0.2254
    assert receraser_ml1m.PUBLISHED["LightGCN GraphEraser"]["ndcg@10"] is None
    assert {receraser_ml1m.kind("WMF", method).partition for method in ("SISA", "RecEraser")} == {
        "interaction-hash",
        "ubp",
    }
    assert set(partitions.PARTITIONS.values()) >= {"interaction-hash", "ubp", "ibp", "inbp", "user-hash", "graph-lpa"}
    assert {5, 10, 50} <= set(num_shards.COUNTS)
    assert "attention" in aggregators.AGGREGATORS
    assert set(forget_cost.MEASURED) == {1, 10, 100}
    assert receraser_time.TIMES_RETRAIN.keys() == receraser_ml1m.MODELS.keys()
    assert {receraser_ml1m.kind("BPR", method).aggregator for method in receraser_time.METHODS} == {
        "attention",
        "refit",
    }


def test_ease_by_counts_is_ease_and_a_partition_is_measured(split: Split) -> None:
    whole = sharded_row("EASE", split, Kind("ease")).run(1)
    counts = sharded_row("EASE by counts", split, Kind("cooccurrence", "user-hash", "ease", 3)).run(1)
    assert counts.metrics["recall@10"] == whole.metrics["recall@10"] > 0.1
    assert counts.metrics["shards/user"] == 1
    by_row = sharded_row("random", split, Kind("wmf", "interaction-hash", "mean", 3)).run(1)
    assert 1 < by_row.metrics["shards/user"] <= 3
    assert set(by_row.times) == {"sub-models", "one shard", "aggregator"}
    np.testing.assert_allclose(by_row.users["recall@10"].mean(), by_row.metrics["recall@10"])


def test_settings_name_what_decides_a_row(split: Split) -> None:
    def settings(**options: Any) -> dict[str, Any]:
        return sharded_row("x", split, Kind("wmf", "user-hash", "mean", **options)).settings

    assert settings() == settings()
    assert settings(num_shards=4) != settings()
    assert settings(slices=2) != settings()


def test_a_walk_finds_the_best_of_what_it_tries(split: Split) -> None:
    lines: list[str] = []
    kind = Kind("wmf", "user-hash", "mean", 3)
    grid = {"model.dropout": (0.1, 0.9), "model.negative_weight": (0.05, 1.0)}
    chosen, value, first, tried = tune(split, split.test, kind, grid, lines.append)
    found = [float(line.split()[0]) for line in lines]
    assert len(found) == tried == 5
    assert value == pytest.approx(max(found), abs=1e-5)
    assert first == pytest.approx(found[0], abs=1e-5)
    assert chosen["aggregator"] == values(split, kind)["aggregator"]


def test_a_deletion_costs_the_shards_it_touches(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forget_cost, "REQUESTS", 6)
    kind = Kind("wmf", "user-hash", "stacked", 4)
    row = forget_cost.cost_row(
        "x", split, kind, "users", 1, lambda alone, seed: forget_cost.retrain(split, alone, seed)
    )
    result = row.run(1)
    assert result.metrics["shards touched"] == 1
    assert result.times["sub-models"] > 0
    assert 0 < result.metrics["Retrain's recall@20"] <= 1
    alone = forget_cost.Whole(1.0, 0.5)
    together = forget_cost.cost_row("x", split, kind, "interactions", 10, lambda *_: alone).run(1)
    assert together.metrics["Retrain's recall@20"] == 0.5
    shards = forget_cost._shards(sharded.room(split, kind, 1), kind)
    gone = forget_cost.drawn(split.train, "interactions")
    held = {name for name, rows in shards.items() for pair in gone
            if pair in set(zip(rows.user_ids.tolist(), rows.item_ids.tolist(), strict=True))}  # fmt: skip
    assert together.metrics["shards touched"] == len(held)


def test_groups_are_quarters_of_the_users_who_stay(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity_groups, "LEAVING", 0.4)
    kind = Kind("wmf", "user-hash", "stacked", 3)
    before, after = (activity_groups._row("x", split, kind, after=after).run(1) for after in (False, True))
    for result in (before, after):
        quarters = [result.metrics[name] for name in activity_groups.GROUPS]
        assert min(quarters) <= result.metrics["recall@20"] <= max(quarters)
    assert before.metrics != after.metrics


@pytest.mark.parametrize("module", [partitions, aggregators, num_shards, activity_groups])
def test_a_plot_has_the_same_bytes_for_the_same_report(module: Any, split: Split, tmp_path: Path) -> None:
    rows = [
        sharded_row("Retrain", split, Kind("wmf")),
        sharded_row("UBP, stacked", split, Kind("wmf", "ubp", "stacked", 3)),
    ]
    table = Table("partitions", "A protocol.", module.PUBLISHED, rows, module.plot)
    report = summarise(table, {row.model: [row.run(1)] for row in rows}, "a command")
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        draw(report, module.plot, tmp_path / place)
    one, two = ((tmp_path / place / "partitions.svg").read_bytes() for place in ("one", "two"))
    assert one == two
    assert b"Retrain" in one or module is activity_groups
    assert "| UBP, stacked | 1 |" in markdown(report, module.PUBLISHED)


def test_made_rows_are_distinct_and_as_many_as_asked() -> None:
    rows = partition_scale.made_rows(5_000)
    assert len(rows) == len(set(zip(rows.user_ids, rows.item_ids, strict=True))) == 5_000
    np.testing.assert_array_equal(partition_scale.made_rows(5_000).item_ids, rows.item_ids)
