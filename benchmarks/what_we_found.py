"""docs/what-we-found.md, made from the claims of coverage.yaml and the committed results: ``python -m benchmarks
claims``."""

from __future__ import annotations

from benchmarks.claims import VERDICTS, Cell, Comparison, Figures, Verdict, compared, verdict
from benchmarks.coverage import Coverage, Item
from benchmarks.page import grid

MADE = "<!-- Made by `python -m benchmarks claims` from benchmarks/coverage.yaml and benchmarks/results. -->"
INTRODUCTION = """\
The papers that Lethe is built on claim things. This page says which of them hold in our own committed results and which
don't, with the figures. Ours are the data sets that were at hand, settings chosen on validation, often with few trials,
and two to five seeds (± is their standard deviation): a claim that does not hold here may hold elsewhere.

A row is ahead, or behind, where the difference is larger than the standard deviations of both together; a row of one
seed, and seconds, have none. A claim holds in part where it holds on some data or in some metrics. Protocols, all
metrics and tests are in benchmarks/results; what was not measured is in benchmarks/results/coverage.md."""
TITLES: dict[Verdict, str] = {
    "does not hold": "What does not hold",
    "holds in part": "What holds in part",
    "holds": "What holds",
}


def page(coverage: Coverage, figures: Figures) -> str:
    """The whole page. Raises DataError where the results lack a cell."""
    claims = [(source, item) for source, items in coverage.sources.items() for item in items if item.better]
    parts = ["# What we found", MADE, INTRODUCTION]
    for said in VERDICTS:
        held = [(source, item) for source, item in claims if verdict(item.better, figures) == said]
        parts += [f"## {TITLES[said]}", f"{len(held)} of {len(claims)} claims."]
        parts += [_claim(source, item, figures) for source, item in held]
    return "\n\n".join(parts) + "\n"


def _claim(source: str, item: Item, figures: Figures) -> str:
    head = ("result", "metric", "row", "against", "needed", "outcome")
    rows = [_cells(comparison, other, figures) for comparison in item.better for other in comparison.than]
    return "\n\n".join([f"### {item.what} [{source}]", grid(head, rows), *([item.note] if item.note else [])])


def _cells(comparison: Comparison, other: str, figures: Figures) -> list[str]:
    outcome, ours, theirs = compared(comparison, other, figures)
    table = f"[{comparison.table}](../benchmarks/results/{comparison.table}.md)"
    needed = "better" if comparison.by == 1 else f"{comparison.by:g} × as good"
    return [table, comparison.metric, f"{comparison.row} {_cell(ours)}", f"{other} {_cell(theirs)}", needed, outcome]


def _cell(cell: Cell) -> str:
    mean = _short(cell.mean)
    return f"**{mean}** ± {_short(cell.std)}" if cell.seeds > 1 and cell.std else f"**{mean}**"


def _short(value: float) -> str:
    return f"{value:.4f}".removeprefix("0") if abs(value) < 1 else f"{value:.2f}"
