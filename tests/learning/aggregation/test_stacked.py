"""Stacking against the explicit matrix of all predictions; and the laws that static, stacked and refit share."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.build.builder import Builder
from lethe.build.recipes import candidate_recipe
from lethe.config.params import Candidate, Params
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError
from lethe.evaluation.ranking import evaluate
from lethe.forgetting.run import suppress
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.align import stack
from lethe.learning.aggregation.stacked import equalize, item_space
from lethe.learning.ensemble import Ensemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace, taste_blocks

NAMES = ["static", "stacked", "refit"]


def tastes() -> tuple[Interactions, Interactions]:
    """160 users of four tastes over 60 items, noisy: (train, test)."""
    generator = np.random.default_rng(0)
    affinity = np.where(np.equal.outer(np.arange(160) % 4, np.arange(60) % 4), 0.4, 0.04)
    users, items = np.nonzero(generator.random(affinity.shape) < affinity)
    rows = Interactions.of(users * 3, items * 7)
    held_out = generator.random(len(rows)) < 0.25
    return rows.take(~held_out), rows.take(held_out)


def members(rows: Interactions, num_shards: int = 4, model: str = "wmf", dim: int = 8) -> list[SubModel]:
    """A trained sub-model for each group of users; the groups mix the tastes."""
    made = []
    for shard in range(num_shards):
        own = rows.take(rows.user_ids // 3 // 4 % num_shards == shard)
        catalogue = Catalogue.of(own)
        values = {} if model == "mostpop" else {"embedding_dim": dim}
        made.append(SubModel(f"{shard:02d}", MODELS[model](configure(model, values), catalogue.shape), catalogue))
        train(made[-1].model, catalogue.encode(own), Stream(3, (shard,)))
    return made


def fit(name: str, sub_models: list[SubModel], rows: Interactions, **values: float) -> Ensemble:
    aggregator = AGGREGATORS[name]
    ensemble: Ensemble = aggregator.fit(sub_models, rows, aggregator.Config.parse(values, name), Stream(5))[0]
    return ensemble


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def data() -> tuple[Interactions, Interactions]:
    return tastes()


@pytest.mark.parametrize(("num_shards", "dim"), [(3, 8), (8, 12)], ids=["tall", "wide"])
def test_the_item_space_is_that_of_all_predictions(num_shards, dim, data):
    rows = data[0]
    sub_models = members(rows, num_shards, dim=dim)
    catalogue = Catalogue.of(rows)
    predictions = np.zeros((0, len(catalogue.items)))
    for member in sub_models:
        own = np.zeros((len(member.catalogue.users), len(catalogue.items)))
        own[:, catalogue.items.encode(member.catalogue.items.values)] = member.score(np.arange(len(own)))
        predictions = np.concatenate([predictions, own])
    _, values, right = np.linalg.svd(predictions)
    space = item_space(*stack(sub_models, rows), dim)
    assert space.shape == (len(catalogue.items), dim)
    np.testing.assert_allclose(np.square(space).sum(axis=0), values[:dim], rtol=1e-4)
    np.testing.assert_allclose(space @ space.T, right[:dim].T * values[:dim] @ right[:dim], atol=1e-3)
    largest = np.abs(space).argmax(axis=0)
    assert (space[largest, np.arange(dim)] > 0).all()


def test_a_turned_shard_changes_nothing(data):
    rows = data[0]
    plain, turned = members(rows), members(rows)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))[0]
    with torch.no_grad():
        for tower in (turned[0].model.users, turned[0].model.items):
            tower.copy_(tower @ turn)
    spaces = [item_space(*stack(sub_models, rows), 6) for sub_models in (plain, turned)]
    np.testing.assert_allclose(spaces[0], spaces[1], atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), dim=st.integers(1, 20), fall=st.floats(0, 3))
def test_equalized_columns_are_equally_long_and_rows_keep_their_products(seed, dim, fall):
    generator = np.random.default_rng(seed)
    space = generator.normal(size=(25, dim)) * np.exp(-fall * np.arange(dim))
    turned = equalize(space)
    squares = np.square(turned).sum(axis=0)
    np.testing.assert_allclose(squares, squares.mean(), rtol=1e-6)
    np.testing.assert_allclose(turned @ turned.T, space @ space.T, atol=1e-9)


def test_users_are_solved_exactly(data):
    rows = data[0]
    ensemble = fit("stacked", members(rows), rows, negative_weight=0.3, dropout=0.2, reg=0.1)
    users, items = (tower.astype(np.float64) for tower in ensemble.factors())
    seen = Catalogue.of(rows).encode(rows).csr().toarray()
    for user in range(0, len(users), 17):
        normal = items.T @ (np.where(seen[user] > 0, 1, 0.3)[:, None] * items)
        normal += 0.25 * np.diag(np.diag(normal)) + 0.1 * np.eye(len(normal))
        np.testing.assert_allclose(users[user], np.linalg.solve(normal, seen[user] @ items), rtol=1e-3, atol=1e-4)


def test_the_width_is_asked_for_and_never_more_than_there_is(data):
    rows = data[0]
    sub_models = members(rows)
    widths = [fit("stacked", sub_models, rows, **v).factors()[1].shape[1] for v in ({}, {"embedding_dim": 20})]
    assert widths == [8, 20]
    assert fit("stacked", sub_models, rows, embedding_dim=1000).factors()[1].shape[1] <= 32
    empty = members(rows)
    with torch.no_grad():
        for member in empty:
            member.model.users.zero_()
            member.model.items.zero_()
    assert np.isfinite(fit("stacked", empty, rows).score(np.arange(5))).all()


# --- what static, stacked and refit have in common ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["stacked", "refit"])
def test_they_beat_the_mean(name, data):
    rows, test = data
    sub_models = members(rows)
    scores = {n: fit(n, sub_models, rows) for n in ("mean", name)}
    found = {n: evaluate(e.score, e.catalogue, rows, test, cutoffs=(10,))["ndcg@10"] for n, e in scores.items()}
    assert found[name] > 1.05 * found["mean"]


@pytest.mark.parametrize("name", ["stacked", "refit"])
def test_two_towers_are_needed(name, data):
    with pytest.raises(ConfigError, match="needs sub-models with two towers, MostPop has none"):
        fit(name, members(data[0], model="mostpop"), data[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_are_the_same_among_other_threads_and_after_a_round_trip(name, data, tmp_path):
    sub_models = members(data[0])

    def build(place: int) -> dict[str, bytes]:
        fit(name, sub_models, data[0]).save(tmp_path / str(place))
        return files(tmp_path / str(place))

    alone = build(0)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(build, range(1, 4))) == [alone] * 3
    loaded = Ensemble.load(tmp_path / "0")
    loaded.save(tmp_path / "again")
    assert files(tmp_path / "again") == alone
    scores = loaded.score(np.arange(len(loaded.catalogue.users)))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def workspace_of(folder: Path, rows: Interactions, model: str, aggregator: str) -> Workspace:
    workspace = make_workspace(folder, rows, (model,))
    params = yaml.safe_load(workspace.params.read_text())
    params["shardings"]["user-hash-3"]["aggregator"] = aggregator
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return workspace


def build(workspace: Workspace, model: str) -> dict[str, str]:
    """Digests of sub-models, ensemble and package; the ensemble's history must be there too."""
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", ["user-hash-3"])
    candidate = Candidate(model=model, sharding="user-hash-3")
    builder = Builder(workspace, candidate_recipe(workspace, params, "tiny", candidate))
    sub_models = {name: builder.sub_model(name) for name in builder.shard_names()}
    ensemble = builder.ensemble({name: artifact.key for name, artifact in sub_models.items()})
    assert json.loads(ensemble.file("history.json").read_text())
    package = builder.package(ensemble.key, "family", params)
    return {name: a.digest for name, a in sub_models.items()} | {"ensemble": ensemble.digest, "package": package.digest}


