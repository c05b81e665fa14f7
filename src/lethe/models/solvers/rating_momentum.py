"""Matrix factorisation of ratings by full-batch gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np

from lethe.tables.matrix import InteractionMatrix


def rating_momentum(
    data: InteractionMatrix,
    users: np.ndarray,
    items: np.ndarray,
    *,
    iterations: int,
    learning_rate: float,
    reg: float,
    momentum: float = 0.9,
) -> Iterator[float]:
    """Lower mean (r_ui - p_u·q_i)² + reg (‖P‖² + ‖Q‖²) and yield after each iteration its Σ (r - r̂)² before it.

    With g the gradient over all ratings, v ← momentum · v + (1 - momentum) g, v starting at the first g, and
    θ ← θ - learning_rate · v. ``users`` [M, d] and ``items`` [N, d] (float32 or float64, contiguous) are changed in
    place. One thread, fixed order: the same inputs give the same bytes.
    """
    assert data.ratings is not None
    sides = (users, items)
    gradients = [np.empty_like(side) for side in sides]
    velocities = [np.empty_like(side) for side in sides]
    kind = users.dtype.type
    for iteration in range(iterations if len(data) else 0):
        for side, gradient in zip(sides, gradients, strict=True):
            np.multiply(side, kind(2 * reg), out=gradient)
        scale = kind(2.0 / len(data))
        loss = _add_gradient(data.users, data.items, data.ratings, users, items, *gradients, scale)
        for side, gradient, velocity in zip(sides, gradients, velocities, strict=True):
            if iteration == 0:
                velocity[:] = gradient
            velocity *= kind(momentum)
            velocity += kind(1.0 - momentum) * gradient
            side -= kind(learning_rate) * velocity
        yield loss


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _add_gradient(
    rows: np.ndarray,
    columns: np.ndarray,
    ratings: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    user_gradient: np.ndarray,
    item_gradient: np.ndarray,
    scale: float,
) -> float:
    """Add scale/2 times the gradient of Σ (r - r̂)²; returns that sum."""
    d = users.shape[1]
    total = 0.0
    for k in range(len(ratings)):
        u, v = rows[k], columns[k]
        error = users.dtype.type(ratings[k])
        for i in range(d):
            error -= users[u, i] * items[v, i]
        total += error * error
        error *= scale
        for i in range(d):
            user_gradient[u, i] -= error * items[v, i]
            item_gradient[v, i] -= error * users[u, i]
    return total
