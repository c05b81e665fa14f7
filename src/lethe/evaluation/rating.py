"""Errors of predicted ratings over held-out ones; every held-out row counts, cold ones too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lethe.data.catalogue import Catalogue
from lethe.data.interactions import Interactions
from lethe.errors import DataError

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Dense users [n] and items [n] int64, -1 where the catalogue doesn't know them -> ratings [n], finite, in stars."""

BLOCK = 65_536
"""Rows predicted at once."""


def evaluate_ratings(predict: Predict, catalogue: Catalogue, held_out: Interactions) -> dict[str, float]:
    """{"rmse": sqrt(mean (r - r̂)²), "mae": mean |r - r̂|, "cold_users": ..., "cold_items": ...} over all rows.

    ``catalogue`` is that of the training data, whose dense ids ``predict`` speaks. ``cold_users`` and ``cold_items``
    are how many of the held-out users and items it doesn't know; their rows are predicted and counted like the others.

    Raises DataError for an empty ``held_out``, one without ratings, or predictions that are not finite numbers.
    """
    if not len(held_out):
        raise DataError("held-out interactions: 0 rows, must be at least 1")
    if held_out.ratings is None:
        raise DataError("held-out interactions: column 'rating' is missing")
    users, items = catalogue.users.encode(held_out.user_ids), catalogue.items.encode(held_out.item_ids)
    squares, distances = 0.0, 0.0
    for start in range(0, len(held_out), BLOCK):
        rows = slice(start, start + BLOCK)
        errors = held_out.ratings[rows].astype(np.float64) - predict(users[rows], items[rows])
        bad = int((~np.isfinite(errors)).sum())
        if bad:
            raise DataError(f"predicted ratings: {bad} of the first {start + len(errors)} rows are not finite")
        squares += float(np.square(errors).sum())
        distances += float(np.abs(errors).sum())
    return {
        "rmse": float(np.sqrt(squares / len(held_out))),
        "mae": distances / len(held_out),
        "cold_users": float(len(np.unique(held_out.user_ids[users < 0]))),
        "cold_items": float(len(np.unique(held_out.item_ids[items < 0]))),
    }
