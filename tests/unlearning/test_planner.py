"""What the plan says: the shards that hold the subjects, and the guarantee of each partition."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from lethe.config import Sharding
from lethe.data.interactions import Interactions
from lethe.unlearning.planner import Served, guarantee, plan, residues
from lethe.unlearning.requests import ForgetRequest
from lethe.workspace import Workspace

HASHED = Sharding(partition="user-hash", num_shards=3, aggregator="mean")
WHOLE = Sharding(partition="whole", num_shards=1, aggregator="identity")


def new(user, items=(), dataset="ml", day=1):
    now = datetime(2026, 1, day, tzinfo=UTC)
    return ForgetRequest.new(dataset, user, items, now=now, datasets=["ml", "other"])


@pytest.fixture
def workspace(tmp_path):
    found = Workspace(tmp_path)
    for name, rows in {"00": [(1, 7), (1, 8), (4, 7)], "01": [], "02": [(11, 7), (1, 9)]}.items():
        users, items = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
        Interactions.of(users, items).write(found.shards("ml", "hash-3") / f"{name}.parquet")
    return found


def test_exactly_the_shards_that_hold_a_subject_are_touched_and_each_row_is_counted_once(workspace):
    served = [Served("sharded", "ml", "hash-3", HASHED), Served("elsewhere", "other", "hash-3", HASHED)]
    made = plan(workspace, [new("1", ["7"], day=5), new("1", day=3), new("2")], served)
    (family,) = made.families
    assert (family.shards, family.touched, family.rows) == (("00", "01", "02"), ("00", "02"), 3)
    assert plan(workspace, [new("11")], served).families[0].touched == ("02",)
    assert plan(workspace, [new("2")], served).families[0].touched == ()
    assert made.due == datetime(2026, 1, 31, tzinfo=UTC), "the earliest"
    assert plan(workspace, [], served).due is None


def test_the_plan_as_json_names_nobody(workspace):
    text = json.dumps(plan(workspace, [new("777777", ["888888"])], [Served("f", "ml", "hash-3", HASHED)]).to_json())
    assert "777777" not in text
    assert "888888" not in text
    assert "shards_touched" in text


@pytest.mark.parametrize("partition", ["whole", "user-hash", "interaction-hash", "ubp", "ibp", "inbp"])
def test_only_a_partition_that_looks_at_no_other_rows_is_unconditional(partition):
    layout = WHOLE if partition == "whole" else Sharding(partition=partition, num_shards=4, aggregator="attention")
    keyed = partition in ("whole", "user-hash", "interaction-hash")
    assert guarantee(layout).startswith("unconditional" if keyed else "given the frozen assignment")
    assert len(residues(layout)) == (1 if keyed else 2)
    assert all("ends when" in residue for residue in residues(layout))
