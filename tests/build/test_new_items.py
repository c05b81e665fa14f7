"""New items from params.yaml to the package, and the laws with them: what nobody has any more is new again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.build.builder import Builder
from lethe.build.measuring import measure
from lethe.build.recipes import candidate_recipe
from lethe.config.measures import Measures
from lethe.config.params import Candidate, Params
from lethe.core.workspace import Workspace
from lethe.data.gates.side import validate_shard_side
from lethe.data.stages import build_data
from lethe.forgetting.run import suppress
from lethe.learning.ensemble import Ensemble
from lethe.serving.package import Package
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables
from tests.conftest import make_workspace, taste_blocks
from tests.side import features, without_user
from tests.test_laws import build

GONE, ONLY_THEIRS, NOBODYS = "user-004", "item-097", "item-098"


def taken() -> Interactions:
    """Two blocks of taste, and an item that one user alone has."""
    rows = taste_blocks()
    more = Interactions.of(*(np.array([value], dtype=object) for value in (GONE, ONLY_THEIRS)), [4], [1])
    return Interactions.concatenate(rows, more)


def workspace(folder: Path, rows: Interactions, model: str, new_items: bool = True) -> Workspace:
    items = np.array([*np.unique(taste_blocks().item_ids), ONLY_THEIRS, NOBODYS], dtype=object)
    users = np.unique(taste_blocks().user_ids)
    tables = SideTables({"user_features": features("user", users), "item_features": features("item", items)})
    if GONE not in rows.user_ids:
        tables = without_user(tables, GONE)
    made = make_workspace(folder, rows, (model,), tables)
    params = yaml.safe_load(made.params.read_text())
    params["datasets"]["tiny"]["side"]["item_features"]["new_items"] = new_items
    params["shardings"]["sliced"] = {"partition": "user-hash", "num_shards": 2, "aggregator": "mean", "slices": 2}
    params["models"]["ensfm"] = {"epochs": 4, "embedding_dim": 4}
    made.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return made


def packaged(made: Workspace, model: str, sharding: str) -> Package:
    """What ``build`` left, found again by its key."""
    params = Params.read(made.params)
    recipe = candidate_recipe(made, params, "tiny", Candidate(model=model, sharding=sharding)).of("all")
    builder = Builder(made, recipe)
    parts = {name: builder.sub_model(name).key for name in builder.shard_names()}
    return Package.load(builder.package(builder.ensemble(parts).key, "family", params).path)


@pytest.mark.parametrize(("model", "sharding"), [("ensfm", "whole"), ("ensfm", "mean-3"), ("fm", "sliced")])
def test_an_item_whose_last_row_was_forgotten_is_as_new_as_one_that_nobody_had(
    model: str, sharding: str, tmp_path: Path
) -> None:
    forgetful = workspace(tmp_path / "forgetful", taken(), model)
    before = build(forgetful, model, sharding)
    served = packaged(forgetful, model, sharding)
    assert (served.is_new(ONLY_THEIRS), served.is_new(NOBODYS)) == (False, True)
    suppress(forgetful, "tiny", [(GONE, ())])
    after = build(forgetful, model, sharding)
    rows = taken()
    never = workspace(tmp_path / "never", rows.take(rows.user_ids != GONE), model)
    assert after == build(never, model, sharding)
    served = packaged(forgetful, model, sharding)
    assert served.is_new(ONLY_THEIRS)
    assert served.is_new(NOBODYS)
    changed = {name for name in before if name.startswith("sub-model/") and before[name] != after[name]}
    assert len(changed) == 1, "what is new anywhere is nothing that another shard could tell"
    everything = served.recommend("user-001", len(served.counts)).items
    assert {ONLY_THEIRS, NOBODYS} <= {raw for raw, _ in everything}
    assert np.isfinite([score for _, score in everything]).all()


def test_figures_of_a_split_are_those_without_new_items(tmp_path: Path) -> None:
    figures = []
    for new_items in (False, True):
        made = workspace(tmp_path / str(new_items), taken(), "ensfm", new_items)
        params = Params.read(made.params)
        build_data(made, params, "tiny", ["whole"])
        builder = Builder(made, candidate_recipe(made, params, "tiny", Candidate(model="ensfm", sharding="whole")))
        ensemble = Ensemble.load(builder.ensemble({"00": builder.sub_model("00").key}).path)
        assert (ensemble.catalogue.new_items is not None) is new_items
        parts = {part: builder.part(part) for part in ("train", "valid", "test")}
        measured = measure(ensemble, parts, Measures(ratings=False, metrics=("recall", "ndcg"), cutoffs=(2, 5)))
        figures.append({part: (each.means, each.quality.plain()) for part, each in measured.items()})
    assert figures[0] == figures[1]


def test_the_gate_knows_what_lies_beside_a_shard(tmp_path: Path) -> None:
    made = workspace(tmp_path / "made", taken(), "ensfm")
    build_data(made, Params.read(made.params), "tiny", ["mean-3"])
    whole = SideTables.read(made.side("tiny"))
    assert NOBODYS in whole.tables["items"]["item"]
    for path in sorted(made.shards("tiny", "mean-3").glob("*.parquet")):
        rows, own = Interactions.read(path), SideTables.read(made.shard_side("tiny", "mean-3", path.stem))
        assert {NOBODYS, ONLY_THEIRS} <= set(own.tables["item_features"]["item"])
        assert validate_shard_side([path], made.side("tiny"), name="side").success
        whole.of_rows(rows).write(made.shard_side("tiny", "mean-3", path.stem))
        assert not validate_shard_side([path], made.side("tiny"), name="side").success
