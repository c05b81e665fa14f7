"""Ranking metrics of users, as functions of which places of their lists were hits.

Every metric takes ``hits`` [U, L] bool (place r of a user's list is a held-out item), ``sizes`` [U] (how many items
were held out of the user, at least 1, those no list could name included) and the cutoff K <= L. It gives [U] float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def hit_ratio(hits: np.ndarray, sizes: np.ndarray, cutoff: int) -> np.ndarray:
    """1 where at least one held-out item is among the first K, else 0."""
    return np.where(hits[:, :cutoff].any(axis=1), 1.0, 0.0)


def recall(hits: np.ndarray, sizes: np.ndarray, cutoff: int) -> np.ndarray:
    """Hits among the first K over |test|: the denominator of ENMF's, RecEraser's, GHCF's and JNSKR's tables."""
    return hits[:, :cutoff].sum(axis=1) / sizes


def recall_min(hits: np.ndarray, sizes: np.ndarray, cutoff: int) -> np.ndarray:
    """Hits among the first K over min(K, |test|): the denominator of EATNN's, EHCF's and ENSFM's tables."""
    return hits[:, :cutoff].sum(axis=1) / np.minimum(sizes, cutoff)


def ndcg(hits: np.ndarray, sizes: np.ndarray, cutoff: int) -> np.ndarray:
    """DCG with gain 1 / log2(rank + 1) over that of a list that opens with min(K, |test|) hits."""
    return _dcg(hits, cutoff) / _ideal(np.minimum(sizes, cutoff), cutoff)


def ndcg_kgat(hits: np.ndarray, sizes: np.ndarray, cutoff: int) -> np.ndarray:
    """As KGAT, GHCF and JNSKR compute it: the ideal list holds the hits that are among the first L, not |test|.

    It is never below ``ndcg`` and depends on the longest cutoff asked for: offered to compare with their tables only.
    """
    reached = np.minimum(hits.sum(axis=1), cutoff)
    return np.divide(_dcg(hits, cutoff), _ideal(reached, cutoff), out=np.zeros(len(hits)), where=reached > 0)


def _dcg(hits: np.ndarray, cutoff: int) -> np.ndarray:
    return hits[:, :cutoff] @ _discounts(cutoff)


def _ideal(relevant: np.ndarray, cutoff: int) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(_discounts(cutoff))])[relevant]


def _discounts(cutoff: int) -> np.ndarray:
    return 1.0 / np.log2(np.arange(2, cutoff + 2))


METRICS: dict[str, Metric] = {
    "hr": hit_ratio,
    "recall": recall,
    "recall_min": recall_min,
    "ndcg": ndcg,
    "ndcg_kgat": ndcg_kgat,
}
