"""How far the scores of two packages of the same data differ: what is said of a family that does not repeat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lethe.forgetting.certificate import Scores
from lethe.forgetting.certificate.content import drawn
from lethe.serving.package import Package

USERS, ITEMS = 100, 1000
"""How many are compared, at most; drawn by the nonces of the requests."""


def score_difference(served: Package, rebuilt: Package, nonces: Sequence[str]) -> Scores:
    """Over a sample of users and items, the same of both, which know the same ones."""
    catalogue = served.ensemble.catalogue
    users, items = (
        _sample(len(ids), most, nonces) for ids, most in ((catalogue.users, USERS), (catalogue.items, ITEMS))
    )
    one, other = (package.ensemble.score(users)[:, items].astype(np.float64) for package in (served, rebuilt))
    difference, largest = np.abs(one - other), np.maximum(np.abs(one), np.abs(other))
    relative = np.divide(difference, largest, out=np.zeros_like(difference), where=largest > 0)
    return Scores(users=len(users), items=len(items), absolute=float(difference.max()), relative=float(relative.max()))


def _sample(count: int, most: int, nonces: Sequence[str]) -> np.ndarray:
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.array(sorted(map(int, drawn(map(str, range(count)), most, nonces))), dtype=np.int64)
