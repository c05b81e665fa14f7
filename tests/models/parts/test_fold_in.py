"""Somebody new gets the vector that training ends in: each rule against something that was solved another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import torch

from lethe.core.random import Stream
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.ensemble import Asked, Ensemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.models.parts.fold_in import CentredRows, FoldIn, MeanRows, PairwiseRows, RatingRows, SquareLossRows, Taken
from lethe.models.parts.losses import negative_weights
from lethe.models.solvers.als import solve_users
from lethe.models.wmf import WMF
from lethe.tables.catalogue import Catalogue
from lethe.tables.matrix import InteractionMatrix, Shape
from tests.contract import BLOCK_ITEMS, checkerboard

RNG = np.random.default_rng(4)
ITEMS = RNG.normal(size=(30, 5)).astype(np.float32)
OWN = [np.array([2, 5, 11, 17]), np.array([29]), np.arange(0, 30, 3)]
STARS = [np.array([5.0, 1.0, 4.0, 3.0], np.float32), np.array([2.0], np.float32), np.full(10, 4.0, np.float32)]


def taken(rated: bool = False) -> Taken:
    indptr = np.concatenate([[0], np.cumsum([len(own) for own in OWN])])
    return Taken(indptr, np.concatenate(OWN), np.concatenate(STARS) if rated else None)


def test_square_loss_rows_are_the_solvers_own() -> None:
    weights = RNG.uniform(0.05, 0.4, len(ITEMS)).astype(np.float32)
    users = np.zeros((3, 5))
    data = InteractionMatrix(Shape(3, 30), np.repeat([0, 1, 2], [4, 1, 10]), np.concatenate(OWN))
    solve_users(data, users, ITEMS.astype(np.float64), negative_weights=weights, dropout=0.3, reg=0.2, steps=20)
    rows = SquareLossRows.of(ITEMS, weights, dropout=0.3, reg=0.2)
    assert rows.users(taken()) == pytest.approx(users, abs=1e-5)


def test_rating_rows_are_a_ridge_regression() -> None:
    plain = RatingRows(ITEMS, np.array(0.3), np.array(5.0), np.array(np.nan))
    biased = RatingRows(ITEMS, np.array(0.3), np.array(5.0), np.array(3.5))
    for vector, both, own, stars in zip(plain.users(taken(True)), biased.users(taken(True)), OWN, STARS, strict=True):

        def loss(p: np.ndarray, own: np.ndarray = own, stars: np.ndarray = stars) -> float:
            return float(np.square(stars - ITEMS[own] @ p).sum() + 0.3 * len(own) * p @ p)

        assert vector == pytest.approx(scipy.optimize.minimize(loss, np.zeros(5)).x, abs=1e-3)

        def biased_loss(p: np.ndarray, own: np.ndarray = own, stars: np.ndarray = stars) -> float:
            whole = np.array([*p[:3], 1.0, 3.5 + p[3]])
            return float(np.square(stars - ITEMS_OF_BIASED[own] @ whole).sum() + 0.3 * len(own) * p @ p)

        solved = RatingRows(ITEMS_OF_BIASED, np.array(0.3), np.array(5.0), np.array(3.5)).solve(own, stars)
        best = scipy.optimize.minimize(biased_loss, np.zeros(4)).x
        assert solved == pytest.approx([*best[:3], 1.0, 3.5 + best[3]], abs=1e-3)
        assert both[3] == 1.0


ITEMS_OF_BIASED = np.column_stack([ITEMS[:, :4], np.ones(30, np.float32)])


def test_pairwise_rows_are_the_least_of_the_pairs_loss() -> None:
    rows = PairwiseRows(ITEMS, np.array(0.05))
    for vector, own in zip(rows.users(taken()), OWN, strict=True):
        others = np.setdiff1d(np.arange(30), own)

        def loss(p: np.ndarray, own: np.ndarray = own, others: np.ndarray = others) -> float:
            gaps = (ITEMS[own] @ p)[:, None] - (ITEMS[others] @ p)[None]
            return float(np.logaddexp(0, -gaps).mean(axis=1).sum() + len(own) * 0.05 * p @ p / 2)

        assert vector == pytest.approx(scipy.optimize.minimize(loss, np.zeros(5)).x, abs=1e-3)


@pytest.mark.parametrize(
    "rows",
    [
        SquareLossRows.of(ITEMS, np.full(30, 0.2), dropout=0.2),
        CentredRows.of(ITEMS, np.full(30, 0.2), dropout=0.0, reg=1.0),
        RatingRows(ITEMS, np.array(0.3), np.array(5.0), np.array(np.nan)),
        MeanRows(ITEMS, ITEMS[::-1].copy()),
    ],
    ids=lambda rows: rows.kind,
)
def test_the_shares_of_the_items_add_to_the_score(rows: FoldIn) -> None:
    centre = ITEMS.mean(axis=0) if isinstance(rows, CentredRows) else 0
    for vector, own in zip(rows.users(taken()), OWN, strict=True):
        assert rows.shares(own, None, 7).sum() == pytest.approx(float(vector @ (ITEMS[7] - centre)), abs=1e-4)


def test_an_items_later_rating_counts_and_a_repeated_item_is_one() -> None:
    rows = RatingRows(ITEMS, np.array(0.3), np.array(5.0), np.array(np.nan))
    twice = Taken(np.array([0, 3]), np.array([4, 6, 4]), np.array([1, 3, 5], np.float32))
    once = Taken(np.array([0, 2]), np.array([4, 6]), np.array([5, 3], np.float32))
    assert (rows.users(twice) == rows.users(once)).all()
    unrated = Taken(np.array([0, 2]), np.array([4, 6]), np.array([np.nan, 3], np.float32))
    assert (rows.users(unrated) == rows.users(once)).all()


def test_somebody_known_who_is_folded_in_gets_their_trained_vector() -> None:
    """WMF's last half-sweep solves users against the items that stay: with as many steps as dimensions, exactly."""
    rows = checkerboard()
    catalogue = Catalogue.of(rows)
    data = catalogue.encode(rows)
    model = MODELS["wmf"](configure("wmf", {"embedding_dim": 6, "steps": 12, "reg": 0.1}), catalogue.shape)
    train(model, data, Stream(1))
    fold_in = model.fold_in()
    assert fold_in is not None
    assert fold_in.users(Taken(data.indptr, data.items)) == pytest.approx(model.users.detach().numpy(), abs=1e-5)


