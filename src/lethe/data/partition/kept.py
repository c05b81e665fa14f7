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
    return _settle(places, previous_shards[first], sizes, hashes, num_shards, cap, stream)


def keep_pairs(
    interactions: Interactions, previous: Assignment, num_shards: int, cap: int, stream: Stream
) -> np.ndarray:
    """Shards [n] of rows: the earlier one of the same (user, item) where there is one."""
    users, items = Ids.of(previous.user_ids), Ids.of(previous.item_ids)
    # Increasing, because the assignment is in canonical order.
    known = Ids(users.encode(previous.user_ids) * len(items) + items.encode(previous.item_ids))
    rows, columns = users.encode(interactions.user_ids), items.encode(interactions.item_ids)
    places = known.encode(np.where((rows < 0) | (columns < 0), -1, rows * len(items) + columns))
    hashes = pair_hash(interactions, stream("new"))
    return _settle(places, previous.shards, np.ones(len(rows), np.int64), hashes, num_shards, cap, stream)


def _settle(
    places: np.ndarray,
    earlier: np.ndarray,
    sizes: np.ndarray,
    hashes: np.ndarray,
    num_shards: int,
    cap: int,
    stream: Stream,
) -> np.ndarray:
    """Shards [m]: ``earlier[places]``; where places is -1, by the order in which the entity's hash ranks the shards."""
    if len(earlier) and earlier.max() >= num_shards:
        raise ConfigError(
            f"num_shards: {num_shards} is less than the kept assignment has; begin a new epoch (lethe epoch begin)"
        )
    shards = np.full(len(places), -1)
    shards[places >= 0] = earlier[places[places >= 0]]
    new = np.flatnonzero(places < 0)
    load = np.bincount(shards[places >= 0], sizes[places >= 0], num_shards).astype(np.int64)
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
