"""Balanced clusters of users in the user-item graph: by label propagation (BLPA) or by embeddings (BEKM), GraphEraser.

Chen et al., "Graph Unlearning", CCS 2022, section 4, with users as nodes and items as the ties between them. All rows
of a user are in one shard of at most cap = ceil(slack · n / K) rows. The result looked at all rows, so it is frozen for
an epoch; what follows an earlier assignment is as in ``ubp``.

Deviations: two users' tie is a walk of two steps (a user, one of their items, one of its users), so that an item which
everyone has ties nobody; ties to a shard are counted per row it holds, because mere counts draw everyone to the largest
shards and empty the others; room is counted in interactions, theirs in nodes; as in ``balanced``, users who might find
every shard too full are laid first.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from lethe.config.sharding import Balance
from lethe.core.random import Stream
from lethe.data.partition.assignment import Assignment, Embeddings
from lethe.data.partition.balanced import ROUNDS, cap_of, check_count, nearest_first, ubp
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

LAYERS = 3
"""BEKM: a user's embedding is the mean of 0 to this many steps through the graph."""


def blpa(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """Users join the shard that they are most tied to, the strongest tie first, while it has room.

    From a random start, until nothing moves or ROUNDS rounds. No embeddings are trained.
    """
    if previous is not None:
        return ubp(interactions, num_shards, previous, stream, balance=balance, embeddings=embeddings)
    catalogue = Catalogue.of(interactions)
    data = catalogue.encode(interactions)
    check_count(data.num_users, num_shards, "users")
    incidence, sizes, cap = data.csr(), np.diff(data.indptr), cap_of(len(data), num_shards, balance)
    shards = nearest_first(-stream.numpy("start").random((data.num_users, num_shards)), sizes, cap, "users", balance)
    for _ in range(ROUNDS):
        moved = nearest_first(-_ties(incidence, shards, num_shards), sizes, cap, "users", balance)
        if np.array_equal(moved, shards):
            break
        shards = moved
    return shards[data.users]


def bekm(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """Balanced k-means, as in ``ubp``, on embeddings that know the graph: the pre-trained ones spread through it."""

    def spread(rows: Interactions, stream: Stream) -> tuple[Catalogue, np.ndarray, np.ndarray]:
        catalogue, users, items = embeddings(rows, stream)
        return catalogue, *_spread(catalogue.encode(rows).csr(), users, items)

    return ubp(interactions, num_shards, previous, stream, balance=balance, embeddings=spread)


def _ties(incidence: sp.csr_array, shards: np.ndarray, num_shards: int) -> np.ndarray:
    """For each user, the walks user - item - user that end in a shard, over the shard's rows -> [num_users, K].

    A walk back to the user says nothing about where they belong, and is left out.
    """
    users = np.arange(len(shards))
    members = np.zeros((len(shards), num_shards), np.float32)
    members[users, shards] = 1
    degrees = incidence.sum(axis=0)
    ties = incidence @ ((incidence.T @ members) / degrees[:, None])
    ties[users, shards] -= incidence @ (1 / degrees)
    return ties / np.maximum(incidence.sum(axis=1) @ members, 1)


def _spread(incidence: sp.csr_array, users: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of 0 to LAYERS steps of D^(-1/2) A D^(-1/2) from users [M, d] and items [N, d]: as in LightGCN."""
    left, right = (1 / np.sqrt(incidence.sum(axis=axis))[:, None] for axis in (1, 0))
    totals = users, items
    for _ in range(LAYERS):
        users, items = left * (incidence @ (right * items)), right * (incidence.T @ (left * users))
        totals = totals[0] + users, totals[1] + items
    return totals[0] / (LAYERS + 1), totals[1] / (LAYERS + 1)
