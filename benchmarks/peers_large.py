"""Ten million made rows for the peers' table: a million users with tastes, a hundred thousand items.

Settings of both programs are chosen on a tenth of that size, among as many, by rows that are held out there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.collaborative import Split
from benchmarks.kernels import Ratio
from benchmarks.peer_programs import PEERS, Snapshot, install, run_peer
from benchmarks.peers import recall, run_ours
from lethe.errors import LetheError
from lethe.tables.interactions import Interactions

ROWS, A_USER, USERS_AN_ITEM = 10_000_000, 10, 10
TASTES, OWN = 60, 8
"""Every user has one taste, by which eight of ten items are chosen; the others are of all tastes."""
JUDGED, ROUNDS, TIMES = 20_000, 10, 2
"""Users whose held-out item is asked for; sweeps of each program; runs of each, in turn."""
THEIRS = {"regularization": (1.0, 10.0, 40.0, 100.0), "alpha": (5.0, 20.0, 60.0)}
OURS = {"negative_weight": (0.02, 0.05, 0.1, 0.2), "dropout": (0.0, 0.1, 0.3)}
CLOSE = 0.001
"""Of recall@20: who is as near to the lower of the two programs' best has reached it."""


def large_ratios(work: Path, rows: int = ROWS) -> list[Ratio]:
    """Time to the recall@20 that both come to, the peer's alternating least squares and ours, at this many rows."""
    peer = PEERS["implicit"]
    install(peer, work)
    tenth, whole = made(rows // 10), made(rows)
    run_ours(tenth, 1)
    theirs = _best(tenth, THEIRS, lambda values: run_peer(peer, work, tenth, ROUNDS, values)[0])
    ours = _best(tenth, OURS, lambda values: run_ours(tenth, ROUNDS, values))
    of_theirs, of_ours = [], []
    for _ in range(TIMES):
        reached = [_reached(whole, run_peer(peer, work, whole, ROUNDS, theirs)[0])]
        reached.append(_reached(whole, run_ours(whole, ROUNDS, ours)))
        quality = min(max(value for value, _ in one) for one in reached) - CLOSE
        for seconds, one in zip((of_theirs, of_ours), reached, strict=True):
            seconds.append(next(spent for value, spent in one if value >= quality))
    what = f"time to recall@20 ≥ {quality:.4f} on {rows:,} made rows"
    against = f"{peer.name} ALS, {_said(theirs)}; ours {_said(ours)}"
    return [Ratio(what, against, float(np.median(of_ours)), float(np.median(of_theirs)), 8)]


def made(rows: int) -> Split:
    """About ``rows`` interactions, a hundredth as many items; one row each of ``JUDGED`` users is held out."""
    generator, num_users, num_items = np.random.default_rng(rows), rows // A_USER, rows // 100
    taste = generator.integers(0, TASTES, num_users)[:, None]
    taste = np.where(np.arange(A_USER) < OWN, taste, generator.integers(0, TASTES, (num_users, A_USER)))
    shares = np.cumsum(1 / np.arange(1, num_items // TASTES + 1))
    rank = np.searchsorted(shares, generator.random((num_users, A_USER)) * shares[-1])
    pairs = np.unique(np.arange(num_users)[:, None] * num_items + rank * TASTES + taste)
    users, items = pairs // num_items, pairs % num_items
    chosen = np.zeros(len(pairs), dtype=bool)
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    judged = generator.choice(len(starts), min(JUDGED, len(starts) // 2), replace=False)
    counts = np.diff(np.append(starts, len(pairs)))
    chosen[starts[judged] + generator.integers(0, counts[judged])] = True
    whole = Interactions.of(users, items)
    return Split(f"made-{rows}", whole.take(~chosen), whole.take(chosen))


def _reached(split: Split, snapshots: list[Snapshot]) -> list[tuple[float, float]]:
    """recall@20 and seconds of each."""
    return [(recall(split, snapshot), snapshot.seconds) for snapshot in snapshots]


def _best(
    split: Split, grid: Mapping[str, tuple[float, ...]], run: Callable[[dict[str, Any]], list[Snapshot]]
) -> dict[str, Any]:
    """The settings with the highest recall@20 after any sweep; of equals the first."""
    tried = {index: max(recall(split, s) for s in run(values)) for index, values in enumerate(_settings(grid))}
    return list(_settings(grid))[max(tried, key=lambda index: tried[index])]


def _settings(grid: Mapping[str, tuple[float, ...]]) -> Iterator[dict[str, Any]]:
    return (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))


def _said(values: Mapping[str, Any]) -> str:
    if not values:
        raise LetheError("no settings were chosen")
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
