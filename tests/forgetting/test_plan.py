"""What the plan says: the shards that hold the subjects, and the guarantee of each partition."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from lethe.build.costs import Cost, Costs, aggregating, expected_seconds, training
from lethe.build.recipe import Recipe
from lethe.config.params import Params
from lethe.config.promise import EQUAL, WITH_ASSIGNMENT
from lethe.config.sharding import Sharding
from lethe.core.workspace import Workspace
from lethe.data.partition.guarantee import guarantee, residues
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.plan import Served, plan
from lethe.forgetting.touched import Predicted
from lethe.learning.slices import slice_config
from lethe.models import configure
from lethe.tables.columns import to_arrow, write_parquet
from lethe.tables.interactions import Interactions

HASHED = Sharding(partition="user-hash", num_shards=3, aggregator="mean")
WHOLE = Sharding(partition="whole", num_shards=1, aggregator="identity")
WMF = configure("wmf", {}).plain()


def recipe(layout=HASHED, sharding="hash-3", dataset="ml"):
    return Recipe(
        dataset=dataset,
        model="wmf",
        config=WMF,
        sharding=sharding,
        layout=layout,
        aggregator={},
        seed=1,
    )


def new(user, items=(), dataset="ml", day=1):
    now = datetime(2026, 1, day, tzinfo=UTC)
    return ForgetRequest.new(dataset, user, items, now=now, datasets=["ml", "other"])


def params_of(**shardings):
    values = {
        "pipeline": {"datasets": ["ml"], "shardings": list(shardings)},
        "datasets": {"ml": {"source": {"kind": "synthetic"}}},
        "shardings": {name: layout.plain() for name, layout in shardings.items()},
        "families": {"f": {"dataset": "ml", "candidates": [{"model": "wmf", "sharding": "hash-3"}]}},
    }
    return Params.parse(values, "params")


@pytest.fixture
def workspace(tmp_path):
    found = Workspace(tmp_path)
    for name, rows in {"00": [(1, 7), (1, 8), (4, 7)], "01": [], "02": [(11, 7), (1, 9)]}.items():
        users, items = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
        Interactions.of(users, items).write(found.shards("ml", "hash-3") / f"{name}.parquet")
    return found


def test_exactly_the_shards_that_hold_a_subject_are_touched_and_each_row_is_counted_once(workspace):
    served = [Served("sharded", recipe()), Served("elsewhere", recipe(dataset="other"))]
    made = plan(workspace, [new("1", ["7"], day=5), new("1", day=3), new("2")], served)
    (family,) = made.families
    assert (tuple(family.shards), family.touched, family.rows) == (("00", "01", "02"), ("00", "02"), 3)
    assert plan(workspace, [new("11")], served).families[0].touched == ("02",)
    assert plan(workspace, [new("2")], served).families[0].touched == ()
    assert made.due == datetime(2026, 1, 31, tzinfo=UTC), "the earliest"
    assert plan(workspace, [], served).due is None


def test_the_plan_as_json_names_nobody(workspace):
    made = plan(workspace, [new("777777", ["888888"])], [Served("f", recipe())], params=params_of(**{"hash-3": HASHED}))
    text = json.dumps(made.to_json()) + str(made.lines())
    assert "777777" not in text
    assert "888888" not in text
    assert "shards_touched" in text


@pytest.mark.parametrize("partition", ["whole", "user-hash", "interaction-hash", "ubp", "ibp", "inbp"])
def test_only_a_partition_that_looks_at_no_other_rows_is_without_an_assignment(partition):
    layout = WHOLE if partition == "whole" else Sharding(partition=partition, num_shards=4, aggregator="attention")
    keyed = partition in ("whole", "user-hash", "interaction-hash")
    assert guarantee(layout) == (EQUAL if keyed else EQUAL + WITH_ASSIGNMENT)
    assert len(residues(layout)) == (1 if keyed else 2)
    assert all(residue.until for residue in residues(layout))


# --- what it will cost -------------------------------------------------------------------------------------------


def records(*costs):
    return Costs(tuple(Cost(*cost, made=float(n)) for n, cost in enumerate(costs)))


def test_a_prediction_is_the_median_cost_of_a_row_and_its_error_is_shown():
    known = records(("a", 100, 1.0), ("a", 200, 2.0), ("a", 10, 9.0), ("b", 5, 1.0))
    assert known.seconds("a", 50) == pytest.approx(0.5)
    assert known.seconds("c", 50) is None
    assert records(("a", 100, 1.0), ("a", 200, 2.0)).error("a") == pytest.approx(0)
    # Of two records each is predicted from the other: 2 s for 1 s and 1 s for 2 s.
    assert records(("a", 100, 1.0), ("a", 100, 2.0)).error("a") == pytest.approx((1.0 + 0.5) / 2)
    assert known.error("b") is None
    # The first run compiled something: it says nothing of the others, nor of how well they are predicted.
    assert records(("a", 10, 60.0), *(("a", 10, 1.0 + n / 10) for n in range(6))).error("a") < 0.3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "2.0 s"),
        (0.25, "2.0 s (± 25%)"),
        (51.9, "2.0 s (a rough guess: earlier trainings differed more than that)"),
    ],
)
def test_a_prediction_says_how_sure_it_is_in_words_that_mean_something(error, words):
    assert str(Predicted({"sub-models": 2.0}, error)) == words


def test_the_touched_shards_trainings_are_predicted_and_other_shardings_compared(workspace):
    rows = [(1, 7), (1, 8), (1, 9), (4, 7), (11, 7)]
    users, items = (np.array([row[i] for row in rows]) for i in (0, 1))
    Interactions.of(users, items).write(workspace.shards("ml", "whole") / "00.parquet")
    costs = records(
        (training("wmf", WMF), 10, 1.0),
        (aggregating("mean", {}), 10, 2.0),
        ("evaluation", 10, 3.0),  # Nothing is measured before a request is fulfilled.
        ("package", 10, 4.0),
    )
    params = params_of(whole=WHOLE, **{"hash-3": HASHED, "not-built": HASHED})
    made = plan(workspace, [new("1")], [Served("f", recipe())], costs=costs, params=params)
    (family,) = made.families
    # Shard 00 keeps one row of three, shard 02 one of two, and two rows are left in all.
    parts = {"sub-models": 0.2, "aggregator": 0.4, "package": 0.8}
    assert family.predicted.parts == pytest.approx(parts)
    assert family.predicted.seconds == pytest.approx(1.4)
    (whole,) = family.alternatives
    assert whole.sharding == "whole"
    assert whole.predicted.parts["sub-models"] == pytest.approx(0.2)
    assert whole.predicted.seconds is None, "nobody has seen the identity work"
    assert "no record yet of aggregator" in "\n".join(made.lines())
    assert made.begin_by(timedelta(hours=1)) == made.due - timedelta(hours=1, seconds=2.8)


def test_an_emptied_shard_costs_no_training(workspace):
    costs = records((training("wmf", WMF), 10, 1.0))
    (family,) = plan(workspace, [new("1"), new("4")], [Served("f", recipe())], costs=costs).families
    assert family.shards["00"].trainings == ()
    assert family.predicted.parts["sub-models"] == pytest.approx(0.1), "what is left of shard 02"


@pytest.fixture
def sliced(workspace):
    """Two shards of three slices; user u has u + 1 rows, and lies in shard u % 2, slice u // 2."""
    for shard in (0, 1):
        users = np.concatenate([np.full(u + 1, u) for u in (shard, shard + 2, shard + 4)])
        rows = Interactions.of(users, np.arange(len(users)))
        columns = {name: to_arrow(column) for name, column in rows.columns()}
        path = workspace.shards("ml", "sliced") / f"0{shard}.parquet"
        write_parquet(pa.table({**columns, "slice": rows.user_ids // 2}), path)
    return workspace


SLICED = Sharding(partition="user-hash", num_shards=2, aggregator="mean", slices=3)


def test_a_sliced_shard_is_learnt_again_from_the_touched_slice_on(sliced):
    (family,) = plan(sliced, [new("2")], [Served("f", recipe(SLICED, "sliced"))]).families
    # Users 0, 2, 4 with 1, 3, 5 rows: without user 2 slices 0 and 1 hold one row, all three six.
    assert family.shards["00"].trainings == (1, 6)
    assert family.shards["01"].trainings == ()
    (family,) = plan(sliced, [new("4"), new("5")], [Served("f", recipe(SLICED, "sliced"))]).families
    assert [family.shards[name].trainings for name in ("00", "01")] == [(4,), (6,)]


def test_expected_seconds_are_the_mean_over_all_ways_to_draw_the_users(sliced):
    stage = slice_config(configure("wmf", {}), 3, "wmf").plain()
    costs = records((training("wmf", stage), 1, 1.0), (aggregating("mean", {}), 21, 5.0), ("evaluation", 21, 7.0))
    held = {user: user + 1 for user in range(6)}
    totals = []
    for drawn in itertools.product(range(6), repeat=2):
        total = 5.0
        for shard in (0, 1):
            first = min((user // 2 for user in drawn if user % 2 == shard), default=3)
            for last in range(first, 3):
                total += sum(held[user] for user in held if user % 2 == shard and user // 2 <= last)
        totals.append(total)
    assert expected_seconds(sliced, recipe(SLICED, "sliced"), 2, costs) == pytest.approx(np.mean(totals))
    assert expected_seconds(sliced, recipe(SLICED, "sliced"), 2, Costs()) is None
