"""Some rows of a committed table run again: theirs are new, all others stay as they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.report import best_of

Report = dict[str, Any]


def merged(fresh: Report, committed: Report, order: Sequence[str]) -> Report:
    """The committed report with the rows of a fresh one, in the order of the table's rows; rows that the table no
    longer has are left out.

    Each row says which command it is of, and at which pace its machine was. The best baselines are found anew; a test
    against another row than today's best, or against figures that are no more, says nothing and goes.
    """
    new, old = ({row["model"]: row for row in report["rows"]} for report in (fresh, committed))
    known = {name: (new.get(name) or old[name]) for name in order if name in new or name in old}
    best = {
        base: best_of({name: _means(row) for name, row in known.items() if row["baseline"] and row["base"] == base})
        for base in dict.fromkeys(row["base"] for row in known.values())
    }
    rows = []
    for name, row in known.items():
        source = fresh if name in new else committed
        tested = source["best_baseline"].get(row["base"], {})
        metrics = {
            metric: figures
            | {"p": figures["p"] if _stands(metric, tested, best[row["base"]], name in new, new) else None}
            for metric, figures in row["metrics"].items()
        }
        made_by = {name: row.get(name, source.get(name)) for name in ("command", "pace")}
        rows.append(row | {"metrics": metrics} | made_by)
    tests = dict.fromkeys(row_test for row_test in (fresh.get("test"), committed.get("test")) if row_test)
    return fresh | {"best_baseline": best, "rows": rows, "test": " or ".join(tests)}


def _means(row: dict[str, Any]) -> dict[str, float]:
    return {metric: figures["mean"] for metric, figures in row["metrics"].items()}


def _stands(metric: str, tested: dict[str, str], best: dict[str, str], is_new: bool, new: dict[str, Any]) -> bool:
    """Whether a row was tested against today's best baseline, with the figures that it has today."""
    return tested.get(metric) == best.get(metric) and (best.get(metric) in new) == is_new
