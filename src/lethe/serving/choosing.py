"""Which of the scored items an answer holds: what may be in it, and how alike its items may be. Functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lethe.serving.answers import Source

POOL = 10
"""Times k: of so many best items the varied ones are chosen."""


RawId = int | str
Scored = list[tuple[RawId, float]]
"""Raw item ids with their scores, best first; equal scores in the order of the ids."""


@dataclass(frozen=True)
class Recommendation:
    """Items for a user, and what chose them: the model; likeness to the items of a history that the model can't
    follow; popularity, for a user the model doesn't know."""

    items: Scored
    source: Source


@dataclass(frozen=True)
class Cap:
    """At most ``most`` items of a kind; ``kinds`` [num_items] int64, -1 for an item of no kind, which is not capped."""

    kinds: np.ndarray
    most: int


@dataclass(frozen=True)
class Choice:
    """What a request says of its answer.

    allowed      [num_items] bool: what may be in it, by lists and filters; None: everything
    keep_seen    what the user took before may be in it
    keep_history what came as the request's history may be in it
    diversity    0: the best items; up to 1: items unlike each other
    """

    allowed: np.ndarray | None = None
    keep_seen: bool = False
    keep_history: bool = False
    diversity: float = 0.0
    caps: tuple[Cap, ...] = field(default=())

    @property
    def varied(self) -> bool:
        """Whether items are chosen with an eye on those chosen before."""
        return bool(self.diversity or self.caps)


ANYTHING = Choice()


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Places of the ``k`` greatest of [num_items] scores, best first, equal ones by place; -inf is in no answer."""
    size = len(scores)
    if 0 < k < size:
        # Everything that ties with the k-th stays in, so that the order of ids decides, not the partition.
        least = np.partition(scores, size - k)[size - k]
        places = np.flatnonzero(scores >= least) if least > -np.inf else np.flatnonzero(scores > -np.inf)
    else:
        places = np.flatnonzero(scores > -np.inf)
    chosen: np.ndarray = places[np.argsort(-scores[places], kind="stable")][:k]
    return chosen


def varied(scores: np.ndarray, k: int, choice: Choice, directions: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Places of ``k`` items, chosen one after another: maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998),

        argmax (1 - diversity) · score - diversity · the greatest cosine with an item chosen before

    over the best ``POOL`` · k items, their scores brought to [0, 1], under the caps. ``directions`` gives the unit
    vectors [n, d] of places. The pool grows where the caps leave too few.
    """
    pool = best(scores, max(k * POOL, 100) if not choice.caps else len(scores))
    if not len(pool):
        return pool
    low, high = float(scores[pool[-1]]), float(scores[pool[0]])
    merit = (1 - choice.diversity) * (scores[pool] - low) / (high - low or 1.0)
    likeness = np.zeros(len(pool))
    vectors = directions(pool) if choice.diversity else None
    left = np.ones(len(pool), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < k and left.any():
        value = merit if not chosen else merit - choice.diversity * likeness
        place = int(np.argmax(np.where(left, value, -np.inf)))
        left[place] = False
        chosen.append(place)
        if vectors is not None:
            likeness = np.maximum(likeness, vectors @ vectors[place])
        for cap in choice.caps:
            kinds = cap.kinds[pool]
            if kinds[place] >= 0 and np.count_nonzero(kinds[chosen] == kinds[place]) >= cap.most:
                left &= kinds != kinds[place]
    result: np.ndarray = pool[np.array(chosen, dtype=np.int64)]
    return result
