"""ItemKNN, EASE and SLIM: their item-item matrices against dense algebra, and what an empty model takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.ease import closed_form
from lethe.models.parts.item_based import ItemBased
from lethe.models.solvers import item_gram
from lethe.models.solvers.cooccurrence import cooccurrence
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS = 15, 8


def matrix() -> InteractionMatrix:
    # User 2 and item 5 have nothing.
    filled = np.random.default_rng(0).random((USERS, ITEMS)) < 0.4
    filled[2], filled[:, 5] = False, False
    return InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))


def scores(name: str, **values: object) -> np.ndarray:
    data = matrix()
    model = MODELS[name](configure(name, values), data.shape)
    train(model, data, Stream(1))
    assert isinstance(model, ItemBased)
    return model.score(torch.arange(USERS)).numpy()


@pytest.mark.parametrize(("neighbours", "shrinkage"), [(2, 0.0), (3, 5.0), (100, 1.0)])
def test_item_knn_is_the_cosine_of_the_nearest(neighbours: int, shrinkage: float) -> None:
    y = matrix().csr().toarray().astype(np.float64)
    counts = y.T @ y
    lengths = np.sqrt(np.diag(counts))
    expected = np.zeros((USERS, ITEMS))
    for item in range(ITEMS):
        similar = counts[item] / np.maximum(np.outer(lengths, lengths)[item] + shrinkage, 1e-9)
        similar[item] = 0
        for other in sorted(range(ITEMS), key=lambda w: (-np.float32(similar[w]), w))[:neighbours]:
            expected[:, item] += similar[other] * y[:, other]
    assert scores("item-knn", neighbours=neighbours, shrinkage=shrinkage) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_ease_is_a_ridge_regression_of_each_item_on_the_others(precision: str) -> None:
    y = matrix().csr().toarray().astype(np.float64)
    weights = closed_form((y.T @ y).astype(precision), 3.0)
    for item in range(ITEMS):
        others = np.delete(y, item, axis=1)
        ridge = np.linalg.solve(others.T @ others + 3.0 * np.eye(ITEMS - 1), others.T @ y[:, item])
        assert np.delete(weights[:, item], item) == pytest.approx(ridge, abs=1e-5)
        assert weights[item, item] == 0
    assert scores("ease", reg=3.0, precision=precision) == pytest.approx(y @ weights, abs=1e-5)


@pytest.mark.parametrize("dense", [0, 10**9])
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_ease_of_tensors_is_that_of_arrays(kind: torch.dtype, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, by blocks of users written out, or where rows are thin by pairs counted on the CPU."""
    monkeypatch.setattr(item_gram, "DENSE", dense)
    monkeypatch.setattr(item_gram, "BLOCK", 4)
    data = matrix()
    counts = cooccurrence(data).toarray()
    gram = item_gram.gram_there(data, torch.device("cpu"), kind)
    assert gram.dtype == kind
    assert (gram.numpy() == counts).all()
    expected = closed_form(counts.astype(np.float64), 3.0)
    assert item_gram.closed_form_there(gram, 3.0).numpy() == pytest.approx(expected, abs=1e-5)


def test_slim_scores_with_its_own_matrix_and_reports_its_loss() -> None:
    data = matrix()
    model = MODELS["slim"](configure("slim", {"l1": 0.5, "l2": 1.0, "tolerance": 0.0}), data.shape)
    (row,) = train(model, data, Stream(1))
    y = data.csr().toarray().astype(np.float64)
    # What the user who has one item alone is shown is that item's row of W.
    weights = np.zeros((ITEMS, ITEMS))
    single = MODELS["slim"](configure("slim", {}), Shape(ITEMS, ITEMS))
    single.load_state_dict(
        {**model.state_dict(), "indptr": torch.arange(ITEMS + 1), "history": torch.arange(ITEMS)}, strict=True
    )
    weights = single.score(torch.arange(ITEMS)).double().numpy()
    assert (weights >= 0).all()
    assert not weights.diagonal().any()
    loss = 0.5 * np.square(y - y @ weights).sum() + 0.5 * np.square(weights).sum() + 0.5 * weights.sum()
    assert row["loss"] == pytest.approx(loss - 0.5 * y.sum(), rel=1e-5)
    assert model.score(torch.arange(USERS)).numpy() == pytest.approx(y @ weights, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "values", "rule"),
    [
        ("item-knn", {"neighbours": 0}, r"neighbours: 0 .*greater than or equal to 1"),
        ("item-knn", {"shrinkage": -1.0}, r"shrinkage: -1\.0"),
        ("ease", {"reg": 0.0}, r"reg: 0\.0 .*greater than 0"),
        ("slim", {"l1": -0.5}, r"l1: -0\.5"),
    ],
)
def test_impossible_values_are_named(name: str, values: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"models\.{name}\.{rule}"):
        configure(name, values)
