"""How unlike each other the items of a list are, and how evenly lists share out what they show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit


def gini(counts: np.ndarray) -> float:
    """Gini's coefficient of counts [n], one of them above 0: 0 where all are equal, near 1 where one has it all.

    Σ_i (2 i - n - 1) c_i / (n Σ c) over the counts in increasing order, i from 1.
    """
    ordered, n = np.sort(counts).astype(np.float64), len(counts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


def unlikeness(listed: np.ndarray, cutoffs: Sequence[int], users: np.ndarray, items: np.ndarray) -> list[float | None]:
    """For each cutoff the mean over lists of 1 - the mean cosine of every two of the first items; None where no list
    has two. Cosines are between items as sets of users: |both| / √(|one| |other|), 0 where nobody has an item.

    ``listed`` [S, L] int64 are dense items, -1 beyond a list's end; ``users`` and ``items`` [n] int64 are distinct
    pairs of a user and an item that they have, both dense.
    """
    num_items = int(max(listed.max(initial=-1), items.max(initial=-1))) + 1
    indptr = np.concatenate([[0], np.cumsum(np.bincount(items, minlength=num_items))]).astype(np.int64)
    owners = users[np.argsort(items, kind="stable")]
    ends = np.array(sorted(set(cutoffs)), dtype=np.int64)
    sums, lists = _unlikeness(listed, ends, indptr, owners, int(users.max(initial=-1)) + 1)
    means = {
        int(end): float(total / count) if count else None for end, total, count in zip(ends, sums, lists, strict=True)
    }
    return [means[cutoff] for cutoff in cutoffs]


@njit(nogil=True, cache=True)
def _unlikeness(
    listed: np.ndarray, ends: np.ndarray, indptr: np.ndarray, owners: np.ndarray, num_users: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the lists [E] float64, and how many lists have two items [E] int64.

    With x_v the unit vector of who has v, a list costs the users of its items: Σ_{w before v} cos(v, w) is x_v · Σ x_w.
    """
    sums, lists = np.zeros(len(ends)), np.zeros(len(ends), dtype=np.int64)
    total = np.zeros(num_users)
    for row in range(len(listed)):
        cosines, size, at = 0.0, 0, 0
        for place in range(ends[-1]):
            item = listed[row, place]
            if item >= 0:
                own = owners[indptr[item] : indptr[item + 1]]
                share = 1 / np.sqrt(max(len(own), 1))
                for user in own:
                    cosines += share * total[user]
                    total[user] += share
                size += 1
            if place + 1 == ends[at]:
                if size > 1:
                    sums[at] += 1 - cosines / (size * (size - 1) / 2)
                    lists[at] += 1
                at += 1
        for place in range(ends[-1]):
            item = listed[row, place]
            if item >= 0:
                total[owners[indptr[item] : indptr[item + 1]]] = 0
    return sums, lists
