"""Awkward data and requests: each is handled, or refused in one line before anything is half done."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.build.builder import Builder
from lethe.build.recipes import candidate_recipe, recipes
from lethe.config.params import Candidate, Params
from lethe.config.sharding import Sharding
from lethe.core.workspace import Workspace
from lethe.data.gates.report import require
from lethe.data.gates.suites import validate_shards
from lethe.data.stages import build_data
from lethe.errors import ConfigError, DataError, ValidationError
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.plan import Served, plan
from lethe.forgetting.run import suppress
from lethe.learning.ensemble import Ensemble
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace, taste_blocks
from tests.test_laws import build, without


def rows_of(*pairs: tuple[str, str]) -> Interactions:
    users, items = (np.array([pair[n] for pair in pairs], dtype=object) for n in (0, 1))
    return Interactions.of(users, items, np.full(len(pairs), 3.0), np.arange(len(pairs)) + 1_000)


def laid(workspace: Workspace, sharding: str, **layout: object) -> Workspace:
    params = yaml.safe_load(workspace.params.read_text())
    params["shardings"][sharding] = layout
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return workspace


def holders(workspace: Workspace, sharding: str) -> dict[str, list[str]]:
    tables = sorted(workspace.shards("tiny", sharding).glob("*.parquet"))
    return {path.stem: sorted(set(Interactions.read(path).user_ids)) for path in tables}


# --- shards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partition", ["ubp", "graph-lpa", "graph-bekm"])
def test_more_shards_than_users_are_refused_where_users_are_laid_by_what_they_like(partition: str, tmp_path: Path):
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    laid(workspace, "many", partition=partition, num_shards=30, aggregator="mean")
    with pytest.raises(ConfigError, match=r"num_shards: 30 must not be more than the 24 users of the training rows"):
        build_data(workspace, Params.read(workspace.params), "tiny", ["many"])
    assert not workspace.assignment("tiny", "many").exists(), "nothing is half done"
    assert not workspace.shards("tiny", "many").exists()


def test_more_shards_than_users_under_a_hash_build_and_the_gate_says_so(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    laid(workspace, "many", partition="user-hash", num_shards=30, aggregator="mean")
    made = build(workspace, "wmf", "many")
    held = holders(workspace, "many")
    assert {name for name in made if name.startswith("sub-model/")} == {
        f"sub-model/{n}" for n, who in held.items() if who
    }
    shards = [Interactions.read(path) for path in sorted(workspace.shards("tiny", "many").glob("*.parquet"))]
    train = Interactions.read(workspace.split("tiny", "train"))
    layout = Params.read(workspace.params).shardings["many"]
    with pytest.raises(ValidationError, match="be at least 1: rows of each shard"):
        require(validate_shards(shards, train, layout))


def test_a_cap_that_cannot_hold_the_rows_is_refused(tmp_path: Path) -> None:
    pairs = [("user-1", f"item-{i:02d}") for i in range(40)] + [(f"user-{u}", "item-00") for u in range(2, 6)]
    workspace = make_workspace(tmp_path / "w", rows_of(*pairs))
    laid(workspace, "tight", partition="ubp", num_shards=2, aggregator="mean", slack=1.0)
    with pytest.raises(ConfigError, match=r"slack: 2 shards of at most \d+ interactions can't hold users of up to \d+"):
        build_data(workspace, Params.read(workspace.params), "tiny", ["tight"])
    values = {"partition": "ubp", "num_shards": 2, "aggregator": "mean", "slack": 0.5}
    with pytest.raises(ConfigError, match=r"shardings.x.slack: 0.5 Input should be greater than or equal to 1"):
        Sharding.parse(values, "shardings.x")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"partition": "psychic"}, "shardings.x.partition: 'psychic' must be one of whole, user-hash, "),
        ({"aggregator": "vote"}, "shardings.x.aggregator: 'vote' must be one of identity, mean, "),
        ({"slices": 0}, "shardings.x.slices: 0 Input should be greater than or equal to 1"),
    ],
)
def test_an_unknown_strategy_is_refused_with_the_known_ones_before_any_is_trained(
    changed: dict[str, object], words: str, tmp_path: Path
) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    laid(workspace, "x", **{"partition": "user-hash", "num_shards": 2, "aggregator": "mean"} | changed)
    with pytest.raises(ConfigError, match=words):
        recipes(workspace, Params.read(workspace.params), "sharded")


@pytest.mark.parametrize(
    ("model", "aggregator", "words"),
    [
        ("mostpop", "attention", "attention is for sub-models of models with two towers, not of mostpop"),
        ("mostpop", "stacked", "stacked is for sub-models of models with two towers, not of mostpop"),
        ("wmf", "ease", "ease is for sub-models of cooccurrence alone, not of wmf"),
    ],
)
def test_sub_models_that_cannot_be_combined_are_refused_before_any_is_trained(
    model: str, aggregator: str, words: str, tmp_path: Path
) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    laid(workspace, "x", partition="user-hash", num_shards=2, aggregator=aggregator)
    params, candidate = Params.read(workspace.params), Candidate(model=model, sharding="x")
    with pytest.raises(ConfigError, match=words):
        candidate_recipe(workspace, params, "tiny", candidate)


# --- requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharding", ["user-hash-3", "mean-3"])
def test_the_last_users_of_a_shard_leave_and_nothing_is_left_of_it(sharding: str, tmp_path: Path) -> None:
    rows = taste_blocks(users=9)
    workspace = make_workspace(tmp_path / "w", rows)
    build(workspace, "wmf", sharding)
    emptied, gone = min(holders(workspace, sharding).items(), key=lambda held: len(held[1]))
    assert gone
    suppress(workspace, "tiny", [(user, ()) for user in gone])
    after = build(workspace, "wmf", sharding)
    assert f"sub-model/{emptied}" not in after
    assert after == build(make_workspace(tmp_path / "never", without(rows, *gone)), "wmf", sharding)


def test_an_item_left_without_interactions_is_no_longer_known(tmp_path: Path) -> None:
    rows = taste_blocks()
    alone = rows_of(("user-004", "item-only-his"), ("user-004", "item-his-too"), ("user-004", "item-his-three"))
    workspace = make_workspace(tmp_path / "w", Interactions.concatenate(rows, alone))
    build(workspace, "wmf", "user-hash-3")
    suppress(workspace, "tiny", [("user-004", tuple(alone.item_ids))])
    after = build(workspace, "wmf", "user-hash-3")
    assert after == build(make_workspace(tmp_path / "never", rows), "wmf", "user-hash-3")
    params, candidate = Params.read(workspace.params), Candidate(model="wmf", sharding="user-hash-3")
    builder = Builder(workspace, candidate_recipe(workspace, params, "tiny", candidate))
    sub_models = {name: builder.sub_model(name).key for name in builder.shard_names()}
    known = Ensemble.load(builder.ensemble(sub_models).path).catalogue.items
    assert (known.encode(alone.item_ids) == -1).all()


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_user_who_is_in_no_training_row_touches_no_shard_and_is_forgotten_all_the_same(
    part: str, tmp_path: Path
) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks(users=40))
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", ["user-hash-3"])
    whole = Interactions.read(workspace.interactions("tiny"))
    held = Interactions.read(workspace.split("tiny", part))
    user = held.user_ids[0]
    mine = (whole.user_ids != user) | np.isin(whole.item_ids, held.item_ids[held.user_ids == user])
    rows = whole.take(mine)
    workspace = make_workspace(tmp_path / "few", rows)
    before = build(workspace, "wmf", "user-hash-3", "train")
    candidate = Candidate(model="wmf", sharding="user-hash-3")
    recipe = candidate_recipe(workspace, params, "tiny", candidate)
    request = ForgetRequest.new("tiny", user, now=datetime.now(UTC), datasets=["tiny"])
    (family,) = plan(workspace, [request], [Served("family", recipe)]).families
    assert (family.touched, family.rows) == ((), 0)
    (served,) = plan(workspace, [request], [Served("family", recipe.of("all"))]).families
    assert (len(served.touched), served.rows) == (1, int((rows.user_ids == user).sum()))
    suppress(workspace, "tiny", [(user, ())])
    after = build(workspace, "wmf", "user-hash-3", "train")
    assert after == build(make_workspace(tmp_path / "never", without(rows, user)), "wmf", "user-hash-3", "train")
    same = {name for name in before if before[name] == after.get(name)}
    assert {name for name in before if name.startswith("sub-model/")} <= same
    assert f"data/tiny/split/{part}.parquet" not in same


def test_forgetting_everybody_is_refused_and_the_old_data_stand(tmp_path: Path) -> None:
    rows = taste_blocks(users=3)
    workspace = make_workspace(tmp_path / "w", rows)
    build(workspace, "wmf", "whole")
    before = workspace.interactions("tiny").read_bytes()
    suppress(workspace, "tiny", [(user, ()) for user in np.unique(rows.user_ids)])
    with pytest.raises(DataError, match="dataset tiny: no interactions are left to learn from, at least 1 is needed"):
        build(workspace, "wmf", "whole")
    assert workspace.interactions("tiny").read_bytes() == before
