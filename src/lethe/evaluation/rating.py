"""Errors of predicted ratings over held-out ones; every held-out row counts, cold ones too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lethe.errors import ConfigError, DataError
from lethe.evaluation.ranking import Score
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Dense users [n] and items [n] int64, -1 where the catalogue doesn't know them -> ratings [n], finite, in stars."""

ERRORS: dict[str, Callable[[np.ndarray], float]] = {
    "rmse": lambda errors: float(np.sqrt(np.square(errors).mean())),
    "mae": lambda errors: float(np.abs(errors).mean()),
    "mse": lambda errors: float(np.square(errors).mean()),
}
"""Metrics of errors r - r̂ [n]; less is better."""

DEFAULT_ERRORS = ("rmse", "mae")

BLOCK = 65_536
"""Rows predicted at once."""

USERS = 256
"""Users scored at once."""


def evaluate_ratings(
    predict: Predict, catalogue: Catalogue, held_out: Interactions, metrics: Sequence[str] = DEFAULT_ERRORS
) -> dict[str, float]:
    """{"rmse": sqrt(mean (r - r̂)²), "mae": mean |r - r̂|, "cold_users": ..., "cold_items": ...} over all rows.

    ``catalogue`` is that of the training data, whose dense ids ``predict`` speaks. ``cold_users`` and ``cold_items``
    are how many of the held-out users and items it doesn't know; their rows are predicted and counted like the others.

    Raises ConfigError for an unknown metric, DataError for an empty ``held_out``, one without ratings, or predictions
    that are not finite numbers.
    """
    _known(metrics)
    return error_means(rating_errors(predict, catalogue, held_out), catalogue, held_out, metrics)


def error_means(
    errors: np.ndarray, catalogue: Catalogue, held_out: Interactions, metrics: Sequence[str] = DEFAULT_ERRORS
) -> dict[str, float]:
    """``evaluate_ratings`` of the errors of each row [n]."""
    _known(metrics)
    users, items = catalogue.users.encode(held_out.user_ids), catalogue.items.encode(held_out.item_ids)
    return {
        **{name: ERRORS[name](errors) for name in metrics},
        "cold_users": float(len(np.unique(held_out.user_ids[users < 0]))),
        "cold_items": float(len(np.unique(held_out.item_ids[items < 0]))),
    }


def _known(metrics: Sequence[str]) -> None:
    unknown = [name for name in metrics if name not in ERRORS]
    if unknown:
        raise ConfigError(f"metrics: unknown {unknown[0]!r}; known metrics of ratings: {', '.join(ERRORS)}")


def rating_errors(predict: Predict, catalogue: Catalogue, held_out: Interactions) -> np.ndarray:
    """r - r̂ of each held-out row -> [n] float64, finite; raises DataError as ``evaluate_ratings`` does."""
    if not len(held_out):
        raise DataError("held-out interactions: 0 rows, must be at least 1")
    if held_out.ratings is None:
        raise DataError("held-out interactions: column 'rating' is missing")
    users, items = catalogue.users.encode(held_out.user_ids), catalogue.items.encode(held_out.item_ids)
    errors = np.empty(len(held_out))
    for start in range(0, len(held_out), BLOCK):
        rows = slice(start, start + BLOCK)
        errors[rows] = held_out.ratings[rows].astype(np.float64) - predict(users[rows], items[rows])
        bad = int((~np.isfinite(errors[rows])).sum())
        if bad:
            raise DataError(f"predicted ratings: {bad} of the first {start + len(errors)} rows are not finite")
    return errors


def predict_by_scores(score: Score, catalogue: Catalogue, train: Interactions) -> Predict:
    """Predictions of a recommender whose scores are ratings, clipped to the range of ``train``'s.

    A cold cell is answered by the mean of ``train`` plus the offset of the side that is known: the mean of its ratings
    less that of all. Raises DataError where ``train`` has no ratings.
    """
    rows = catalogue.encode(train)
    if rows.ratings is None or not len(rows):
        raise DataError("training interactions: no ratings, which errors of ratings are measured against")
    ratings = rows.ratings.astype(np.float64)
    mean, lowest, highest = ratings.mean(), ratings.min(), ratings.max()
    # The last offset is that of whatever is unknown, whose index is -1.
    user_offsets = _offsets(rows.users, ratings - mean, rows.num_users)
    item_offsets = _offsets(rows.items, ratings - mean, rows.num_items)

    def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        predicted = mean + user_offsets[users] + item_offsets[items]
        warm = np.flatnonzero((users >= 0) & (items >= 0))
        people, places = np.unique(users[warm], return_inverse=True)
        for start in range(0, len(people), USERS):
            own = (places >= start) & (places < start + USERS)
            predicted[warm[own]] = score(people[start : start + USERS])[places[own] - start, items[warm[own]]]
        return predicted.clip(lowest, highest)

    return predict


def _offsets(rows: np.ndarray, differences: np.ndarray, count: int) -> np.ndarray:
    """The mean difference of each row, 0 for one without any and for a last one -> [count + 1] float64."""
    sums, sizes = np.bincount(rows, differences, count + 1), np.bincount(rows, minlength=count + 1)
    return sums / np.maximum(sizes, 1)
