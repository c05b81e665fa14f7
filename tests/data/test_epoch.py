"""A new epoch: one command counts it up, and shards, counts and choices begin anew with the next train."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.config.tuned import tuned_models
from lethe.core.workspace import Workspace
from lethe.data.drift import read_drift
from lethe.data.epoch import begin_epoch
from lethe.data.gates.__main__ import judge
from lethe.data.partition import Assignment
from lethe.data.stages import build_data
from lethe.errors import ConfigError, ValidationError
from lethe.tables.drift import MEASURED
from lethe.tables.interactions import Interactions
from tests.conftest import taste_blocks, write_csv
from tests.house import train


def grow(workspace: Workspace, times: int) -> None:
    """The same users and ``times`` as many rows, the new ones of new users."""
    rows = taste_blocks()
    assert rows.ratings is not None
    assert rows.timestamps is not None
    more = [rows] + [
        Interactions.of(
            np.array([f"{user}-{n}" for user in rows.user_ids], dtype=object),
            rows.item_ids,
            rows.ratings,
            rows.timestamps,
        )
        for n in range(1, times)
    ]
    write_csv(Interactions.concatenate(*more), workspace.root / "ratings.csv")


def params_with(workspace: Workspace, **sharding: object) -> Params:
    values = yaml.safe_load(workspace.params.read_text())
    values["shardings"]["balanced"] = {"partition": "ubp", "num_shards": 3, "aggregator": "mean", **sharding}
    values["pipeline"]["shardings"] = ["balanced"]
    values["families"] = {"plain": {"dataset": "tiny", "candidates": [{"model": "wmf", "sharding": "balanced"}]}}
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))
    return Params.read(workspace.params)


def shards_of(workspace: Workspace) -> dict[str, int]:
    laid = Assignment.read(workspace.assignment("tiny", "balanced") / "assignment.parquet")
    return dict(zip(laid.user_ids.tolist(), laid.shards.tolist(), strict=True))


def test_the_number_is_counted_up_and_comments_stay(tiny: Workspace) -> None:
    tiny.params.write_text("# Of the shop.\n" + tiny.params.read_text())
    assert begin_epoch(tiny, None) == ("tiny", 2)
    assert begin_epoch(tiny, "tiny") == ("tiny", 3)
    assert Params.read(tiny.params).datasets["tiny"].epoch == 3
    assert tiny.params.read_text().startswith("# Of the shop.\n")
    with pytest.raises(ConfigError, match=r"^dataset: unknown 'shop'; known: tiny$"):
        begin_epoch(tiny, "shop")


def test_tuned_values_of_the_epoch_before_are_named(tiny: Workspace) -> None:
    assert tuned_models(tiny, "tiny") == []
    (tiny.root / "params" / "tiny").mkdir(parents=True)
    (tiny.root / "params" / "tiny" / "wmf.yaml").write_text("reg: 0.1\n")
    assert tuned_models(tiny, "tiny") == ["wmf"]


def test_a_source_that_grew_is_refused_until_a_new_epoch_begins(tiny: Workspace) -> None:
    params = params_with(tiny)
    build_data(tiny, params, "tiny", ["balanced"])
    judge(tiny, params, "tiny")
    before = shards_of(tiny)
    grow(tiny, 4)
    build_data(tiny, params, "tiny", ["balanced"])
    # Within the epoch nobody moves, and so many rows are no growth.
    assert {user: shards_of(tiny)[user] for user in before} == before
    with pytest.raises(
        ValidationError, match=r"between 96 and 384 rows, because the epoch began with 192 .*`lethe epoch"
    ):
        judge(tiny, params, "tiny")
    begin_epoch(tiny, None)
    params = Params.read(tiny.params)
    build_data(tiny, params, "tiny", ["balanced"])
    after = shards_of(tiny)
    assert {user: after[user] for user in before} != before
    judge(tiny, params, "tiny")
    counts = json.loads((tiny.state / "epochs" / "tiny.json").read_bytes())
    assert (counts["epoch"], counts["interactions"]) == (2, 4 * 192)
    # The new one is frozen in its turn.
    build_data(tiny, params, "tiny", ["balanced"])
    assert shards_of(tiny) == after


def test_data_are_held_against_those_that_their_epoch_began_with(tiny: Workspace) -> None:
    params = params_with(tiny)
    for stars in (None, None, 5.0):
        rows = taste_blocks()
        assert rows.ratings is not None
        write_csv(
            rows if stars is None else replace(rows, ratings=np.full(len(rows), stars)), tiny.root / "ratings.csv"
        )
        build_data(tiny, params, "tiny", ["balanced"])
        judge(tiny, params, "tiny")
        (drift,) = read_drift(tiny, ["tiny"])
        moved = {one.of: one.psi for one in drift.moved}
        assert set(moved) == set(MEASURED)
        assert (moved.pop("ratings") > 1) is (stars is not None)
        assert set(moved.values()) == {0}
        assert [one.of for one in drift.above] == ([] if stars is None else ["ratings"])
    begin_epoch(tiny, None)
    params = Params.read(tiny.params)
    build_data(tiny, params, "tiny", ["balanced"])
    judge(tiny, params, "tiny")
    (drift,) = read_drift(tiny, ["tiny"])
    assert (drift.epoch, drift.above) == (2, ())


def test_an_assignment_of_an_earlier_version_is_that_of_the_first_epoch(tiny: Workspace) -> None:
    params = params_with(tiny)
    build_data(tiny, params, "tiny", ["balanced"])
    before = shards_of(tiny)
    path = tiny.assignment("tiny", "balanced") / "epoch.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "epoch"}))
    grow(tiny, 2)
    build_data(tiny, params, "tiny", ["balanced"])
    assert {user: shards_of(tiny)[user] for user in before} == before


def test_the_winner_of_a_new_epoch_is_promoted_whatever_was_served(tiny: Workspace) -> None:
    params_with(tiny)
    train(tiny)
    begin_epoch(tiny, None)
    train(tiny)
    current = Registry(tiny).current("plain")
    assert current is not None
    assert current.reason.startswith("first of epoch 2, ")
    assert current.recipe.epoch == 2
