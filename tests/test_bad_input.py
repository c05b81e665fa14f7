"""What can't be trained is said in one line, before training starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lethe.build.builder import Builder
from lethe.build.candidates import jobs
from lethe.config.params import Params
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError, DataError
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace, taste_blocks

SIZED = [name for name, model in MODELS.items() if "embedding_dim" in model.Config.model_fields]
WEIGHTED = [name for name, model in MODELS.items() if "negative_weight" in model.Config.model_fields]


def workspace_with(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Workspace:
    workspace = make_workspace(folder, taste_blocks())
    params = yaml.safe_load(workspace.params.read_text())
    change(params)
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return workspace


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("size", [0, -3])
def test_an_embedding_size_below_1(name: str, size: int) -> None:
    with pytest.raises(ConfigError, match=rf"^models\.{name}\.embedding_dim: {size} .*greater than or equal to [12]$"):
        configure(name, {"embedding_dim": size})


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_a_negative_weight_that_is_negative_or_no_number(name: str, weight: float) -> None:
    with pytest.raises(ConfigError, match=rf"^models\.{name}\.negative_weight: {weight} .*(greater|finite)"):
        configure(name, {"negative_weight": weight})


@pytest.mark.parametrize("cutoffs", [[0], [10, -1], []])
def test_an_impossible_k_of_the_lists(cutoffs: list[int], tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "workspace", lambda params: params.update(evaluation={"cutoffs": cutoffs}))
    with pytest.raises(
        ConfigError, match=r"^params\.yaml\.evaluation\.cutoffs.* (greater than or equal to 1|at least 1)"
    ):
        Params.read(workspace.params)


@pytest.mark.parametrize("metric", ["ndcg@15", "ndcg", "auc@10", "rmse"])
def test_a_metric_that_will_not_be_measured(metric: str, tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "workspace", lambda params: params.update(training={"metric": metric}))
    with pytest.raises(ConfigError, match=rf"^training\.metric: '{metric}' is not measured; measured are .*ndcg@10"):
        jobs(workspace, Params.read(workspace.params))


@pytest.mark.parametrize("count", [0, -1])
def test_an_impossible_number_of_shards(count: int, tmp_path: Path) -> None:
    workspace = workspace_with(
        tmp_path / "workspace", lambda params: params["shardings"]["user-hash-3"].update(num_shards=count)
    )
    with pytest.raises(ConfigError, match=rf"^params\.yaml\.shardings\.user-hash-3\.num_shards: {count} "):
        Params.read(workspace.params)


def test_shards_that_are_all_empty(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "workspace", lambda params: None)
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", ["user-hash-3"])
    for path in workspace.shards("tiny", "user-hash-3").glob("*.parquet"):
        rows = Interactions.read(path)
        rows.take(np.zeros(len(rows), bool)).write(path)
    builder = Builder(workspace, jobs(workspace, params)[0].recipe)
    with pytest.raises(DataError, match=r"^data/tiny/user-hash-3/shards: no shard holds a row; run lethe data repro$"):
        builder.shard_names()


def test_a_user_without_an_item(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "workspace", lambda params: None)
    path = workspace.root / "ratings.csv"
    path.write_text(path.read_text() + "lonely,,3,5000\n")
    with pytest.raises(
        DataError,
        match=r"column 'item' must have no empty values; row count with an empty item: 1; leave those rows out",
    ) as caught:
        build_data(workspace, Params.read(workspace.params), "tiny", ["whole"])
    assert "lonely" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("enmf-u", {"optimizer": "sgd", "learning_rate": 1e20}),
        ("lightgcn", {"learning_rate": 1e30, "optimizer": "sgd"}),
        ("bpr", {"learning_rate": 1e30}),
        ("lfm", {"learning_rate": 1e20}),
    ],
)
def test_a_training_that_diverges_names_model_epoch_and_rate(name: str, values: dict[str, Any]) -> None:
    rows = taste_blocks()
    catalogue = Catalogue.of(rows)
    model = MODELS[name](configure(name, {"epochs": 50, **values}), catalogue.shape)
    with pytest.raises(
        ConfigError, match=rf"^{type(model).__name__}: the loss is (nan|-?inf) in epoch \d+ (at|of) "
    ) as caught:
        train(model, catalogue.encode(rows), Stream(1))
    assert "lower the learning rate" in str(caught.value)