@pytest.mark.parametrize("model", ["wmf", "bpr", "lightgcn"])
@pytest.mark.parametrize("name", NAMES)
def test_forgetting_is_never_having_had(name, model, tmp_path):
    rows, gone = taste_blocks(), "user-004"
    forgetful = workspace_of(tmp_path / "forgetful", rows, model, name)
    before = build(forgetful, model)
    suppress(forgetful, "tiny", [(gone, ())])
    after = build(forgetful, model)
    never = workspace_of(tmp_path / "never", rows.take(rows.user_ids != gone), model, name)
    assert after == build(never, model)
    assert after["ensemble"] != before["ensemble"]
    # One shard held the user: the other sub-models are as they were.
    assert sum(after[shard] != before[shard] for shard in ("00", "01", "02")) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_requests_leaves_no_trace(name, tmp_path):
    one, other = "user-003", "user-010"
    results = []
    for label, batches in (("ab", [[one], [other]]), ("ba", [[other], [one]]), ("both", [[one, other]])):
        workspace = workspace_of(tmp_path / label, taste_blocks(), "wmf", name)
        build(workspace, "wmf")
        for batch in batches:
            suppress(workspace, "tiny", [(user, ()) for user in batch])
            result = build(workspace, "wmf")
        results.append(result)
    assert results[0] == results[1] == results[2]
