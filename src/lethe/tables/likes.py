"""Which rows are likes: what models of preferences learn, where a dataset has ratings that say otherwise."""

from __future__ import annotations

import re

import numpy as np

from lethe.errors import DataError
from lethe.tables.interactions import Interactions

_THRESHOLD = re.compile(r" *(>=|>) *(-?[0-9]+(?:[.][0-9]+)?) *")


def are_likes(rows: Interactions, threshold: str | None) -> np.ndarray:
    """[n] bool: rows whose rating keeps to a threshold such as ``>= 4`` or ``> 0``; None: all do."""
    if threshold is None:
        return np.ones(len(rows), dtype=bool)
    if rows.ratings is None:
        raise DataError(f"positive: {threshold!r} needs ratings, the dataset has none")
    return passes(rows.ratings, threshold)


def passes(ratings: np.ndarray, threshold: str) -> np.ndarray:
    """[n] bool: ratings that keep to a threshold; one that is nan doesn't."""
    parts = _THRESHOLD.fullmatch(threshold)
    assert parts is not None, "checked where params are read"
    least = np.float32(parts[2])
    kept: np.ndarray = ratings >= least if parts[1] == ">=" else ratings > least
    return kept


def likes(rows: Interactions, threshold: str | None) -> Interactions:
    """The rows that are likes."""
    return rows if threshold is None else rows.take(are_likes(rows, threshold))
