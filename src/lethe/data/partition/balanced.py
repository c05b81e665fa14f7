"""Balanced clusters of users (UBP), items (IBP) or interactions (InBP) on pre-trained vectors (RecEraser, section 4.2).

k-means whose shards hold at most cap = ceil(slack · n / K) rows: in each round all (entity, centre) pairs are taken
nearest first and an entity joins the first centre whose shard still has room for its rows; centres become the mean
vector of their members; until nothing moves, or ROUNDS rounds.

Deviations from the authors' program, with reasons: the centre is a mean vector (theirs averages without an axis, which
makes each centre a single number: the sharding's ``centroids: scalar``); room is counted in interactions for users too
(theirs counts users, which leaves shards unbalanced); an entity joins only where all its rows fit, so that the cap
holds (the thesis' listing asks whether |S_i| < t before it adds, and lets the last one overshoot: ``cap: overshoot``);
with that strict cap, entities that might find every shard too full are laid first, the largest before all.

The result looked at all rows, so it is frozen for an epoch: see kept.py for what follows an earlier assignment.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from lethe.config.sharding import Balance
from lethe.core.random import Stream
from lethe.data.partition.assignment import Assignment, Embeddings
from lethe.data.partition.kept import keep_entities, keep_pairs
from lethe.errors import ConfigError
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

ROUNDS = 50


def ubp(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """Similar users share a shard; all rows of a user are in one."""
    return _by_entity("users", interactions, num_shards, previous, stream, balance, embeddings)


def ibp(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """Similar items share a shard; all rows of an item are in one."""
    return _by_entity("items", interactions, num_shards, previous, stream, balance, embeddings)


def inbp(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """Similar interactions share a shard: distance ‖p_a - p_u‖ · ‖q_a - q_v‖ to a centre (mean p, mean q)."""
    cap = cap_of(len(interactions), num_shards, balance)
    if previous is not None:
        return keep_pairs(interactions, previous, num_shards, cap, stream)
    check_count(len(interactions), num_shards, "interactions")
    catalogue, user_vectors, item_vectors = embeddings(interactions, stream("embeddings"))
    users, items = catalogue.users.encode(interactions.user_ids), catalogue.items.encode(interactions.item_ids)
    return _cluster_pairs(users, items, user_vectors, item_vectors, num_shards, cap, stream, balance)


def cap_of(num_rows: int, num_shards: int, balance: Balance) -> int:
    """The most rows a shard may hold."""
    return math.ceil(balance.slack * num_rows / num_shards)


def check_count(count: int, num_shards: int, kind: str) -> None:
    """Raises ConfigError where there are more shards than ``kind``."""
    if num_shards > count:
        raise ConfigError(f"num_shards: {num_shards} must not be more than the {count} {kind} of the training rows")


def nearest_first(distances: np.ndarray, sizes: np.ndarray, cap: int, kind: str, balance: Balance) -> np.ndarray:
    """Shards [m] of entities at ``distances`` [m, K] from the shards, with ``sizes`` [m] rows each.

    All (entity, shard) pairs are taken nearest first, and an entity joins the first shard with room. Raises ConfigError
    where one of the ``kind`` finds none, which can't be where the last may overshoot the cap.
    """
    num_shards = distances.shape[1]
    if balance.cap == "overshoot":
        return _fill(np.argsort(distances.ravel(), kind="stable"), sizes, num_shards, cap, True)
    # However full the others leave the shards, an entity smaller than this finds room in one of them.
    safe = (num_shards * (cap + 1) - sizes.sum()) / max(num_shards - 1, 1)
    urgency = np.repeat(np.where((sizes < safe) | (num_shards == 1), 0, sizes), num_shards)
    shards = _fill(np.lexsort((distances.ravel(), -urgency)), sizes, num_shards, cap, False)
    if (shards < 0).any():
        raise ConfigError(
            f"slack: {num_shards} shards of at most {cap} interactions can't hold {kind} of up to {sizes.max()}; "
            "it must be larger, or num_shards smaller"
        )
    return shards


def _by_entity(
    kind: Literal["users", "items"],
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    of_users = kind == "users"
    ids = interactions.user_ids if of_users else interactions.item_ids
    entities = Ids.of(ids)
    rows = entities.encode(ids)
    sizes, cap = np.bincount(rows), cap_of(len(interactions), num_shards, balance)
    if previous is not None:
        before = previous.user_ids if of_users else previous.item_ids
        return keep_entities(entities, sizes, before, previous.shards, num_shards, cap, stream)[rows]
    check_count(len(entities), num_shards, kind)
    catalogue, user_vectors, item_vectors = embeddings(interactions, stream("embeddings"))
    known, vectors = (catalogue.users, user_vectors) if of_users else (catalogue.items, item_vectors)
    return _cluster(vectors[known.encode(entities.values)], sizes, num_shards, cap, kind, stream, balance)[rows]


def _cluster(
    vectors: np.ndarray, sizes: np.ndarray, num_shards: int, cap: int, kind: str, stream: Stream, balance: Balance
) -> np.ndarray:
    """Shards [m] of entities with ``vectors`` [m, d] and ``sizes`` [m] rows each."""
    shards = np.full(len(sizes), -1)
    _one_thread()
    centres = vectors[_centres(len(vectors), num_shards, stream)].astype(np.float64)
    for _ in range(ROUNDS):
        moved = nearest_first(_distances(vectors, centres), sizes, cap, kind, balance)
        if np.array_equal(moved, shards):
            break
        shards = moved
        membership = np.zeros((num_shards, len(sizes)))
        membership[shards, np.arange(len(sizes))] = 1
        _move(centres, membership, vectors, balance)
    return shards


def _cluster_pairs(
    users: np.ndarray,
    items: np.ndarray,
    user_vectors: np.ndarray,
    item_vectors: np.ndarray,
    num_shards: int,
    cap: int,
    stream: Stream,
    balance: Balance,
) -> np.ndarray:
    """Shards [n] of interactions (users [n], items [n], dense in the vectors)."""
    shards = np.full(len(users), -1)
    _one_thread()
    first = _centres(len(users), num_shards, stream)
    user_centres = user_vectors[users[first]].astype(np.float64)
    item_centres = item_vectors[items[first]].astype(np.float64)
    for _ in range(ROUNDS):
        to_users, to_items = _distances(user_vectors, user_centres), _distances(item_vectors, item_centres)
        moved = _match(users, items, to_users, to_items, cap)
        if np.array_equal(moved, shards):
            break
        shards = moved
        for centres, dense, vectors in ((user_centres, users, user_vectors), (item_centres, items, item_vectors)):
            cells = num_shards * len(vectors)
            membership = np.bincount(shards * len(vectors) + dense, minlength=cells).reshape(num_shards, -1)
            _move(centres, membership, vectors, balance)
    return shards


def _one_thread() -> None:
    # Not undone at the end: the limits belong to the process, and another thread may be computing under them.
    threadpool_limits(limits=1)


def _centres(count: int, num_shards: int, stream: Stream) -> np.ndarray:
    return stream.numpy("centres").choice(count, num_shards, replace=False)


def _distances(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances [m, K] of vectors [m, d] to centres [K, d]; their order is what counts."""
    return np.stack([np.square(vectors - centre).sum(axis=1) for centre in centres], axis=1)


