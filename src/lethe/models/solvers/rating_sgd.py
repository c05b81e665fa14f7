"""Matrix factorisation of ratings by stochastic gradient descent, one rating or one small batch of them a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numba
import numpy as np

from lethe.core.random import Stream
from lethe.models.parts.batches import choosers, negatives
from lethe.tables.matrix import InteractionMatrix


class Factors(NamedTuple):
    """r̂_ui = mean + user_offsets_u + item_offsets_i + users_u·items_i; the solvers change the arrays in place.

    users [M, d], items [N, d], user_offsets [M], item_offsets [N]: float32, contiguous. Where ``biased`` is false,
    mean and offsets are taken as 0 and left alone.
    """

    users: np.ndarray
    items: np.ndarray
    user_offsets: np.ndarray
    item_offsets: np.ndarray
    mean: float
    biased: bool


def rating_sgd(
    data: InteractionMatrix,
    factors: Factors,
    stream: Stream,
    *,
    epochs: int,
    learning_rate: float,
    reg: float,
    batch_size: int = 1,
    decay: str = "constant",
) -> Iterator[float]:
    """Run ``epochs`` passes over the ratings, each in an order of its own, and yield each one's Σ (r - r̂)².

    A step takes ``batch_size`` ratings (the last one what is left) and moves, with all errors e = r - r̂ as they were
    before the step, p_u by learning_rate · Σ (e q_i - reg p_u), the sum going over the step's ratings of u; the items
    and, where biased, both offsets likewise. ``decay`` "linear" lets the rate fall over the epochs, to
    1 / ``epochs`` of itself in the last. One thread, fixed order: the same inputs give the same bytes.
    """
    assert data.ratings is not None
    for epoch in range(epochs):
        order = stream.numpy("epoch", epoch).permutation(len(data))
        cells = data.users[order], data.items[order], data.ratings[order]
        yield _descend(cells, factors, _rate(learning_rate, epoch, epochs, decay), reg, batch_size)


def implicit_sgd(
    data: InteractionMatrix,
    users: np.ndarray,
    items: np.ndarray,
    stream: Stream,
    *,
    epochs: int,
    learning_rate: float,
    reg: float,
    num_negatives: int = 1,
    decay: str = "constant",
) -> Iterator[float]:
    """``rating_sgd`` one cell a step, where an interaction is rated 1 and a lacked item 0 -> each epoch's Σ (y - p·q)².

    Every epoch draws ``num_negatives`` uniform lacked items anew for each interaction; users who have every item are
    left out. ``users`` [M, d] and ``items`` [N, d] (float32, contiguous) are changed in place.
    """
    none = np.empty(0, users.dtype)
    factors = Factors(users, items, none, none, mean=0.0, biased=False)
    kept = np.isin(data.users, choosers(data))
    # In the users' own order, in which looking up what they lack stays within the cache.
    people = np.repeat(data.users[kept], num_negatives)
    rows = np.concatenate([data.users[kept], people])
    labels = (np.arange(len(rows)) < kept.sum()).astype(users.dtype)
    for epoch in range(epochs):
        generator = stream.numpy("epoch", epoch)
        columns = np.concatenate([data.items[kept], negatives(data, people, generator)])
        order = generator.permutation(len(rows))
        cells = rows[order], columns[order], labels[order]
        yield _descend(cells, factors, _rate(learning_rate, epoch, epochs, decay), reg, 1)


def _rate(learning_rate: float, epoch: int, epochs: int, decay: str) -> float:
    return learning_rate * (1.0 - epoch / epochs if decay == "linear" else 1.0)


def _descend(
    cells: tuple[np.ndarray, np.ndarray, np.ndarray], factors: Factors, rate: float, reg: float, batch_size: int
) -> float:
    """One pass over ``cells``, already in the order of the steps so that the kernel reads them from end to end."""
    return _epoch(
        *cells,
        factors.users,
        factors.items,
        factors.user_offsets,
        factors.item_offsets,
        np.float32(factors.mean if factors.biased else 0.0),
        factors.biased,
        np.float32(rate),
        np.float32(reg),
        batch_size,
    )


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _epoch(
    rows: np.ndarray,
    columns: np.ndarray,
    ratings: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    user_offsets: np.ndarray,
    item_offsets: np.ndarray,
    mean: float,
    biased: bool,
    rate: float,
    reg: float,
    batch_size: int,
) -> float:
    size, d = min(batch_size, max(len(ratings), 1)), users.shape[1]
    # What a step's errors were computed from: a later rating of the step may find its row already moved.
    old_users, old_items = np.empty((size, d), users.dtype), np.empty((size, d), users.dtype)
    old_offsets, errors = np.empty((size, 2), users.dtype), np.empty(size, users.dtype)
    total = 0.0
    for start in range(0, len(ratings), size):
        count = min(size, len(ratings) - start)
        for b in range(count):
            u, v = rows[start + b], columns[start + b]
            for k in range(d):
                old_users[b, k], old_items[b, k] = users[u, k], items[v, k]
            # A loop that sums stores nothing: else how it is compiled to sum depends on where its arrays lie.
            product = users.dtype.type(0)
            for k in range(d):
                product += users[u, k] * items[v, k]
            if biased:
                old_offsets[b, 0], old_offsets[b, 1] = user_offsets[u], item_offsets[v]
                product += mean + user_offsets[u] + item_offsets[v]
            error = ratings[start + b] - product
            errors[b] = error
            total += error * error
        for b in range(count):
            u, v, error = rows[start + b], columns[start + b], errors[b]
            for k in range(d):
                p, q = old_users[b, k], old_items[b, k]
                users[u, k] += rate * (error * q - reg * p)
                items[v, k] += rate * (error * p - reg * q)
            if biased:
                user_offsets[u] += rate * (error - reg * old_offsets[b, 0])
                item_offsets[v] += rate * (error - reg * old_offsets[b, 1])
    return total
