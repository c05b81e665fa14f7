"""Errors of ratings against sums by hand and scikit-learn; cold rows count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from lethe.core.random import Stream
from lethe.errors import DataError
from lethe.evaluation import rating
from lethe.evaluation.rating import evaluate_ratings, predict_by_scores
from lethe.learning.training import train as learn
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

TRAIN = Catalogue.of(Interactions.of(np.array([10, 20, 30]), np.array([1, 2, 3])))


def held_out(*rows: tuple[int, int, float]) -> Interactions:
    users, items, stars = np.array(rows).T
    return Interactions.of(users, items, stars)


def test_by_hand_with_cold_users_and_items() -> None:
    asked: list[tuple[int, int]] = []

    def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        asked.extend(zip(users.tolist(), items.tolist(), strict=True))
        return np.full(len(users), 3.0)

    # Two rows of one unknown user, three of two unknown items; errors 2, -2, 1, 0, 1.
    table = held_out((10, 1, 5), (20, 8, 1), (30, 9, 4), (40, 3, 3), (40, 9, 4))
    assert evaluate_ratings(predict, TRAIN, table) == {
        "rmse": pytest.approx(np.sqrt(10 / 5)),
        "mae": pytest.approx(6 / 5),
        "cold_users": 1.0,
        "cold_items": 2.0,
    }
    assert asked == [(0, 0), (1, -1), (2, -1), (-1, 2), (-1, -1)]


def test_errors_of_opposite_signs_do_not_cancel_in_the_mae() -> None:
    table = held_out((10, 1, 5), (20, 1, 1))
    assert evaluate_ratings(lambda users, items: np.full(len(users), 3.0), TRAIN, table)["mae"] == 2.0


def test_against_scikit_learn_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rating, "BLOCK", 7)
    generator = np.random.default_rng(0)
    users, items = np.divmod(generator.permutation(100)[:50], 10)
    table = Interactions.of(users, items, generator.integers(1, 6, 50))
    guesses = generator.normal(3, 1, (10, 10))
    catalogue = Catalogue.of(Interactions.of(*np.divmod(np.arange(100), 10)))
    found = evaluate_ratings(lambda u, i: guesses[u, i], catalogue, table)
    guessed = guesses[table.user_ids, table.item_ids]
    assert found["rmse"] == pytest.approx(root_mean_squared_error(table.ratings, guessed))
    assert found["mae"] == pytest.approx(mean_absolute_error(table.ratings, guessed))
    assert found["cold_users"] == found["cold_items"] == 0


def test_what_cannot_be_measured_is_named() -> None:
    table = held_out((10, 1, 5), (20, 1, 1))
    with pytest.raises(DataError, match="0 rows, must be at least 1"):
        evaluate_ratings(lambda users, items: users, TRAIN, table.take(np.zeros(2, bool)))
    with pytest.raises(DataError, match="column 'rating' is missing"):
        evaluate_ratings(lambda users, items: users, TRAIN, Interactions.of(np.array([10]), np.array([1])))
    with pytest.raises(DataError, match="1 of the first 2 rows are not finite"):
        evaluate_ratings(lambda users, items: np.array([3.0, np.nan]), TRAIN, table)


def test_scores_as_predictions_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rating, "USERS", 2)
    # Mean 3; offsets of users -1, 1, 1, of items -1.5, 1.5, 0.
    train = held_out((10, 1, 1), (10, 3, 3), (20, 2, 5), (30, 1, 2), (30, 2, 4))
    scores = np.arange(9, dtype=np.float32).reshape(3, 3)
    predict = predict_by_scores(lambda users: scores[users], Catalogue.of(train), train)
    users, items = np.array([0, 2, 1, 0, -1, 2, -1]), np.array([0, 0, 1, 2, 1, -1, -1])
    # Scores 0, 6, 4, 2 within 1 to 5; then 3 + 1.5, 3 + 0 (user 30: 2 and 4) and the mean of all.
    assert predict(users, items).tolist() == pytest.approx([1, 5, 4, 2, 4.5, 3, 3])


def test_an_unbiased_models_scores_predict_as_the_model_does() -> None:
    generator = np.random.default_rng(3)
    users, items = np.divmod(generator.permutation(120)[:80], 10)
    train = Interactions.of(users, items, generator.integers(1, 6, 80))
    catalogue = Catalogue.of(train)
    model = MODELS["lfm"](configure("lfm", {"epochs": 3, "embedding_dim": 4}), catalogue.shape)
    learn(model, catalogue.encode(train), Stream(1))
    predict = predict_by_scores(lambda rows: model.score(torch.from_numpy(rows)).numpy(), catalogue, train)
    rows, columns = generator.integers(-1, 8, 200), generator.integers(-1, 10, 200)
    expected = model.predict(torch.from_numpy(rows), torch.from_numpy(columns)).numpy()
    assert predict(rows, columns) == pytest.approx(expected, abs=1e-5)


def test_there_is_nothing_to_predict_by_without_ratings() -> None:
    train = Interactions.of(np.array([10]), np.array([1]))
    with pytest.raises(DataError, match="training interactions: no ratings"):
        predict_by_scores(lambda users: np.zeros((1, 1)), TRAIN, train)