def test_weights_of_items_outlive_the_data() -> None:
    rows = checkerboard()
    catalogue = Catalogue.of(rows)
    config = configure("enmf-u", {"popularity_exponent": 0.5, "negative_weight": 4.0, "epochs": 1})
    model = MODELS["enmf-u"](config, catalogue.shape)
    train(model, catalogue.encode(rows), Stream(1))
    fresh = MODELS["enmf-u"](config, catalogue.shape)
    fresh.load_state_dict(model.state_dict())
    expected = negative_weights(torch.from_numpy(catalogue.encode(rows).item_counts), 4.0, 0.5)
    fold_in = fresh.fold_in()
    assert isinstance(fold_in, SquareLossRows)
    assert (fold_in.negative_weights == expected.numpy()).all()


@pytest.mark.parametrize("aggregator", ["mean", "static", "attention", "stacked", "refit", "identity"])
def test_a_stranger_is_answered_by_every_ensemble_and_after_it_was_saved(aggregator: str, tmp_path: Path) -> None:
    rows = checkerboard()
    shards = [rows] if aggregator == "identity" else [rows.take(rows.user_ids % 2 == part) for part in range(2)]
    members = []
    for number, shard in enumerate(shards):
        catalogue = Catalogue.of(shard)
        model = MODELS["wmf"](configure("wmf", {"embedding_dim": 4}), catalogue.shape)
        train(model, catalogue.encode(shard), Stream(number))
        members.append(SubModel(f"shard-{number}", model, catalogue))
    chosen = AGGREGATORS[aggregator]
    ensemble, _ = chosen.fit(members, rows, chosen.Config(), Stream(3))
    ensemble.save(tmp_path)
    items = ensemble.catalogue.items.values
    history = items[: BLOCK_ITEMS // 2]
    for either in (ensemble, Ensemble.load(tmp_path)):
        assert either.accepts == {"history"}
        scores = either.score(np.array([-1, 0, -1]), Asked(histories=[history, items[:0], items[:0]]))
        assert scores[0, BLOCK_ITEMS // 2 : BLOCK_ITEMS].min() > scores[0, BLOCK_ITEMS:].max()
        assert scores[1] == pytest.approx(either.score(np.array([0]))[0], abs=1e-6)
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("exponent", [0.0, 0.7])
def test_a_stranger_of_wmf_gets_what_interactions_of_weight_one_are_solved_to(exponent: float) -> None:
    model = WMF(
        WMF.Config.parse({"alpha": 4.0, "reg": 0.4, "reg_exponent": exponent, "embedding_dim": 5}, "wmf"), Shape(3, 30)
    )
    model.items.data = torch.from_numpy(ITEMS)
    model.negative_weights[:] = torch.linspace(0.05, 0.4, 30)
    negative = model.negative_weights.numpy().astype(np.float64)
    fold_in = model.fold_in()
    for vector, own in zip(fold_in.users(taken()), OWN, strict=True):
        costs = negative.copy()
        costs[own] = 5.0
        system = (ITEMS * costs[:, None]).T @ ITEMS.astype(np.float64)
        system += np.diag(np.diag(system)) + 0.4 * costs.sum() ** exponent * np.eye(5)
        assert vector == pytest.approx(np.linalg.solve(system, 5.0 * ITEMS[own].sum(axis=0)), abs=1e-5)
