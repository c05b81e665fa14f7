"""Bayesian personalised ranking by sequential stochastic gradient descent, one triple at a time (Rendle 2009)."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np

from lethe.models.parts.batches import choosers
from lethe.tables.matrix import InteractionMatrix

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)


def bpr_sgd(
    data: InteractionMatrix,
    users: np.ndarray,
    items: np.ndarray,
    *,
    seed: int,
    epochs: int,
    learning_rate: float,
    reg: float,
) -> Iterator[float]:
    """Run ``epochs`` epochs of ``len(data)`` steps and yield each one's loss, Σ -ln σ(ŷ_ui - ŷ_uj).

    A step draws a uniform user, a uniform item i of theirs and a uniform item j they lack, all from ``data``, and moves
    the three rows by ``learning_rate``, which falls linearly to 0 over the run; ``reg`` is λ in the gradient's -λθ.
    ``users`` [num_users, d] and ``items`` [num_items, d] (float32, contiguous) are changed in place. The n-th draw is
    a hash of (``seed``, n): no state is shared with anything, and the same inputs give the same bytes.
    """
    drawn_from = choosers(data)
    if len(drawn_from) == 0:
        return
    steps = len(data)
    numbers = users.dtype.type(learning_rate), users.dtype.type(reg)
    for epoch in range(epochs):
        yield _epoch(
            data.indptr,
            data.items,
            drawn_from,
            users,
            items,
            np.uint64(seed),
            epoch * steps,
            steps,
            epochs * steps,
            *numbers,
        )


@numba.njit(nogil=True, cache=True, inline="always")
def _below(seed: np.uint64, counter: int, bound: int) -> int:
    """The ``counter``-th draw of ``seed``, uniform in [0, bound): splitmix64's finaliser, then a multiply-shift."""
    z = seed + np.uint64(counter + 1) * _GOLDEN
    z = (z ^ (z >> _S30)) * _MIX_A
    z = (z ^ (z >> _S27)) * _MIX_B
    z = z ^ (z >> _S31)
    return np.int64(((z >> _S32) * np.uint64(bound)) >> _S32)  # type: ignore[return-value]


@numba.njit(nogil=True, cache=True, inline="always")
def _lacked(own: np.ndarray, rank: int) -> int:
    """The item at place ``rank`` among those not in ``own`` (increasing)."""
    low, high = 0, len(own)
    while low < high:
        middle = (low + high) // 2
        if own[middle] - middle > rank:
            high = middle
        else:
            low = middle + 1
    return rank + low


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _epoch(
    indptr: np.ndarray,
    columns: np.ndarray,
    drawn_from: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    seed: np.uint64,
    first: int,
    steps: int,
    total: int,
    learning_rate: float,
    reg: float,
) -> float:
    d = users.shape[1]
    loss = 0.0
    for step in range(first, first + steps):
        rate = learning_rate * users.dtype.type(1.0 - step / total)
        user = drawn_from[_below(seed, 3 * step, len(drawn_from))]
        own = columns[indptr[user] : indptr[user + 1]]
        positive = own[_below(seed, 3 * step + 1, len(own))]
        negative = _lacked(own, _below(seed, 3 * step + 2, items.shape[0] - len(own)))
        p, q, n = users[user], items[positive], items[negative]
        margin = users.dtype.type(0)
        for i in range(d):
            margin += p[i] * (q[i] - n[i])
        # The smaller exponent of the two keeps both the loss and its slope from overflowing.
        tail = np.exp(-abs(margin))
        loss += np.log1p(tail) + max(-margin, 0.0)
        slope = users.dtype.type((1.0 if margin < 0 else tail) / (1.0 + tail))
        for i in range(d):
            a, b, c = p[i], q[i], n[i]
            p[i] += rate * (slope * (b - c) - reg * a)
            q[i] += rate * (slope * a - reg * b)
            n[i] += rate * (-slope * a - reg * c)
    return loss
