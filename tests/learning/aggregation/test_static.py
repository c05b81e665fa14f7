"""Static weights against the definition of their loss, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import torch

from lethe.core.random import Stream
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.ensemble import Ensemble
from lethe.learning.training import History, train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

DIM = 3


def rows_of(seed: int = 1) -> Interactions:
    users, items = np.nonzero(np.random.default_rng(seed).random((30, 20)) < 0.3)
    assert len(np.unique(users)) == 30
    return Interactions.of(users * 3, items * 7)


def by_user(rows: Interactions) -> np.ndarray:
    return rows.user_ids // 3 % 3


def by_row(rows: Interactions) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, len(rows))


def members(rows: Interactions, shards: np.ndarray, spoil: float = 1.0) -> list[SubModel]:
    """Sub-models whose item vectors are random and whose users are the sum of their items; ``spoil`` scales shard 0."""
    made = []
    for shard in range(3):
        own = rows.take(shards == shard)
        catalogue = Catalogue.of(own)
        model = MODELS["wmf"](configure("wmf", {"embedding_dim": DIM}), catalogue.shape)
        items = torch.from_numpy(np.random.default_rng(shard).normal(size=(catalogue.shape.num_items, DIM))).float()
        with torch.no_grad():
            model.items.copy_(items)
            model.users.copy_(torch.from_numpy(catalogue.encode(own).csr().toarray()) @ items)
            if shard == 0:
                model.users.mul_(spoil)
        made.append(SubModel(f"{shard:02d}", model, catalogue))
    return made


def fit(sub_models: list[SubModel], rows: Interactions, negative_weight: float) -> tuple[Ensemble, History]:
    static = AGGREGATORS["static"]
    return static.fit(sub_models, rows, static.Config(negative_weight=negative_weight), Stream(0))


def shard_scores(sub_models: list[SubModel], catalogue: Catalogue) -> np.ndarray:
    """[K, M, N], 0 where the shard does not hold user and item."""
    scores = np.zeros((len(sub_models), catalogue.shape.num_users, catalogue.shape.num_items))
    for own, member in zip(scores, sub_models, strict=True):
        users = catalogue.users.encode(member.catalogue.users.values)
        items = catalogue.items.encode(member.catalogue.items.values)
        own[np.ix_(users, items)] = member.score(np.arange(len(users)))
    return scores


@pytest.mark.parametrize("shards", [by_user, by_row])
@pytest.mark.parametrize("negative_weight", [0.05, 1.0])
def test_weights_minimise_the_loss_over_all_cells(
    shards: Callable[[Interactions], np.ndarray], negative_weight: float
) -> None:
    rows = rows_of()
    sub_models = members(rows, shards(rows))
    ensemble, history = fit(sub_models, rows, negative_weight)
    catalogue = Catalogue.of(rows)
    cells = shard_scores(sub_models, catalogue)
    wanted = catalogue.encode(rows).csr().toarray().ravel()
    roots = np.sqrt(np.where(wanted > 0, 1, negative_weight))
    design = cells.reshape(3, -1).T * roots[:, None]
    weights = np.linalg.lstsq(design, wanted * roots, rcond=None)[0]
    assert (weights > 0).all()
    expected = np.tensordot(weights, cells, 1)
    np.testing.assert_allclose(ensemble.score(np.arange(30)), expected, atol=1e-4)
    loss = np.square(design @ weights - wanted * roots).sum() - wanted.sum()
    assert history == [{"epoch": 0, "loss": pytest.approx(loss, rel=1e-4)}]


def test_a_shard_that_only_misleads_has_no_weight() -> None:
    rows = rows_of()
    sub_models = members(rows, by_row(rows), spoil=-1.0)
    ensemble, _ = fit(sub_models, rows, 0.2)
    without, _ = fit(sub_models[1:], rows, 0.2)
    np.testing.assert_allclose(ensemble.score(np.arange(30)), without.score(np.arange(30)), atol=1e-5)


def test_shards_that_predict_alike_share_the_weight() -> None:
    rows = rows_of()
    sub_models = members(rows, by_row(rows))
    twice, _ = fit([*sub_models, *sub_models], rows, 0.2)
    once, _ = fit(sub_models, rows, 0.2)
    np.testing.assert_allclose(twice.score(np.arange(30)), once.score(np.arange(30)), atol=1e-4)


def test_the_scale_of_a_shard_does_not_matter() -> None:
    rows = rows_of()
    plain, scaled = (fit(members(rows, by_row(rows), spoil), rows, 0.2)[0] for spoil in (1.0, 50.0))
    np.testing.assert_allclose(plain.score(np.arange(30)), scaled.score(np.arange(30)), atol=1e-4)


def test_without_towers_the_mean_of_the_weighted_scores_minimises_the_loss(tmp_path: Path) -> None:
    rows = rows_of()
    shards, catalogue = by_row(rows), Catalogue.of(rows)
    sub_models, held = [], np.zeros((3, 30, 20))
    for shard, name in enumerate(("ease", "item-knn", "mostpop")):
        own = rows.take(shards == shard)
        local = Catalogue.of(own)
        model = MODELS[name](configure(name, {}), local.shape)
        train(model, local.encode(own), Stream(shard))
        sub_models.append(SubModel(f"{shard:02d}", model, local))
        held[shard][np.ix_(catalogue.users.encode(local.users.values), catalogue.items.encode(local.items.values))] = 1
    ensemble, history = fit(sub_models, rows, 0.2)
    cells = shard_scores(sub_models, catalogue) / np.maximum(held.sum(axis=0), 1)
    wanted = catalogue.encode(rows).csr().toarray().ravel()
    roots = np.sqrt(np.where(wanted > 0, 1, 0.2))
    weights, _ = scipy.optimize.nnls(cells.reshape(3, -1).T * roots[:, None], wanted * roots)
    assert weights.any()
    assert (weights != 1).all()
    somewhere = held.any(axis=0)
    scores = ensemble.score(np.arange(30))
    np.testing.assert_allclose(scores[somewhere], np.tensordot(weights, cells, 1)[somewhere], rtol=1e-4, atol=1e-6)
    below, above = (np.where(somewhere == own, scores, filler) for own, filler in ((False, -np.inf), (True, np.inf)))
    assert not somewhere.all()
    assert (below.max(axis=1) < above.min(axis=1)).all()
    difference = np.tensordot(weights, cells, 1).ravel() - wanted
    assert history[0]["loss"] == pytest.approx((roots**2 * difference**2).sum() - wanted.sum(), rel=1e-4)
    ensemble.save(tmp_path / "ensemble")
    np.testing.assert_array_equal(Ensemble.load(tmp_path / "ensemble").score(np.arange(30)), scores)


def test_shards_that_all_mislead_weigh_alike() -> None:
    # The popular are scored lowest, below 0 on every row: no weight lowers the loss.
    rows = rows_of()
    catalogue = Catalogue.of(rows)
    model = MODELS["mostpop"](configure("mostpop", {}), catalogue.shape)
    model.counts -= 100
    ensemble, _ = fit([SubModel("00", model, catalogue)] * 2, rows, 0.2)
    np.testing.assert_allclose(ensemble.score(np.arange(30)), -100)
