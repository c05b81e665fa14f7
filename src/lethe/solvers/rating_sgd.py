"""Matrix factorisation of ratings by stochastic gradient descent, one rating or one small batch of them a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numba
import numpy as np

from lethe.data.catalogue import InteractionMatrix
from lethe.random import Stream


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
    mean = np.float32(factors.mean if factors.biased else 0.0)
    for epoch in range(epochs):
        order = stream.numpy("epoch", epoch).permutation(len(data))
        rate = learning_rate * (1.0 - epoch / epochs if decay == "linear" else 1.0)
        # The columns are shuffled first, so that the kernel reads them from end to end.
        yield _epoch(
            data.users[order],
            data.items[order],
            data.ratings[order],
            factors.users,
            factors.items,
            factors.user_offsets,
            factors.item_offsets,
            mean,
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
            product = users.dtype.type(0)
            for k in range(d):
                p, q = users[u, k], items[v, k]
                old_users[b, k], old_items[b, k] = p, q
                product += p * q
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
