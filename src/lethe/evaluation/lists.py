"""What lists show: the first items of each user's ranking, how many lists hold each item, and some of the lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from torch import Tensor

from lethe.evaluation.ranking_device import best_there

STEP = 64
"""Scores that are looked at together: most of them hold nothing that belongs on a list."""
SAMPLE = 1000
"""Lists that are kept, at most: comparing the items of a list with each other costs more than to rank them."""


@dataclass(frozen=True)
class Shown:
    """Counts of lists, which grow with each block of users, and a sample of the lists."""

    cutoffs: tuple[int, ...]
    counts: np.ndarray
    """[cutoffs, num_items] int64: how many lists, as long as each cutoff, hold the item."""
    sample: np.ndarray
    """[S, L] int64: the lists of every ``stride``-th user, -1 beyond their end."""
    stride: int

    @classmethod
    def of(cls, cutoffs: Sequence[int], num_items: int, num_lists: int) -> Shown:
        stride = max(-(-num_lists // SAMPLE), 1)
        counts = np.zeros((len(cutoffs), num_items), dtype=np.int64)
        return cls(tuple(cutoffs), counts, np.full((-(-num_lists // stride), max(cutoffs)), -1, dtype=np.int64), stride)

    def lists(
        self, scores: np.ndarray | Tensor, rows: np.ndarray, indptr: np.ndarray, masked: np.ndarray
    ) -> np.ndarray:
        """[B, L] int64: the lists of a block of users, -1 beyond their end. ``scores`` [B, N] are finite, those on a
        device -inf where masked."""
        length = max(self.cutoffs)
        if not isinstance(scores, np.ndarray):
            return best_there(scores, length)
        listed = np.full((len(rows), length), -1, dtype=np.int64)
        best_of(scores, rows, indptr, masked, listed)
        return listed

    def add(self, listed: np.ndarray, rows: np.ndarray) -> None:
        """Count the lists [B, L] of a block of users; one block at a time."""
        num_items = self.counts.shape[1]
        for cutoff, counts in zip(self.cutoffs, self.counts, strict=True):
            items = listed[:, :cutoff]
            counts += np.bincount(items[items >= 0], minlength=num_items)
        kept = rows % self.stride == 0
        self.sample[rows[kept] // self.stride, : listed.shape[1]] = listed[kept]


@njit(nogil=True, cache=True)
def best_of(
    scores: np.ndarray, rows: np.ndarray, masked_indptr: np.ndarray, masked_items: np.ndarray, listed: np.ndarray
) -> None:
    """Write the best items of each row of ``scores`` [B, N] but the masked ones to ``listed`` [B, L], of equal ones
    that of smaller index first. What is beyond the candidates of a user stays as it is."""
    length = listed.shape[1]
    best = np.empty(length, dtype=np.float32)
    for b in range(len(rows)):
        row, items = scores[b], listed[b]
        masked = masked_items[masked_indptr[rows[b]] : masked_indptr[rows[b] + 1]]
        size = 0
        for start in range(0, len(row), STEP):
            part = row[start : start + STEP]
            if size == length and not _any_above(part, best[length - 1]):
                continue
            for j in range(len(part)):
                if size == length and part[j] <= best[length - 1]:
                    continue
                place = np.searchsorted(masked, start + j)
                if place < len(masked) and masked[place] == start + j:
                    continue
                at = min(size, length - 1)
                while at > 0 and best[at - 1] < part[j]:
                    best[at], items[at] = best[at - 1], items[at - 1]
                    at -= 1
                best[at], items[at] = part[j], start + j
                size = min(size + 1, length)


# The cast keeps the sum 32 bits wide, without which the loop runs at half the speed.
@njit(nogil=True, cache=True)
def _any_above(scores: np.ndarray, score: float) -> bool:
    count = np.int32(0)
    for j in range(len(scores)):
        count = np.int32(count + np.int32(scores[j] > score))
    return bool(count > 0)
