"""What one model takes by the clock with one thread and with two, and whether its bytes are the same."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks import Say
from benchmarks.growth import generate
from benchmarks.page import grid, met, page
from lethe.core import cores
from lethe.core.random import Stream
from lethe.evaluation.ranking import evaluate_users
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

COUNTS, GOAL = (1, 2), 1.7
PROTOCOL = (
    "Made interactions as in growth, with ratings from 1 to 5: so many rows for WMF, ALS of ratings and evaluation, a"
    " twentieth for the others. Seconds by the clock, from encoded rows to factors or weights, and of ranking all users"
    " in full; medians, one thread and two in turn. Bytes of all parameters, and of all users' metrics, are compared."
)


class Work(NamedTuple):
    what: str
    run: Callable[[], str]
    """-> digest of what came of it."""
    goal: float | None = None


def measure(rows: int, repeats: int, say: Say) -> list[dict[str, Any]]:
    """A row for each kind of work."""
    large, small = _rated(generate(rows)), _rated(generate(max(rows // 20, 1_000)))
    works = (
        _training("wmf", {"sweeps": 3}, large, GOAL),
        _training("expomf", {"sweeps": 2}, small),
        _training("als", {}, large, GOAL),
        _training("slim", {}, small),
        _evaluation(large),
    )
    return [_row(work, repeats, say) for work in works]


def _rated(rows: Interactions) -> Interactions:
    stars = np.random.default_rng(len(rows)).integers(1, 6, len(rows)).astype(float)
    return Interactions.of(rows.user_ids, rows.item_ids, stars)


def _training(name: str, values: dict[str, Any], rows: Interactions, goal: float | None = None) -> Work:
    catalogue = Catalogue.of(rows)
    encoded, config = catalogue.encode(rows), configure(name, values)

    def run() -> str:
        model = MODELS[name](config, catalogue.shape)
        train(model, encoded, Stream(1))
        return _digest([part.numpy() for part in model.state_dict().values()])

    return Work(f"{name}, {len(rows):,} rows", run, goal)


def _evaluation(rows: Interactions) -> Work:
    held_out = np.arange(len(rows)) % 10 == 0
    seen, test = rows.take(~held_out), rows.take(held_out)
    catalogue, draw = Catalogue.of(seen), np.random.default_rng(0)
    sides = (catalogue.users, catalogue.items)
    users, items = (draw.normal(size=(len(ids), 64)).astype(np.float32) for ids in sides)

    def run() -> str:
        return _digest([*evaluate_users(lambda some: users[some] @ items.T, catalogue, seen, test).values()])

    return Work(f"evaluation, {len(users):,} users × {len(items):,} items", run)


def _digest(parts: Sequence[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def _row(work: Work, repeats: int, say: Say) -> dict[str, Any]:
    seconds: dict[int, list[float]] = {count: [] for count in COUNTS}
    digests = {_with(count, work)[0] for count in COUNTS}  # Compiled, and everything loaded.
    for _ in range(repeats):
        for count in COUNTS:
            digest, took = _with(count, work)
            digests.add(digest)
            seconds[count].append(took)
    one, two = (median(seconds[count]) for count in COUNTS)
    row = {"work": work.what, "one": round(one, 3), "two": round(two, 3), "ratio": round(one / two, 2)}
    say(f"{work.what}: {one:.2f} s, {two:.2f} s, {row['ratio']} ×")
    return row | {"same_bytes": len(digests) == 1, "goal": work.goal}


def _with(count: int, work: Work) -> tuple[str, float]:
    cores.use(count)
    start = time.perf_counter()
    try:
        return work.run(), time.perf_counter() - start
    finally:
        cores.use(1)


def report(rows: Sequence[dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    head = ("work", "one thread, s", "two, s", "×", "bytes", "goal")
    seconds = grid(head, map(_cells, rows), right=(1, 2, 3))
    contents = {"table": "threads", "protocol": PROTOCOL, "command": command, "rows": [*rows]}
    return contents, page("threads", PROTOCOL, f"Command: `{command}`.", seconds)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    goal = "" if row["goal"] is None else f"{row['goal']} ({met(row['ratio'] >= row['goal'])})"
    seconds = (f"{row['one']:.2f}", f"{row['two']:.2f}", f"{row['ratio']:.2f}")
    return (row["work"], *seconds, "the same" if row["same_bytes"] else "**different**", goal)
