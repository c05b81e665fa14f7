"""Same inputs, same bytes, wherever the allocator puts the arrays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lethe.models.solvers.rating_sgd import _epoch

USERS, ITEMS, DIM, CELLS = 40, 32, 8, 400


def test_an_epoch_does_not_depend_on_where_its_arrays_lie() -> None:
    """In fresh threads a new arena of the allocator serves small arrays; one in some hundred runs showed it once."""
    draw = np.random.default_rng(0)
    users, items = (0.3 * draw.normal(size=(n, DIM)).astype(np.float32) for n in (USERS, ITEMS))
    rows, columns = draw.integers(0, USERS, CELLS), draw.integers(0, ITEMS, CELLS)
    ratings = draw.integers(0, 2, CELLS).astype(np.float32)
    rate, reg, mean = np.float32(0.02), np.float32(0.05), np.float32(0)

    def run(_: int) -> bytes:
        own, theirs, none = users.copy(), items.copy(), np.empty(0, np.float32)
        for _ in range(20):
            _epoch(rows, columns, ratings, own, theirs, none, none, mean, False, rate, reg, 1)
        return own.tobytes() + theirs.tobytes()

    alone = run(0)
    for _ in range(1500):
        with ThreadPoolExecutor(2) as pool:
            assert all(beside == alone for beside in pool.map(run, range(4)))
