"""Full ranking: every item of the catalogue a user has not been seen with is a candidate; no sampled metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
import torch
from numba import njit
from torch import Tensor

from lethe.core.cores import in_pieces
from lethe.errors import ConfigError, DataError
from lethe.evaluation.lists import Shown
from lethe.evaluation.metrics import METRICS
from lethe.evaluation.ranking_device import at_once, mark_there
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Column

Score = Callable[[np.ndarray], "np.ndarray | Tensor"]
"""Dense users [B] int64 -> scores [B, num_items] float32, finite; higher is better. Tensors are ranked where they are,
and may be overwritten."""

DEFAULT_METRICS = ("hr", "recall", "recall_min", "ndcg")
CUTOFFS = (10, 20, 50)
BLOCK = 256
"""Users scored at once: scores are never held for all users."""


class Measured(TypedDict, total=False):
    """What lists are measured by: what is left out is as it is by default."""

    cutoffs: Sequence[int]
    """Lengths of the lists, each at least 1: 10, 20 and 50."""
    metrics: Sequence[str]
    """Names of METRICS: DEFAULT_METRICS."""


def evaluate(
    score: Score,
    catalogue: Catalogue,
    seen: Interactions,
    held_out: Interactions,
    **measured: Unpack[Measured],
) -> dict[str, float]:
    """Means over the users of ``held_out``, each weighing the same, e.g. ``{"recall@20": 0.25, ..., "cold_users": 3}``.

    ``cold_users`` is the number of them that ``catalogue`` doesn't know. See ``evaluate_users`` for the rest.
    """
    return means(evaluate_users(score, catalogue, seen, held_out, **measured))


def means(values: dict[str, np.ndarray]) -> dict[str, float]:
    """What ``evaluate_users`` gave, averaged over the users; ``cold_users`` is counted."""
    return {name: float(c.sum() if name == "cold_users" else c.mean()) for name, c in values.items()}


def evaluate_users(
    score: Score,
    catalogue: Catalogue,
    seen: Interactions,
    held_out: Interactions,
    **measured: Unpack[Measured],
) -> dict[str, np.ndarray]:
    """Metrics of each user of ``held_out``, in order of raw id: ``{"recall@20": [U], ..., "cold_users": [U]}``.

    As ``rank_users``, which counts what was listed too.
    """
    return _rank(score, catalogue, seen, held_out, measured, show=False).values


class Ranked(NamedTuple):
    """What lists came to: one for each user, or several where a user is asked about in several contexts."""

    people: np.ndarray
    """Raw ids [U] of whose lists they are."""
    values: dict[str, np.ndarray]
    """{"recall@20": [U], ..., "cold_users": [U]}."""
    shown: np.ndarray
    """[cutoffs, num_items] int64: how many lists, as long as each cutoff, hold the item."""
    sample: np.ndarray
    """[S, L] int64: dense items of some of the lists, evenly chosen, -1 beyond a list's end."""


def rank_users(
    score: Score,
    catalogue: Catalogue,
    seen: Interactions,
    held_out: Interactions,
    **measured: Unpack[Measured],
) -> Ranked:
    """Metrics of each user of ``held_out``, in order of raw id, and how often each item was listed.

    ``catalogue`` is that of the training data, whose dense ids ``score`` speaks. Items a user has in ``seen`` are no
    candidates. Equal scores rank by item index, as in a stable full sort. Held-out items that are unknown to the
    catalogue (or are in ``seen``) count in the denominators and are never hit. Users unknown to it are ranked by the
    items' counts in ``seen``, as the service does, and have 1 in ``cold_users``.

    Raises ConfigError for an unknown metric or a cutoff below 1, DataError for an empty ``held_out`` or scores that are
    not numbers.
    """
    return _rank(score, catalogue, seen, held_out, measured, show=True)


def _rank(
    score: Score,
    catalogue: Catalogue,
    seen: Interactions,
    held_out: Interactions,
    measured: Measured,
    *,
    show: bool,
) -> Ranked:
    cutoffs, names = measured.get("cutoffs", CUTOFFS), measured.get("metrics", DEFAULT_METRICS)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ConfigError(f"metrics: unknown {unknown[0]!r}; known metrics: {', '.join(METRICS)}")
    if not cutoffs or min(cutoffs) < 1:
        raise ConfigError(f"cutoffs: {list(cutoffs)} must be one or more numbers of at least 1")
    if not len(held_out):
        raise DataError("held-out interactions: 0 rows, must be at least 1")

    people = Ids(np.asarray(held_out.user_ids[is_first(held_out.user_ids)]))
    users = catalogue.users.encode(people.values)
    masked, tests = (_Rows.of(people, catalogue.items, table) for table in (seen, held_out))
    known, cold = np.flatnonzero(users >= 0), np.flatnonzero(users < 0)
    hits = np.zeros((len(people), max(cutoffs)), dtype=np.bool_)
    shown = Shown.of(cutoffs, len(catalogue.items), len(people)) if show else None
    _mark_hits(lambda rows: score(users[rows]), known, masked, tests, hits, shown)
    if len(cold):
        popular = popularity(catalogue, seen)
        _mark_hits(lambda rows: np.broadcast_to(popular, (len(rows), len(popular))), cold, masked, tests, hits, shown)
    sizes = _distinct_items(people, held_out)
    values = {f"{name}@{cutoff}": METRICS[name](hits, sizes, cutoff) for name in names for cutoff in cutoffs}
    values["cold_users"] = (users < 0).astype(np.float64)
    nothing = np.zeros((0, 0), np.int64)
    return Ranked(people.values, values, *((nothing, nothing) if shown is None else (shown.counts, shown.sample)))


