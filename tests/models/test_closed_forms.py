"""The neighbours and the graph filters against their formulas, in loops and dense float64 algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.ease import closed_form
from lethe.models.parts.base import Given
from lethe.models.solvers.cooccurrence import weighted_cooccurrence
from lethe.models.user_knn import UserKNN
from lethe.models.wmf import WMF
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS = 15, 8


def matrix(density: float = 0.4) -> InteractionMatrix:
    # User 2 has nothing, and mostly nobody has item 5.
    filled = np.random.default_rng(0).random((USERS, ITEMS)) < density
    filled[2], filled[:, 5] = False, filled[:, 5] & (density > 0.5)
    return InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))


def scores(name: str, **values: object) -> np.ndarray:
    data = matrix()
    model = MODELS[name](configure(name, values), data.shape)
    train(model, data, Stream(1))
    return model.score(torch.arange(USERS)).numpy()


@pytest.mark.parametrize(("neighbours", "alpha", "beta"), [(3, 0.7, 0.4), (100, 1.0, 0.0)])
def test_rp3beta_walks_three_steps(neighbours: int, alpha: float, beta: float) -> None:
    y = matrix().csr().toarray().astype(np.float64)
    of_user, of_item = np.maximum(y.sum(axis=1), 1), np.maximum(y.sum(axis=0), 1)
    weights = np.zeros((ITEMS, ITEMS))
    for w in range(ITEMS):
        row = np.zeros(ITEMS)
        for v in set(range(ITEMS)) - {w}:
            for t in range(USERS):
                row[v] += y[t, w] * y[t, v] / (of_item[w] * of_user[t]) ** alpha / of_item[v] ** beta
        for v in sorted(range(ITEMS), key=lambda v: (-row[v], v))[:neighbours]:
            weights[w, v] = row[v]
    assert scores("rp3beta", neighbours=neighbours, alpha=alpha, beta=beta) == pytest.approx(y @ weights, abs=1e-6)


@pytest.mark.parametrize(("neighbours", "shrinkage"), [(2, 0.0), (100, 5.0)])
def test_user_knn_is_the_cosine_of_the_nearest(neighbours: int, shrinkage: float) -> None:
    y = matrix().csr().toarray().astype(np.float64)
    shared = y @ y.T
    lengths = np.sqrt(np.diag(shared))
    expected = np.zeros((USERS, ITEMS))
    for user in range(USERS):
        similar = shared[user] / np.maximum(lengths[user] * lengths + shrinkage, 1e-9)
        similar[user] = 0
        for other in sorted(range(USERS), key=lambda t: (-np.float32(similar[t]), t))[:neighbours]:
            expected[user] += similar[other] * y[other]
    assert scores("user-knn", neighbours=neighbours, shrinkage=shrinkage) == pytest.approx(expected, abs=1e-6)


def test_user_knn_answers_a_stranger_as_it_would_have_a_user_and_shares_the_votes_out() -> None:
    data, items = matrix(), torch.tensor([0, 3, 6])
    model = UserKNN(UserKNN.Config(neighbours=4, shrinkage=2.0), data.shape)
    train(model, data, Stream(1))
    scores = model.score_given(torch.tensor([-1, 3]), Given(history=(torch.tensor([0, 3, 3]), items)))
    users, more = np.append(data.users, [USERS] * 3), np.append(data.items, items)
    known = InteractionMatrix(Shape(USERS + 1, ITEMS), users, more)
    other = UserKNN(model.config, known.shape)
    train(other, known, Stream(1))
    assert scores[0].tolist() == pytest.approx(other.score(torch.tensor([USERS]))[0].tolist(), abs=1e-6)
    assert scores[1].tolist() == model.score(torch.tensor([3]))[0].tolist()
    for item in range(ITEMS):
        assert float(model.weights_to(items, item).sum()) == pytest.approx(float(scores[0, item]), abs=1e-6)


def normalised(user_power: float, item_power: float) -> tuple[np.ndarray, np.ndarray]:
    y = matrix().csr().toarray().astype(np.float64)
    of_user, of_item = np.maximum(y.sum(axis=1), 1), np.maximum(y.sum(axis=0), 1)
    return y, of_user[:, None] ** -user_power * y * of_item**-item_power


def test_gf_cf_filters_by_the_leading_singular_vectors() -> None:
    y, r = normalised(0.5, 0.5)
    lengths = np.sqrt(np.maximum(y.sum(axis=0), 1))
    leading = np.linalg.svd(r)[2][:3].T
    ideal = np.diag(1 / lengths) @ leading @ leading.T @ np.diag(lengths)
    assert scores("gf-cf", embedding_dim=3, low_pass=0.3) == pytest.approx(y @ (r.T @ r + 0.3 * ideal), abs=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_turbo_cf_is_a_polynomial_of_the_item_graph(order: int) -> None:
    y, r = normalised(0.3, 0.7)
    p = (r.T @ r) ** 1.4
    filters = {1: p, 2: 2 * p - p @ p, 3: p + 0.01 * (-p @ p @ p + 10 * p @ p - 29 * p)}
    assert scores("turbo-cf", alpha=0.3, power=1.4, order=order) == pytest.approx(y @ filters[order], abs=1e-6)


def test_the_graph_of_turbo_cf_is_the_exact_sum_of_its_shards_in_any_order() -> None:
    data = matrix()
    parts = [
        weighted_cooccurrence(InteractionMatrix(data.shape, data.users[own], data.items[own]), 0.6).toarray()
        for own in (data.users % 3 == shard for shard in range(3))
    ]
    whole = weighted_cooccurrence(data, 0.6).toarray()
    assert (parts[2] + parts[0] + parts[1] == whole).all()
    assert (whole - parts[1] == parts[0] + parts[2]).all()


def test_sparse_ease_with_all_items_as_neighbours_is_ease() -> None:
    data = matrix(0.7)
    y = data.csr().toarray().astype(np.float64)
    assert (y.T @ y > 0).all()
    model = MODELS["sparse-ease"](configure("sparse-ease", {"neighbours": ITEMS, "reg": 3.0}), data.shape)
    train(model, data, Stream(1))
    expected = y @ closed_form(y.T @ y, 3.0)
    assert model.score(torch.arange(USERS)).numpy() == pytest.approx(expected, abs=1e-6)


def test_sparse_ease_regresses_each_item_on_the_most_similar_alone() -> None:
    y = matrix().csr().toarray().astype(np.float64)
    gram = y.T @ y
    lengths = np.maximum(np.sqrt(np.diag(gram)), 1e-9)
    weights = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        similar = gram[item] / (lengths[item] * lengths)
        near = [w for w in sorted(range(ITEMS), key=lambda w: (-np.float32(similar[w]), w)) if w != item]
        near = [w for w in near if similar[w] > 0][:3]
        weights[near, item] = np.linalg.solve(gram[np.ix_(near, near)] + 2.0 * np.eye(len(near)), gram[near, item])
    assert scores("sparse-ease", neighbours=3, reg=2.0) == pytest.approx(y @ weights, abs=1e-6)


def test_somebody_new_is_held_back_by_the_weight_of_their_cells() -> None:
    data = matrix()
    model = WMF(WMF.Config(embedding_dim=3, reg=0.3, reg_exponent=0.5, sweeps=60, steps=6), data.shape)
    train(model, data, Stream(1))
    for user in (0, 4):
        own = torch.from_numpy(data.items[data.users == user])
        given = Given(history=(torch.tensor([0, len(own)]), own))
        folded = model.score_given(torch.tensor([-1]), given)[0].tolist()
        assert folded == pytest.approx(model.score(torch.tensor([user]))[0].tolist(), abs=1e-4)
