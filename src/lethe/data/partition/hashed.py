"""Partitions by keyed hash: the shard of a row depends on the row alone, so they need no earlier assignment.

What they promise needs no assignment that is kept: no row's shard says anything about another row, forgotten or not.
They take the arguments of every partition and look at the rows, the number of shards and the stream only.
"""

from __future__ import annotations

import numpy as np

from lethe.config.sharding import Balance
from lethe.core.random import Stream
from lethe.data.partition.assignment import Assignment, Embeddings
from lethe.data.split import pair_hash
from lethe.tables.columns import hashed
from lethe.tables.interactions import Interactions


def whole(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """No partition: every row is in shard 0."""
    return np.zeros(len(interactions), dtype=np.int64)


def user_hash(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """All rows of a user go to one shard, by keyed hash of the user: a user-level request touches one shard."""
    return _shard(hashed(interactions.user_ids, stream.integer("user")), num_shards)


def interaction_hash(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """Each row alone, by keyed hash of (user, item): SISA's random shards, made local."""
    return _shard(pair_hash(interactions, stream), num_shards)


def _shard(hashes: np.ndarray, num_shards: int) -> np.ndarray:
    return (hashes % np.uint64(num_shards)).astype(np.int64)
