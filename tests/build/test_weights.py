"""Weights from a column of the source to the vectors, and what forgetting takes away with them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lethe.build.checks import check_params
from lethe.build.tuning import tune
from lethe.config.params import Params
from lethe.config.reading import Reading
from lethe.config.sharding import laid_in
from lethe.core.workspace import Workspace
from lethe.data.add import add
from lethe.data.stages import build_data
from lethe.errors import ConfigError, DataError
from lethe.forgetting.run import suppress
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace, taste_blocks
from tests.contract import build as build_alone
from tests.contract import checkerboard, weights
from tests.test_laws import build

GONE = "user-004"


def lines_of(rows: Interactions) -> list[tuple[str, ...]]:
    """A log of clicks: each pair once or several times, each time with how many."""
    pairs = list(zip(rows.user_ids, rows.item_ids, strict=True))
    return [
        (u, i, str(1 + (n * k) % 7), str(1_000 + n + k)) for n, (u, i) in enumerate(pairs) for k in range(1 + n % 3)
    ]


def weighed(folder: Path, lines: list[tuple[str, ...]], *, duplicates: str = "sum", **more: Any) -> Workspace:
    """A workspace over such a log."""
    workspace = make_workspace(folder, taste_blocks())
    text = "\n".join([",".join(line) for line in [("user", "item", "clicks", "timestamp"), *lines]])
    (folder / "ratings.csv").write_text(text + "\n")
    params = yaml.safe_load(workspace.params.read_text())
    tiny = params["datasets"]["tiny"]
    columns = {"user": "user", "item": "item", "weight": "clicks", "timestamp": "timestamp"}
    tiny |= {"source": tiny["source"] | {"columns": columns}, "duplicates": duplicates, **more}
    del tiny["rating"]
    params["models"]["wmf"]["alpha"] = 2.0
    workspace.params.write_text(yaml.safe_dump(params))
    return workspace


def test_weights_reach_the_matrix_of_every_shard(tmp_path: Path) -> None:
    lines = lines_of(taste_blocks())
    workspace = weighed(tmp_path / "here", lines)
    build_data(workspace, Params.read(workspace.params), "tiny", ["user-hash-3"])
    sums: dict[tuple[str, str], float] = {}
    for user, item, clicks, _ in lines:
        sums[user, item] = sums.get((user, item), 0) + float(clicks)
    shards = sorted(workspace.shards("tiny", laid_in("user-hash-3", "all")).glob("*.parquet"))
    there = {}
    for rows in map(Interactions.read, shards):
        catalogue = Catalogue.of(rows)
        data = catalogue.encode(rows)
        assert data.weights is not None
        back = data.transposed.transposed
        assert back.weights is not None
        assert (back.weights == data.weights).all()
        users, items = catalogue.users.decode(data.users), catalogue.items.decode(data.items)
        there |= {(u, i): float(w) for u, i, w in zip(users, items, data.weights, strict=True)}
    assert len(shards) == 3
    assert there == sums


@pytest.mark.parametrize("sharding", ["whole", "user-hash-3"])
def test_forgetting_takes_weights_away(sharding: str, tmp_path: Path) -> None:
    """Whoever is forgotten, and a pair that is forgotten with all its repeats, weigh nothing: as if never had."""
    lines = lines_of(taste_blocks())
    repeated = next(one[:2] for one, again in itertools.pairwise(lines) if one[:2] == again[:2] and one[0] != GONE)
    forgetful = weighed(tmp_path / "forgetful", lines)
    before = build(forgetful, "wmf", sharding)
    suppress(forgetful, "tiny", [(GONE, ()), (repeated[0], (repeated[1],))])
    after = build(forgetful, "wmf", sharding)
    rest = [line for line in lines if line[0] != GONE and line[:2] != repeated]
    assert after == build(weighed(tmp_path / "never", rest), "wmf", sharding)
    assert after["package"] != before["package"]


def test_weights_move_the_vectors_and_are_not_learnt_where_alpha_is_nought() -> None:
    rows = checkerboard()
    heavy = replace(rows, weights=np.linspace(0.5, 50, len(rows)).astype(np.float32))
    models = [build_alone("wmf", {"alpha": alpha}, table) for alpha in (2.0, 0.0) for table in (rows, heavy)]
    weighed, other, deaf, same = map(weights, models)
    assert weighed != other
    assert deaf == same


def refused(workspace: Workspace, model: str, said: str, **settings: Any) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["families"] = {"plain": {"dataset": "tiny", "candidates": [{"model": model, "sharding": "whole"}]}}
    params["models"].setdefault(model, {}).update(settings)
    workspace.params.write_text(yaml.safe_dump(params))
    with pytest.raises(ConfigError, match=said) as caught:
        check_params(workspace, Params.read(workspace.params))
    assert "\n" not in str(caught.value)


def test_a_model_that_would_not_learn_weights_is_refused(tmp_path: Path) -> None:
    workspace = weighed(tmp_path, [])
    refused(workspace, "bpr", r"^families\.plain\.candidates: bpr knows no weights .*wmf.*unweighted: ignore$")
    refused(workspace, "wmf", r"set models\.wmf\.alpha above 0", alpha=0.0)
    refused(workspace, "wmf", r"alpha: 1 is for solver 'als', not 'gradient'", alpha=1.0, solver="gradient")
    params = yaml.safe_load(workspace.params.read_text())
    params["models"]["wmf"] = {}
    workspace.params.write_text(yaml.safe_dump(params))
    build_data(weighed(tmp_path / "full", lines_of(taste_blocks())), Params.read(workspace.params), "tiny", [])
    with pytest.raises(ConfigError, match=r"^tune: bpr knows no weights"):
        tune(Workspace(tmp_path / "full"), Params.read(workspace.params), "bpr", "tiny", command="", trials=1)
    params["datasets"]["tiny"]["unweighted"] = "ignore"
    workspace.params.write_text(yaml.safe_dump(params))
    check_params(workspace, Params.read(workspace.params))


@pytest.mark.parametrize(
    ("clicks", "said"),
    [
        *((number, "weights must be above 0") for number in ("0", "-3", "1e-60")),
        ("many", "must be numbers"),
        *((number, "missing or not finite in 32 bits") for number in ("nan", "1e39")),
    ],
)
def test_a_weight_that_says_nothing_is_refused(clicks: str, said: str, tmp_path: Path) -> None:
    lines = lines_of(taste_blocks())
    workspace = weighed(tmp_path, [(*lines[0][:2], clicks, "7"), *lines])
    with pytest.raises(DataError, match=rf"^ratings\.csv: column 'clicks'.*{said}"):
        build_data(workspace, Params.read(workspace.params), "tiny", ["whole"])


def test_a_dataset_that_is_added_with_weights_trains(tmp_path: Path) -> None:
    lines = lines_of(taste_blocks())
    workspace = make_workspace(tmp_path, taste_blocks())
    text = "\n".join(",".join(line) for line in [("user", "item", "plays", "timestamp"), *lines])
    (tmp_path / "log.csv").write_text(text + "\n")
    columns = {"weight": "plays", "timestamp": "timestamp"}
    given = {"duplicates": "sum", "timestamp_unit": "s"}
    new = add(workspace, "shop", tmp_path / "log.csv", Reading(columns, given))
    assert any("unweighted: ignore" in note for note in new.notes)
    params = Params.read(workspace.params)
    assert params.datasets["shop"].has_weights
    assert params.datasets["shop"].unweighted == "ignore"
    assert yaml.safe_load((tmp_path / "params" / "shop" / "wmf.yaml").read_text()) == {"alpha": 1.0}
    check_params(workspace, params)
    told = add(workspace, "other", tmp_path / "log.csv", Reading({}, {"duplicates": "latest"}))
    assert any("--weight-column plays" in note for note in told.notes)
    assert not (tmp_path / "params" / "other").exists()
    tuned = tmp_path / "params" / "third" / "wmf.yaml"
    tuned.parent.mkdir()
    tuned.write_text("alpha: 7.0\n")
    add(workspace, "third", tmp_path / "log.csv", Reading(columns, given))
    assert tuned.read_text() == "alpha: 7.0\n", "settings that are there stay"
