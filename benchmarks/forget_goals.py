"""What one request may take, and whether it does: goals that were set before the work, beside the figures of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.page import grid, missed

Row = dict[str, Any]
LARGE = 10_000_000
DEMO = "demo"
"""In place of a kind of ids: the repository's own params.yaml, with its service."""
TRAINING = ("sub_model", "candidate")


@dataclass(frozen=True)
class Goal:
    """At most ``most`` of what ``of`` makes of a row; ``rows``: of made tables of that size alone; ``ids``: of rows of
    that kind."""

    what: str
    most: float
    of: Callable[[Row], float]
    rows: int | None = None
    ids: str | None = None
    one_dataset: bool = False
    """Not of the demo, which has four."""

    def tells_of(self, row: Row) -> bool:
        if self.one_dataset and row["ids"] == DEMO:
            return False
        return self.rows in (None, row["rows"]) and self.ids in (None, row["ids"])


def _step(*names: str) -> Callable[[Row], float]:
    return lambda row: sum(row["steps"].get(name, {}).get("cpu_seconds", 0.0) for name in names)


GOALS = (
    Goal("a request's seconds by the clock over those of the training in it", 2.5, lambda r: _over_wall(r), ids=DEMO),
    Goal("a request's seconds by the clock", 15.0, lambda row: row["seconds"], ids=DEMO),
    Goal("a request's seconds over those of the training in it", 2.0, lambda r: _over(r, _step(*TRAINING)(r)), LARGE),
    Goal("peak, GB", 2.5, lambda row: row["peak_mib"] * 2**20 / 1e9, LARGE),
    Goal("seconds of the data stages", 15.0, _step("reproduce"), LARGE),
    Goal("seconds of the gates, with the process they run in", 6.0, _step("validate"), LARGE),
    Goal("seconds of erasing and its scan", 5.0, _step("erase"), LARGE),
    Goal("tables read", 25, lambda row: row["reads"], one_dataset=True),
    Goal("tables digested", 20, lambda row: row["digests"], one_dataset=True),
)
TEXT = 1.5
"""What the data stages of text ids may take, over those of integers."""


def goals(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of every goal that these rows tell of: what it is about, the figure, the most that it may be."""
    told = [
        {"goal": goal.what, "rows": row["rows"], "ids": row["ids"], "value": round(goal.of(row), 2), "most": goal.most}
        for goal in GOALS
        for row in rows
        if goal.tells_of(row)
    ]
    return told + list(_texts(rows))


def table_of(rows: Sequence[Row]) -> str:
    """The goals, largest tables last; those that are missed say so."""
    return grid(("goal", "rows, ids", "figure", "at most"), map(_cells, goals(rows)), right=(2, 3))


def _cells(goal: dict[str, Any]) -> tuple[str, ...]:
    value = f"{goal['value']:g}{missed(goal['value'] <= goal['most'])}"
    return goal["goal"], f"{goal['rows']:,} {goal['ids']}", value, f"{goal['most']:g}"


def _over_wall(row: Row) -> float:
    """Sub-models are trained beside each other, so what they take by the clock is a sum of them all."""
    training = sum(row["steps"].get(name, {}).get("seconds", 0.0) for name in TRAINING)
    return row["seconds"] / training if training else float("inf")


def _over(row: Row, training: float) -> float:
    return row["cpu_seconds"] / training if training else float("inf")


def _texts(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    seconds = {(row["rows"], row["ids"]): _step("reproduce")(row) for row in rows}
    for (size, ids), text in seconds.items():
        numbers = seconds.get((size, "integers"), 0.0)
        if ids == "text" and numbers:
            what = "data stages of text ids over those of integers"
            yield {"goal": what, "rows": size, "ids": ids, "value": round(text / numbers, 2), "most": TEXT}