def _move(centres: np.ndarray, membership: np.ndarray, vectors: np.ndarray, balance: Balance) -> None:
    """Each centre becomes the mean, in place, of the vectors [m, d] its shard holds ``membership`` [K, m] times; or, in
    every coordinate, the one number that is the mean of all their entries."""
    sizes = membership.sum(axis=1)
    held = sizes > 0
    centres[held] = (membership[held] @ vectors) / sizes[held, None]
    if balance.centroids == "scalar":
        centres[held] = centres[held].mean(axis=1, keepdims=True)


@njit(nogil=True, cache=True)
def _fill(order: np.ndarray, sizes: np.ndarray, num_shards: int, cap: int, overshoot: bool) -> np.ndarray:
    """Take the pairs (entity · K + shard) in order; an entity joins the first shard with room for it, or with
    ``overshoot`` for any row. -1 where none had."""
    shards = np.full(len(sizes), -1)
    room = np.full(num_shards, cap)
    for pair in order:
        entity, shard = pair // num_shards, pair % num_shards
        if shards[entity] < 0 and room[shard] >= (1 if overshoot else sizes[entity]):
            shards[entity] = shard
            room[shard] -= sizes[entity]
    return shards


def _match(users: np.ndarray, items: np.ndarray, to_users: np.ndarray, to_items: np.ndarray, cap: int) -> np.ndarray:
    """What ``_fill`` gives for rows of size 1, without sorting all n · K pairs.

    Nearest-first filling is then the one stable matching in which rows prefer near shards and shards near rows: rows
    propose to their nearest shard, a shard keeps its ``cap`` nearest (a partial selection), the others go on to their
    next one. Memory is O(n), not O(n · K).
    """
    num_shards = to_users.shape[1]
    shards, distances = np.full(len(users), -1), np.full(len(users), -np.inf)
    rejected = np.arange(len(users))
    while len(rejected):
        _propose(rejected, users, items, to_users, to_items, shards, distances)
        held = [np.flatnonzero(shards == shard) for shard in range(num_shards)]
        rejected = np.concatenate([rows[_surplus(distances[rows], cap)] for rows in held])
    return shards


def _surplus(distances: np.ndarray, cap: int) -> np.ndarray:
    """Places of all but the ``cap`` smallest; among equals the earlier ones stay."""
    if len(distances) <= cap:
        return np.empty(0, dtype=np.int64)
    limit = np.partition(distances, cap - 1)[cap - 1]
    equal = np.flatnonzero(distances == limit)
    allowed = cap - np.count_nonzero(distances < limit)
    return np.concatenate([np.flatnonzero(distances > limit), equal[allowed:]])


@njit(nogil=True, cache=True)
def _propose(
    rows: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    to_users: np.ndarray,
    to_items: np.ndarray,
    shards: np.ndarray,
    distances: np.ndarray,
) -> None:
    """Move each of the rows to its next nearest shard after the one it is at, in place (equal distances by shard)."""
    for row in rows:
        nearest, best = -1, np.inf
        for shard in range(to_users.shape[1]):
            distance = to_users[users[row], shard] * to_items[items[row], shard]
            after = distance > distances[row] or (distance == distances[row] and shard > shards[row])
            if after and (nearest < 0 or distance < best):
                nearest, best = shard, distance
        shards[row], distances[row] = nearest, best
