"""What a frozen assignment becomes when rows are added or dropped: whatever it knows stays where it is.

So the shards of the other rows are the same with and without a forgotten one. A new entity joins the first shard with
room in the order of its own keyed hashes, or the emptiest if none has room: new rows and deletions may lift a shard
over its cap until the next epoch begins, but nothing known ever moves.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lethe.core.random import Stream, keyed_hash
from lethe.data.partition.assignment import Assignment
from lethe.data.split import pair_hash
from lethe.errors import ConfigError
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Column


def keep_entities(
    ids: Ids,
    sizes: np.ndarray,
    previous_ids: Column,
    previous_shards: np.ndarray,
    num_shards: int,
    cap: int,
    stream: Stream,
) -> np.ndarray:
    """Shards [m] of entities: the earlier one where there is one."""
    known, first = np.unique(np.asarray(previous_ids), return_index=True)
    places = Ids(known).encode(ids.values)
    hashes = keyed_hash(ids.values, stream.integer("new"))
    return _settle(_earlier(places, previous_shards[first], num_shards), sizes, hashes, num_shards, cap, stream)


def keep_pairs(
    interactions: Interactions,
    previous: Assignment,
    num_shards: int,
    cap: int,
    stream: Stream,
    load: np.ndarray | None = None,
) -> np.ndarray:
    """Shards [n] of rows: the earlier one of the same (user, item) where there is one.

    Where the rows are some of a table, ``load`` [num_shards] says how many each shard holds of those before and of all
    that are known; what joins is added to it.
    """
    before, hashes = shards_before(interactions, previous, num_shards), pair_hash(interactions, stream("new"))
    return _settle(before, np.ones(len(before), np.int64), hashes, num_shards, cap, stream, load)


def shards_before(interactions: Interactions, previous: Assignment, num_shards: int) -> np.ndarray:
    """The earlier shards [n] of the same (user, item); -1 where there is none."""
    users, items = Ids.of(previous.user_ids), Ids.of(previous.item_ids)
    # Increasing, because the assignment is in canonical order. A pair recurs in other contexts: the first row counts.
    pairs = users.encode(previous.user_ids) * len(items) + items.encode(previous.item_ids)
    first = np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)]
    known = Ids(pairs[first])
    rows, columns = users.encode(interactions.user_ids), items.encode(interactions.item_ids)
    places = known.encode(np.where((rows < 0) | (columns < 0), -1, rows * len(items) + columns))
    return _earlier(places, previous.shards[first], num_shards)


def load_of(shards: np.ndarray, sizes: np.ndarray, num_shards: int) -> np.ndarray:
    """How many rows [num_shards] the entities hold in each shard that lie in one."""
    return np.bincount(shards[shards >= 0], sizes[shards >= 0], num_shards).astype(np.int64)


def _earlier(places: np.ndarray, shards: np.ndarray, num_shards: int) -> np.ndarray:
    """``shards[places]``; -1 where places is."""
    if len(shards) and shards.max() >= num_shards:
        raise ConfigError(
            f"num_shards: {num_shards} is less than the kept assignment has; begin a new epoch (lethe epoch begin)"
        )
    before = np.full(len(places), -1)
    before[places >= 0] = shards[places[places >= 0]]
    return before


def _settle(
    before: np.ndarray,
    sizes: np.ndarray,
    hashes: np.ndarray,
    num_shards: int,
    cap: int,
    stream: Stream,
    load: np.ndarray | None = None,
) -> np.ndarray:
    """Shards [m]: ``before``; where that is -1, by the order in which the entity's hash ranks the shards."""
    shards, new = before.copy(), np.flatnonzero(before < 0)
    load = load_of(before, sizes, num_shards) if load is None else load
    ranks = [keyed_hash(hashes[new].view(np.int64), stream.integer("order", shard)) for shard in range(num_shards)]
    _join(new, np.argsort(np.stack(ranks, axis=1), axis=1), sizes, cap, load, shards)
    return shards


@njit(nogil=True, cache=True)
def _join(
    new: np.ndarray, order: np.ndarray, sizes: np.ndarray, cap: int, load: np.ndarray, shards: np.ndarray
) -> None:
    for k in range(len(new)):
        entity = new[k]
        chosen = np.argmin(load)
        for shard in order[k]:
            if load[shard] + sizes[entity] <= cap:
                chosen = shard
                break
        shards[entity] = chosen
        load[chosen] += sizes[entity]
