"""What a result says of the machine that made it: its numeric environment, and its pace.

Seconds of the processor are those of one processor. The pace is what two fixed small pieces of work took in the same
run, so that figures of two machines can be set against each other: what Python does scales with the one, what numpy
does with the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lethe.core.environment import numeric_environment

TIMES = 3
"""Each is done so often, and the best counts."""
STEPS, SIDE = 300_000, 768

Pace = dict[str, float]
"""{"python", "numpy"}: seconds of the processor."""


def machine(device: str = "cpu") -> dict[str, Any]:
    """For a report with seconds; ``device`` is "cpu" or "cuda". The pace takes about .2 s."""
    return {"environment": numeric_environment(device), "pace": pace()}


def pace() -> Pace:
    """Of this process, now."""
    matrix = np.arange(SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE) % 7
    return {"python": _best(_count), "numpy": _best(lambda: matrix @ matrix)}


def said(report: dict[str, Any]) -> str:
    """The line below a report's table, with its end; empty where the report knows no pace, as older ones don't."""
    if "pace" not in report:
        return ""
    own, rows = report["pace"], report.get("rows", ())
    # Rows of earlier runs stay in a report, of which each may say its pace or none does.
    earlier = len({row.get("command") for row in rows}) > 1
    when = " in the last run" if earlier and not any("pace" in row for row in rows) else ""
    # Of a table that was made in several runs (``merge``).
    others = "; ".join(row["model"] for row in rows if row.get("pace", own) != own)
    return (
        f"\nPace of the machine{when}: {own['python']:.4f} s of the processor for {STEPS:,} steps of Python,"
        f" {own['numpy']:.4f} s for a product of two {SIDE} × {SIDE} matrices by numpy"
        f"{f', not of the rows {others}' if others else ''}.\n"
    )


def _best(work: Callable[[], object]) -> float:
    return round(min(_seconds(work) for _ in range(TIMES)), 4)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _count() -> int:
    total = 0
    for number in range(STEPS):
        total += number * number % 7
    return total
