"""Whether what the sources claim holds in the committed results: comparisons of rows, each with its figures.

A row is better than another where it is ahead by more than the spread of both, the sum of the standard deviations over
their seeds. A row of one seed, and seconds, have no spread. A comparison holds where the row is ahead of all that it is
compared with; a claim of several comparisons may hold in part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from benchmarks.report import less_is_better
from lethe.config.section import Section
from lethe.errors import DataError

Verdict = Literal["does not hold", "holds in part", "holds"]
VERDICTS: tuple[Verdict, ...] = ("does not hold", "holds in part", "holds")
Outcome = Literal["ahead", "within the spread", "behind"]


class Comparison(Section):
    """A row of a report that is said to be better than others."""

    table: str
    metric: str
    """A metric, "seconds", or times of parts, joined by " + "."""
    row: str
    than: tuple[str, ...] = Field(min_length=1)
    by: float = Field(1.0, ge=1)
    """How many times as good."""


class Cell(NamedTuple):
    mean: float
    std: float
    seeds: int
    less_is_better: bool


class Figures:
    """Cells of the reports in a folder, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reports: dict[str, dict[str, Any]] = {}

    def report(self, table: str) -> dict[str, Any]:
        """Raises DataError."""
        if table not in self._reports:
            path = self._folder / f"{table}.json"
            if not path.is_file():
                raise DataError(f"{path.name}: no such result in {self._folder.name}")
            self._reports[table] = json.loads(path.read_text(encoding="utf-8"))
        return self._reports[table]

    def below(self, folder: str) -> set[str]:
        """The names of the reports in a folder below it."""
        return {f"{folder}/{path.stem}" for path in (self._folder / folder).glob("*.json")}

    def rows(self, table: str) -> set[str]:
        rows = self.report(table).get("rows", [])
        return {row["model"] for row in rows if "model" in row}

    def cell(self, table: str, row: str, metric: str) -> Cell:
        """Raises DataError."""
        held = next((each for each in self.report(table).get("rows", []) if each.get("model") == row), None)
        if held is None:
            raise DataError(f"{table} has no row {row!r}")
        if metric in held["metrics"]:
            values = held["metrics"][metric]
            return Cell(values["mean"], values["std"], held["seeds"], less_is_better(metric))
        times = {"seconds": held["seconds"], **held.get("times", {})}
        parts = metric.split(" + ")
        if not set(parts) <= set(times):
            raise DataError(f"{table} has no {metric!r} in row {row!r}")
        return Cell(sum(times[part] for part in parts), 0.0, held["seeds"], True)


def compared(comparison: Comparison, other: str, figures: Figures) -> tuple[Outcome, Cell, Cell]:
    """How a comparison with one other row ends, and both cells. Raises DataError where the results lack one."""
    ours, theirs = (figures.cell(comparison.table, row, comparison.metric) for row in (comparison.row, other))
    goal = theirs.mean / comparison.by if ours.less_is_better else theirs.mean * comparison.by
    lead = goal - ours.mean if ours.less_is_better else ours.mean - goal
    spread = ours.std + theirs.std
    return "ahead" if lead > spread else "behind" if lead < -spread else "within the spread", ours, theirs


def verdict(comparisons: Iterable[Comparison], figures: Figures) -> Verdict:
    """What the results say of a claim. Raises DataError where they lack a cell."""
    ends = [all(compared(each, other, figures)[0] == "ahead" for other in each.than) for each in comparisons]
    return "holds" if all(ends) else "holds in part" if any(ends) else "does not hold"
