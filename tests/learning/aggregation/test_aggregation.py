"""Aggregators against the sub-models they combine: absent shards take no weight, bytes are a function of content."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.errors import ArtifactError, ConfigError
from lethe.evaluation.ranking import evaluate
from lethe.learning.aggregation import AGGREGATORS, check
from lethe.learning.aggregation.align import align, stack
from lethe.learning.aggregation.attention import Attention
from lethe.learning.ensemble import Ensemble, FactorEnsemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel, WeightedEnsemble
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

SMALL = {"mostpop": {}, "wmf": {"embedding_dim": 8}, "lightgcn": {"embedding_dim": 4, "epochs": 10}}


def rows_of(*pairs: tuple[int, int]) -> Interactions:
    return Interactions.of(np.array([u for u, _ in pairs]), np.array([i for _, i in pairs]))


def tastes(seed: int = 0) -> tuple[Interactions, Interactions]:
    """160 users of four tastes over 60 items, noisy: (train, test)."""
    generator = np.random.default_rng(seed)
    affinity = np.where(np.equal.outer(np.arange(160) % 4, np.arange(60) % 4), 0.4, 0.04)
    users, items = np.nonzero(generator.random(affinity.shape) < affinity)
    rows = Interactions.of(users * 3, items * 7)
    held_out = generator.random(len(rows)) < 0.25
    return rows.take(~held_out), rows.take(held_out)


def sub_model(name: str, rows: Interactions, shard: str = "00") -> SubModel:
    catalogue = Catalogue.of(rows)
    model = MODELS[name](configure(name, SMALL[name]), catalogue.shape)
    train(model, catalogue.encode(rows), Stream(3, (shard,)))
    return SubModel(shard, model, catalogue)


def by_user(name: str, rows: Interactions, num_shards: int = 4) -> list[SubModel]:
    shard = rows.user_ids // 3 // 4 % num_shards
    return [sub_model(name, rows.take(shard == k), f"{k:02d}") for k in range(num_shards)]


def by_row(name: str, rows: Interactions, num_shards: int = 3) -> list[SubModel]:
    shard = np.random.default_rng(1).integers(0, num_shards, len(rows))
    return [sub_model(name, rows.take(shard == k), f"{k:02d}") for k in range(num_shards)]


def fit(name: str, sub_models: list[SubModel], rows: Interactions, **values: float) -> Ensemble:
    aggregator = AGGREGATORS[name]
    ensemble, history = aggregator.fit(sub_models, rows, aggregator.Config.parse(values, name), Stream(5))
    assert len(history) == values.get("steps", 0 if name != "attention" else 300)
    return ensemble


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def data() -> tuple[Interactions, Interactions]:
    return tastes()


@pytest.mark.parametrize("name", SMALL)
def test_identity_is_the_model(name, data):
    one = sub_model(name, data[0])
    ensemble = fit("identity", [one], data[0])
    users = np.array([5, 0, 5])
    np.testing.assert_allclose(ensemble.score(users), one.score(users), rtol=1e-5)
    assert (ensemble.factors() is None) == (name == "mostpop")


def test_identity_takes_one_sub_model(data):
    with pytest.raises(ConfigError, match="identity needs exactly 1 sub-model, got 4"):
        fit("identity", by_user("mostpop", data[0]), data[0])


def test_mean_is_over_the_shards_that_hold_user_and_item():
    # Shard a knows users 1, 2 and items 10, 20; shard b users 2, 3 and items 20, 30, 40. MostPop scores by counts.
    a, b = rows_of((1, 10), (2, 10), (2, 20)), rows_of((2, 20), (2, 30), (3, 30), (3, 40))
    rows = rows_of((1, 10), (2, 10), (2, 20), (2, 30), (3, 30), (3, 40))
    ensemble = fit("mean", [sub_model("mostpop", a, "a"), sub_model("mostpop", b, "b")], rows)
    first, second, third = ensemble.score(np.arange(3))
    # User 1: a's scores are 2, 1; below them the items a lacks, the more popular first.
    assert first[:2].tolist() == [2, 1]
    assert first[1] > first[2] > first[3]
    # User 2 is in both: item 20 is the mean of 1 and 1, the others are one shard's.
    assert second.tolist() == [2, 1, 2, 1]
    # User 3: b's scores are 1, 2, 1 for items 20, 30, 40; item 10 is last.
    assert third[1:].tolist() == [1, 2, 1]
    assert third[0] < 1


def test_mean_keeps_popularity_apart_far_from_zero():
    ensemble = fit("mean", [sub_model("mostpop", rows_of((1, 0)))], rows_of((1, 0)))
    catalogue = Catalogue.of(rows_of(*((1, item) for item in range(1000))))
    lifted = WeightedEnsemble(catalogue, ensemble.members, np.arange(1000, 0, -1), ensemble.weights)
    lifted.members[0].model.counts += 1e6
    assert (np.diff(lifted.score(np.array([0]))[0]) < 0).all()


def test_a_user_no_shard_holds_gets_the_popular():
    held = rows_of((1, 10), (1, 20))
    rows = rows_of((1, 10), (1, 20), (2, 20))
    scores = fit("mean", [sub_model("mostpop", held)], rows).score(np.array([1]))[0]
    assert scores[1] > scores[0]


def test_attention_weights_are_of_the_shards_that_hold_an_entity(data):
    users, items = align(*stack(by_row("wmf", data[0]), data[0]))
    model = Attention(AGGREGATORS["attention"].Config(), Catalogue.of(data[0]).shape, users, items)
    model.prepare(Catalogue.of(data[0]).encode(data[0]), Stream(0))
    for tower, pooling in ((users, model.users), (items, model.items)):
        weights = pooling.attention(pooling.vectors).detach().numpy()
        # There is a row only for a shard that holds the entity, and the weights of an entity's rows sum to 1.
        shards = np.searchsorted(tower.bounds, np.arange(len(weights)), "right")
        assert len(set(zip(tower.entities, shards, strict=True))) == len(weights)
        np.testing.assert_allclose(np.bincount(tower.entities, weights), 1, rtol=1e-5)
        assert (weights > 0).all()


def test_rows_count_for_the_shards_that_could_have_seen_them(data):
    rows = data[0]
    exact = stack(by_user("wmf", rows), rows)
    for tower, ids in zip(exact, (rows.user_ids, rows.item_ids), strict=True):
        np.testing.assert_allclose(np.bincount(tower.entities, tower.rows), np.unique(ids, return_counts=True)[1])
    shared = stack(by_row("wmf", rows), rows)
    assert shared[0].rows.sum() == pytest.approx(len(rows))


def test_alignment_keeps_each_shards_scores_and_undoes_rotations(data):
    rows = data[0]
    one = sub_model("wmf", rows)
    generator = np.random.default_rng(0)
    rotation = torch.from_numpy(np.linalg.qr(generator.normal(size=(8, 8)))[0]).float()
    turned = sub_model("wmf", rows, "00")
    with torch.no_grad():
        turned.model.users.copy_(turned.model.users @ rotation)
        turned.model.items.copy_(turned.model.items @ rotation)
    before = [tower.vectors.copy() for tower in stack([one, turned], rows)]
    users, items = align(*stack([one, turned], rows))
    for shard in (0, 1):
        parts = [slice(*tower.bounds[shard : shard + 2]) for tower in (users, items)]
        np.testing.assert_allclose(
            users.vectors[parts[0]] @ items.vectors[parts[1]].T, before[0][parts[0]] @ before[1][parts[1]].T, atol=1e-9
        )
    lengths = np.linalg.norm(users.mean(), axis=1) / np.linalg.norm(users.vectors[: users.bounds[1]], axis=1)
    assert (lengths > 0.9).all()


@pytest.mark.parametrize("shards", [by_user, by_row])
def test_attention_beats_the_mean(shards, data):
    rows, test = data
    sub_models = shards("wmf", rows)
    scores = {name: fit(name, sub_models, rows) for name in ("mean", "attention")}
    found = {n: evaluate(e.score, e.catalogue, rows, test, cutoffs=(10,))["ndcg@10"] for n, e in scores.items()}
    assert found["attention"] > 1.05 * found["mean"]


def test_attention_learns(data):
    rows = data[0]
    aggregator = AGGREGATORS["attention"]
    _, history = aggregator.fit(by_row("wmf", rows), rows, aggregator.Config(steps=40), Stream(0))
    losses = [row["loss"] for row in history]
    assert losses[-1] < losses[0]
    model = Attention(aggregator.Config(), Catalogue.of(rows).shape, *align(*stack(by_row("wmf", rows), rows)))
    matrix = Catalogue.of(rows).encode(rows)
    model.prepare(matrix, Stream(0))
    model.loss(next(model.batches(matrix, Stream(0)))).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def attention_of(sub_models, rows, **values):
    """The aggregator as a model, prepared, with the matrix that it learns."""
    config = AGGREGATORS["attention"].Config.parse(values, "attention")
    towers = align(*stack(sub_models, rows, unsmoothed=config.num_layers > 0))
    catalogue = Catalogue.of(rows)
    model, matrix = Attention(config, catalogue.shape, *towers), catalogue.encode(rows)
    model.prepare(matrix, Stream(0))
    return model, matrix


def test_attention_may_learn_by_the_loss_of_bpr(data):
    rows, test = data
    sub_models = by_row("wmf", rows)
    model, matrix = attention_of(sub_models, rows, loss="bpr", reg=0.5)
    (batch,) = model.batches(matrix, Stream(1))
    assert len(batch.users) == len(matrix)
    with torch.no_grad():
        model.shifts.fill_(0.1)
        users, items = (tower.numpy() for tower in model.combined())
        loss = float(model.loss(batch))
    expected = 0.5 * 0.01 * model.shifts.numel()
    for u, i, j in zip(*(part.tolist() for part in batch), strict=True):
        expected += np.log1p(np.exp(users[u] @ items[j] - users[u] @ items[i]))
    assert loss == pytest.approx(expected, rel=1e-5)
    mean, learned = fit("mean", sub_models, rows), fit("attention", sub_models, rows, loss="bpr", steps=60)
    found = [evaluate(e.score, e.catalogue, rows, test, cutoffs=(10,))["ndcg@10"] for e in (mean, learned)]
    assert found[1] > found[0]


def test_attention_may_smooth_what_it_combined(data):
    rows = data[0]
    sub_models = by_user("lightgcn", rows)
    model, matrix = attention_of(sub_models, rows, num_layers=2)
    # What is combined is from before the shards' own smoothing.
    first = sub_models[0].model
    users, _ = stack(sub_models, rows, unsmoothed=True)
    smooth, _ = stack(sub_models, rows)
    balance = users.vectors[0] / first.users[0].detach().numpy()
    np.testing.assert_allclose(users.vectors[: len(first.users)], first.users.detach().numpy() * balance, rtol=1e-4)
    assert not np.allclose(users.vectors, smooth.vectors)
    # The result is LightGCN's mean over layers of the whole graph.
    adjacency = np.zeros((matrix.num_users + matrix.num_items,) * 2)
    adjacency[matrix.users, matrix.num_users + matrix.items] = 1
    adjacency += adjacency.T
    degrees = np.maximum(adjacency.sum(axis=1), 1)
    step = adjacency / np.sqrt(np.outer(degrees, degrees))
    with torch.no_grad():
        pooled = torch.cat([model.users(model.maps, model.shifts), model.items(model.maps, model.shifts)]).numpy()
        combined = torch.cat(model.combined()).numpy()
    np.testing.assert_allclose(combined, (pooled + step @ pooled + step @ step @ pooled) / 3, rtol=1e-4, atol=1e-6)
    assert np.isfinite(fit("attention", sub_models, rows, num_layers=2, steps=3).score(np.arange(4))).all()


def test_attention_starts_at_the_best_scale(data):
    rows = data[0]
    matrix = Catalogue.of(rows).encode(rows)
    model = Attention(
        AGGREGATORS["attention"].Config(), Catalogue.of(rows).shape, *align(*stack(by_user("wmf", rows), rows))
    )
    model.prepare(matrix, Stream(0))
    batch = next(model.batches(matrix, Stream(0)))
    with torch.no_grad():
        users, items = model.combined()
        at, below, above = (float(model._square_loss(s * users, items, batch)) for s in (1.0, 0.9, 1.1))
    assert at < min(below, above)


def test_attention_needs_two_towers(data):
    with pytest.raises(ConfigError, match="needs sub-models with two towers, MostPop has none"):
        fit("attention", by_user("mostpop", data[0]), data[0])


def test_attention_has_the_same_bytes_among_other_threads(tmp_path, data):
    rows = data[0]
    sub_models = by_row("wmf", rows)

    def build(place: int) -> dict[str, bytes]:
        fit("attention", sub_models, rows, steps=20).save(tmp_path / str(place))
        return files(tmp_path / str(place))

    alone = build(0)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(build, range(1, 4)))
    assert all(built == alone for built in together)


@pytest.mark.parametrize(("aggregator", "model"), [("attention", "wmf"), ("mean", "wmf"), ("mean", "mostpop")])
def test_round_trip_gives_equal_scores_and_bytes(aggregator, model, tmp_path, data):
    values = {"steps": 3} if aggregator == "attention" else {}
    ensemble = fit(aggregator, by_user(model, data[0]), data[0], **values)
    ensemble.save(tmp_path / "one")
    loaded = Ensemble.load(tmp_path / "one")
    loaded.save(tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    users = np.arange(len(ensemble.catalogue.users))
    scores = ensemble.score(users)
    assert scores.dtype == np.float32
    assert scores.shape == (len(users), len(ensemble.catalogue.items))
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(loaded.score(users), scores)


@pytest.mark.parametrize("broken", ["ensemble.json", "ensemble.safetensors", "items.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"kind": "other"}'])
def test_a_broken_folder_is_named(broken, content, tmp_path, data):
    catalogue = Catalogue.of(data[0])
    FactorEnsemble(catalogue, *(np.zeros((n, 2), np.float32) for n in (160, 60))).save(tmp_path / "e")
    (tmp_path / "e" / broken).unlink()
    if content is not None:
        (tmp_path / "e" / broken).write_bytes(content)
    with pytest.raises(ArtifactError, match="not an ensemble"):
        Ensemble.load(tmp_path / "e")


def test_a_size_that_no_machine_has_is_told_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"models.wmf: two users and two items already need more memory"):
        check("mean", "wmf", configure("wmf", {"embedding_dim": 10**15}))