def popularity(catalogue: Catalogue, seen: Interactions) -> np.ndarray:
    """Scores [num_items] float32 for a user nothing is known of: rows of ``seen`` that hold the item."""
    items = catalogue.items.encode(seen.item_ids)
    return np.bincount(items[items >= 0], minlength=len(catalogue.items)).astype(np.float32)


class _Rows(NamedTuple):
    """Dense items of each of some users: row r has ``items[indptr[r]:indptr[r + 1]]``, increasing and distinct."""

    indptr: np.ndarray
    items: np.ndarray

    @classmethod
    def of(cls, people: Ids, items: Ids, table: Interactions) -> _Rows:
        rows, columns = people.encode(table.user_ids), items.encode(table.item_ids)
        # The table's canonical order is that of the dense indices too: by user, then item.
        kept = (rows >= 0) & (columns >= 0)
        kept &= is_first(rows) | is_first(columns)
        counts = np.bincount(rows[kept], minlength=len(people))
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), columns[kept])


def _distinct_items(people: Ids, held_out: Interactions) -> np.ndarray:
    """[U] int64: |test| of each user, the items no catalogue knows included."""
    rows = people.encode(held_out.user_ids)
    return np.bincount(rows[is_first(rows) | is_first(held_out.item_ids)], minlength=len(people))


def is_first(column: Column) -> np.ndarray:
    """[n] bool: whether each value of a column is another than the one before it."""
    first = np.ones(len(column), dtype=np.bool_)
    first[1:] = column[1:] != column[:-1]
    return first


def _mark_hits(
    score: Score, rows: np.ndarray, masked: _Rows, tests: _Rows, hits: np.ndarray, shown: Shown | None
) -> None:
    """Set ``hits`` [U, L] at each place of the lists of ``rows`` that holds a held-out item; count what they show."""
    counting = Lock()

    def mark(block: np.ndarray) -> int | None:
        """The rows of one block -> how many a device may compare at once; None for what is no device."""
        with torch.no_grad():  # It goes by thread.
            scores = score(block)
        if isinstance(scores, np.ndarray):
            scores = np.ascontiguousarray(scores, dtype=np.float32)
            finite, most = bool(_mark_block(scores, block, *masked, *tests, hits)), None
        else:
            finite, most = mark_there(scores, block, masked, tests, hits), at_once(scores.shape[1])
        if not finite:
            raise DataError("scores must be finite numbers, got some that are not: did the training diverge?")
        if shown is not None:
            listed = shown.lists(scores, block, *masked)
            with counting:
                shown.add(listed, block)
        return most

    if not len(rows):
        return
    rest, size = rows[BLOCK:], mark(rows[:BLOCK])
    if size is None:
        in_pieces(len(rest), BLOCK, lambda first, end: mark(rest[first:end]))
        return
    for first in range(0, len(rest), size):
        mark(rest[first : first + size])


@njit(nogil=True, cache=True)
def _mark_block(
    scores: np.ndarray,
    rows: np.ndarray,
    masked_indptr: np.ndarray,
    masked_items: np.ndarray,
    test_indptr: np.ndarray,
    test_items: np.ndarray,
    hits: np.ndarray,
) -> bool:
    """Rank the held-out items of each row of ``scores`` [B, N] by counting; False if a score is not finite.

    An item's rank is the number of greater scores, and of equal ones of smaller index. The best held-out item goes
    first, and the first one beyond the list ends the row: a user costs one pass over the scores for each hit, and one
    more, which is less than the d multiply-adds that made each score. Nothing is sorted or copied.
    """
    done = np.float32(-np.inf)
    for b in range(len(rows)):
        row = scores[b]
        if _finite(row) < len(row):
            return False
        masked = masked_items[masked_indptr[rows[b]] : masked_indptr[rows[b] + 1]]
        tests = test_items[test_indptr[rows[b]] : test_indptr[rows[b] + 1]]
        masked_scores, left = row[masked], row[tests]
        for j in range(len(tests)):
            place = np.searchsorted(masked, tests[j])
            if place < len(masked) and masked[place] == tests[j]:
                left[j] = done
        for _ in range(len(tests)):
            # Of equal ones the first, whose index is the smallest.
            best = np.argmax(left)
            item, score = tests[best], left[best]
            if score == done:
                break
            left[best] = done
            place = np.searchsorted(masked, item)
            rank = _at_least(row[:item], score) + _above(row[item + 1 :], score)
            rank -= _at_least(masked_scores[:place], score) + _above(masked_scores[place:], score)
            if rank >= hits.shape[1]:
                break
            hits[rows[b], rank] = True
    return True


# The casts keep the sums 32 bits wide, without which these loops run at half the speed.
@njit(nogil=True, cache=True)
def _above(scores: np.ndarray, score: float) -> np.int32:
    count = np.int32(0)
    for j in range(len(scores)):
        count = np.int32(count + np.int32(scores[j] > score))
    return count


@njit(nogil=True, cache=True)
def _at_least(scores: np.ndarray, score: float) -> np.int32:
    count = np.int32(0)
    for j in range(len(scores)):
        count = np.int32(count + np.int32(scores[j] >= score))
    return count


@njit(nogil=True, cache=True)
def _finite(scores: np.ndarray) -> np.int32:
    count = np.int32(0)
    for j in range(len(scores)):
        count = np.int32(count + np.int32(scores[j] - scores[j] == 0))
    return count
