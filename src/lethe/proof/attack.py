"""Membership inference: can somebody who sees a model tell the forgotten from those it never saw?

An alarm, not a proof: 0.5 within the interval says that this attack learns nothing, not that none could; the proof is
verification. Each signal is one number a user, higher where an attacker would guess "was in the data".

knows      whether the model knows the user at all, which the service's answers show
answers    how near what is recommended lies to what the user had (after Zhang et al. 2021, the idea of their attack:
           members are answered from their history, others from popularity)
items      how near what the user had lies to itself: seen together, items are drawn together, and that stays in the
           items' vectors when only the user's own vector is deleted
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lethe.core.random import Stream
from lethe.serving.answers import RawId
from lethe.serving.package import Package

RESAMPLES = 1000
LEVEL = 0.95
SHOWN = 10
"""Recommended items that an attacker sees."""


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve, and the bounds of its bootstrap interval at ``LEVEL``."""

    auc: float
    low: float
    high: float

    @property
    def alarm(self) -> bool:
        """Whether the whole interval is above chance: one in forty sound models does that as well."""
        return self.low > 0.5

    def to_json(self) -> dict[str, float]:
        return {"auc": round(self.auc, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Probability that a member [n] has a higher signal than another [m], ties counting half (Mann-Whitney)."""
    order = np.sort(others)
    below, upto = (np.searchsorted(order, members, side=side) for side in ("left", "right"))
    return float((below + upto).sum() / (2 * len(members) * len(others)))


def interval(members: np.ndarray, others: np.ndarray, stream: Stream) -> Auc:
    """The area with its percentile bootstrap interval; both groups are resampled by users."""
    random = stream.numpy("bootstrap")
    drawn = [auc(random.choice(members, len(members)), random.choice(others, len(others))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Auc(auc(members, others), float(low), float(high))


def signals(package: Package, user_id: RawId, item_ids: list[RawId]) -> dict[str, float]:
    """The signals of one user, who had these items; what the package doesn't know any more says nothing."""
    had = package.vectors(item_ids)
    answer = package.recommend(user_id, SHOWN)
    shown = package.vectors([item for item, _ in answer.items])
    return {
        "knows": float(answer.source == "model"),
        "answers": float((had @ shown.T).mean()) if len(had) and len(shown) else 0.0,
        "items": _among(had),
    }


def _among(vectors: np.ndarray) -> float:
    """Mean cosine of each pair of rows; 0 where there is no pair."""
    count = len(vectors)
    if count < 2:
        return 0.0
    cosines = vectors @ vectors.T
    return float((cosines.sum() - np.trace(cosines)) / (count * (count - 1)))
