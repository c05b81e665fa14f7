"""Train, validation and test rows. Which part a row is in depends on its own user's rows alone.

So deleting rows of one user never moves a row of another (the law of locality): nothing here counts, ranks or shuffles
across users, and whatever is random is a keyed hash of the row itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lethe.config.dataset import LeaveOneOutSplit, NewestSplit, RandomSplit, ReadySplit, Split
from lethe.core.random import Stream, keyed_hash, unit_interval
from lethe.errors import DataError
from lethe.tables.columns import distinct, hashed
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import sums_of_runs
from lethe.tables.texts import concatenated

PARTS = ("train", "valid", "test")
_TRAIN, _VALID, _TEST = range(3)


def split(
    interactions: Interactions, config: Split, stream: Stream, *, parts: dict[str, Interactions] | None = None
) -> dict[str, Interactions]:
    """{"train", "valid", "test"}: every row in exactly one.

    ``parts``, needed by a ready-made split alone, says which part the source has a row in; rows that are no longer in
    ``interactions`` are left out. Raises DataError where the split needs timestamps or parts that are not there.
    """
    match config:
        case RandomSplit():
            label = _by_key(interactions, config.valid, config.test, stream)
        case LeaveOneOutSplit():
            label = _leave_one_out(interactions, config, stream)
        case NewestSplit():
            label = _newest(interactions, config, stream)
        case ReadySplit():
            label = _ready(interactions, config, stream, parts or {})
    return {name: interactions.take(label == place) for place, name in enumerate(PARTS)}


def deduplicate(interactions: Interactions, duplicates: str) -> Interactions:
    """At most one row of each (user, item) in one context: the latest, of equally late ones the best rated.

    With ``duplicates`` "sum" it weighs what all of them do, of which each weighs 1 where there are no weights; with
    "error" a repeated pair raises DataError instead.
    """
    last = _last_of_pair(interactions)
    if duplicates == "sum":
        weights = np.ones(len(interactions)) if interactions.weights is None else interactions.weights
        first = np.append(True, last[:-1])[: len(last)]
        return replace(interactions.take(last), weights=sums_of_runs(weights, first))
    repeated = len(interactions) - int(last.sum())
    if duplicates == "error":
        must_be_distinct(repeated)
    return interactions.take(last) if repeated else interactions


def must_be_distinct(repeated: int) -> None:
    """Raises DataError where so many rows repeat a pair."""
    if repeated:
        raise DataError(f"columns 'user', 'item': a pair must occur once, {repeated} rows repeat one; see `duplicates`")


def count_repeated(interactions: Interactions) -> int:
    """How many rows ``deduplicate`` leaves out."""
    return len(interactions) - int(_last_of_pair(interactions).sum())


def _last_of_pair(interactions: Interactions) -> np.ndarray:
    """[n] bool: the last row of each (user, item) in one context; in canonical order the latest and best rated."""
    keys = [interactions.user_ids, interactions.item_ids, *interactions.contexts.values()]
    changes = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.append(changes, True)[: len(interactions)].astype(bool)


def pair_hash(interactions: Interactions, stream: Stream) -> np.ndarray:
    """[n] uint64: a hash of each row's (user, item) under the stream's name."""
    key = (stream.seed, *stream.names)
    users = hashed(interactions.user_ids, *key, "user")
    items = hashed(interactions.item_ids, *key, "item")
    return keyed_hash((users ^ items).view(np.int64), *key, "pair")


def _by_key(interactions: Interactions, valid: float, test: float, stream: Stream) -> np.ndarray:
    draw = unit_interval(pair_hash(interactions, stream))
    return np.where(draw < test, _TEST, np.where(draw < test + valid, _VALID, _TRAIN))


def _leave_one_out(interactions: Interactions, config: LeaveOneOutSplit, stream: Stream) -> np.ndarray:
    place, count = _from_newest(interactions, stream, by_time=config.order == "latest")
    held = 1 + config.valid
    label = np.where(place == 0, _TEST, np.where(place < held, _VALID, _TRAIN))
    # Who has too few to learn from and to be tested on is for learning.
    return np.where(count > held, label, _TRAIN)


def _newest(interactions: Interactions, config: NewestSplit, stream: Stream) -> np.ndarray:
    if config.test_from is not None:
        times = _times(interactions) // interactions.ticks
        valid_from = config.test_from if config.valid_from is None else config.valid_from
        return np.where(times >= config.test_from, _TEST, np.where(times >= valid_from, _VALID, _TRAIN))
    place, count = _from_newest(interactions, stream, by_time=True)
    # 0.29 * 100 is a little below 29: rounding keeps the share that was asked for.
    test = np.floor(np.round(count * config.test, 9))
    valid = np.floor(np.round(count * config.valid, 9))
    return np.where(place < test, _TEST, np.where(place < test + valid, _VALID, _TRAIN))


def _from_newest(interactions: Interactions, stream: Stream, *, by_time: bool) -> tuple[np.ndarray, np.ndarray]:
    """Of each row: how many rows of its user come after it, in time (ties: by key) or by key alone; and of how many."""
    keys = [pair_hash(interactions, stream)]
    if by_time:
        keys.append(_times(interactions))
    user = distinct(interactions.user_ids)[1]
    counts = np.bincount(user)
    order = np.lexsort([*keys, user])
    place = np.empty(len(user), dtype=np.int64)
    place[order] = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(user))
    return place, counts[user]


def _ready(
    interactions: Interactions, config: ReadySplit, stream: Stream, parts: dict[str, Interactions]
) -> np.ndarray:
    if not parts:
        raise DataError("split: 'ready' needs a source with parts")
    label = np.full(len(interactions), -1)
    # A row that the source has in several parts is for learning: a test row that was learnt from tests nothing.
    for place, name in reversed(list(enumerate(PARTS))):
        if name in parts:
            label[_is_in(interactions, parts[name])] = place
    if np.any(label < 0):
        raise DataError(f"split: {int((label < 0).sum())} rows are in no part of the source")
    if "valid" not in parts:
        label = np.where(label == _TRAIN, _by_key(interactions, config.valid, 0.0, stream), label)
    return label


def _is_in(rows: Interactions, others: Interactions) -> np.ndarray:
    """[n] bool: the rows whose user, item (and, where both have them, timestamp and rating) are among the others."""
    there = dict(others.columns())
    columns = [concatenated([column, there[name]]) for name, column in rows.columns() if name in there]
    # Each column as small integers, then each row as one: text and numbers alike.
    code = np.zeros(len(rows) + len(others), dtype=np.int64)
    for column in columns:
        _, values = distinct(column)
        _, code = np.unique(code * (int(values.max(initial=0)) + 1) + values, return_inverse=True)
    return np.isin(code[: len(rows)], code[len(rows) :])


def _times(interactions: Interactions) -> np.ndarray:
    if interactions.timestamps is None:
        raise DataError("column 'timestamp': the split goes by time, but the dataset has no timestamps")
    return interactions.timestamps
