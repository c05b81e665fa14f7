"""The slice of each row inside its shard: a function of the row's user alone."""

from __future__ import annotations

import numpy as np

from lethe.core.random import Stream
from lethe.data.partition.assignment import Assignment
from lethe.tables.columns import hashed
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions


def lay_slices(
    interactions: Interactions,
    num_slices: int,
    stream: Stream,
    *,
    leaving: np.ndarray | None = None,
    previous: Assignment | None = None,
) -> np.ndarray:
    """Slices [n] int64 in [0, num_slices), by keyed hash of the user.

    ``leaving`` [n] bool, the same for all rows of a user: those lie in the last slice and all others before it. Users
    whom ``previous`` knows stay where they were.
    """
    hashes = hashed(interactions.user_ids, stream.integer("slice"))
    if leaving is None:
        slices = hashes % np.uint64(num_slices)
    else:
        slices = np.where(leaving, np.uint64(num_slices - 1), hashes % np.uint64(num_slices - 1))
    slices = slices.astype(np.int64)
    if previous is not None and previous.slices is not None and len(previous.slices):
        known, first = np.unique(previous.user_ids, return_index=True)
        places = Ids(known).encode(interactions.user_ids)
        slices = np.where(places >= 0, previous.slices[first[places]], slices)
    return slices
