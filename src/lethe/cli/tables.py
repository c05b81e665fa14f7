"""Tables for people: the candidates of a training, the models there are, requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from lethe.build.reports import FamilyReport

SHOWN = 4
"""Test metrics in the table of candidates, at most."""
WIDTH = 120
"""Of what is no terminal."""


def console() -> Console:
    """Standard output; what is no terminal has one width, so that the same command gives the same lines."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=WIDTH)


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Columns of text; those whose name begins with ``>`` are laid to the right."""
    made = Table(title=title)
    for column in columns:
        made.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        made.add_row(*row)
    return made


def candidates_table(report: FamilyReport) -> Table:
    """A family's candidates, the winner starred: on validation by what decides, on test by that and what else fits."""
    metric = report.metric
    # How many users and items were cold is counted on the way, and says nothing of a candidate.
    others = (name for name in report.candidates[0].metrics if name != metric and not name.startswith("cold_"))
    shown = [metric, *others][:SHOWN]
    rows = []
    for candidate in report.candidates:
        star = " *" if candidate.name == report.winner.name else ""
        measured = [candidate.valid.get(metric), *(candidate.metrics.get(name) for name in shown)]
        # What learnt all rows, as a forget request rebuilds it, was held against none.
        values = ["-" if value is None else f"{value:.4f}" for value in measured]
        rows.append([candidate.model + star, candidate.sharding, *values, f"{candidate.seconds:.2f}"])
    columns = ["model", "sharding", f">valid {metric}", *(f">{name}" for name in shown), ">seconds"]
    return table(f"{report.family} (test metrics; the winner is chosen by validation {metric})", columns, rows)
